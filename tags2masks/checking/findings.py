"""What is said of a data set: errors stop the workflow, warnings and notes do not."""

from collections.abc import Iterable
from typing import NamedTuple

from tags2masks.data.warnings import Warned
from tags2masks.errors import UserError

ERROR, WARNING, NOTE = "error", "warning", "note"


class Finding(NamedTuple):
    """level: ERROR, WARNING or NOTE; text: a sentence that says what to do."""

    level: str
    text: str


def errors_of(error: UserError) -> list[Finding]:
    """The mistakes in an error of a reader, one each."""
    return [Finding(ERROR, line) for line in str(error).splitlines()]


def warnings_as_findings(warnings: Iterable[Warned]) -> list[Finding]:
    """The warnings that the workflow gives too."""
    return [Finding(WARNING, one.warning) for one in warnings]


def some_of(count: int, total: int, what: str) -> str:
    """The start of a sentence: "3 of 12 train images"."""
    return f"{count:,} of {total:,} {what} image{'' if total == 1 else 's'}"
