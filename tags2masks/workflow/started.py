"""Digests of a run's params, to detect edits during the run.

Snakemake records params when the run begins, but a cluster's job reads the config and the code
again, perhaps hours later. If they were edited meanwhile, its output would be recorded with the old
params. Recipes are safe: an edited recipe has another id, and the job stops. All other recorded
params go through `kept`.
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
    """Start a record in the run's main process; load the inherited record in its jobs."""
    _first.clear()
    if is_main:
        os.environ[VARIABLE] = "{}"
    else:
        _first.update(json.loads(os.environ.get(VARIABLE, "{}")))


def kept(what: str, value: Value, edited: str) -> Value:
    """Return the value; raise ConfigError naming `edited` if the run began with another value.

    The first value of `what` in the main process is recorded for its jobs.
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
