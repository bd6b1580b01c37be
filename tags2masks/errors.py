"""The exception for mistakes that a user can correct, one or several in one message."""

from collections.abc import Sequence


class UserError(ValueError):
    """Bad input; a line for each mistake names the file or key and says what to do."""


def raise_together(problems: Sequence[str], most: int = 20) -> None:
    """Raise a UserError with a line per problem, at most `most`; do nothing without problems."""
    if not problems:
        return
    lines = list(problems[:most])
    if len(problems) > most:
        lines.append(f"… and {len(problems) - most} more")
    raise UserError("\n".join(lines))
