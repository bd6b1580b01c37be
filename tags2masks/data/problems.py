"""Many mistakes in one error, so that a user mends them in one go."""

from collections.abc import Sequence

from tags2masks.errors import UserError


def raise_together(problems: Sequence[str], most: int = 20) -> None:
    """Raise a UserError with a line per problem, the first `most` of them; none: do nothing."""
    if not problems:
        return
    lines = list(problems[:most])
    if len(problems) > most:
        lines.append(f"… and {len(problems) - most} more")
    raise UserError("\n".join(lines))
