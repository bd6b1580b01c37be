"""What a run began with, for its jobs that start hours later on another machine.

Snakemake records what the main process knew when the run began. A cluster's job reads the config
and the code again; were they edited meanwhile, its output would be recorded as made by the old
ones. What decides an artifact's content is in its id, and an id that the edited config no longer
makes stops the job anyway; everything else that is recorded goes through `kept`.
"""

import hashlib
import json
import os
from typing import TypeVar

from tags2masks.config.base import ConfigError

VARIABLE = "TAGS2MASKS_STARTED"
Value = TypeVar("Value", str, int, float)

_first: dict[str, str] = {}


def begin(is_main: bool) -> None:
    """Tell whether this process is the run itself or one of its jobs, which inherits its record."""
    _first.clear()
    if is_main:
        os.environ[VARIABLE] = "{}"
    else:
        _first.update(json.loads(os.environ.get(VARIABLE, "{}")))


def kept(what: str, value: Value, edited: str) -> Value:
    """The value, if it is what the run began with; otherwise ConfigError, which names `edited`.

    The first value of `what` in the run's main process is recorded for its jobs.
    """
    digest = hashlib.sha256(repr(value).encode()).hexdigest()[:12]
    if what not in _first:
        _first[what] = digest
        os.environ[VARIABLE] = json.dumps(_first)
    if _first[what] != digest:
        raise ConfigError(
            f"{edited} was edited after this run began, and this job would mix old and new; "
            "start the run again"
        )
    return value
