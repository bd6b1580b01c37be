"""The artifact `score.json`: the chosen background score, and how it was chosen.

Light to import: masks are made in many processes, where torch would cost 400 MB each.
"""

from pathlib import Path

from tags2masks.errors import UserError
from tags2masks.provenance import read_record


def read_score(path: Path | str) -> dict:
    """The provenance of a score, with what its method chose and how.

    Of every method `background_score`, `areas`, `images`, `warnings`.

    Raises UserError naming a file that is absent or damaged.
    """
    record = read_record(path)
    areas = record.get("areas")
    if not isinstance(record.get("background_score"), float) or not isinstance(areas, dict):
        raise UserError(f"{path}: has no background score; delete it and run again")
    return record


def score_for(path: Path | str, artifact_id: str) -> dict:
    """`read_score`; raises UserError also for a file of another artifact."""
    record = read_score(path)
    if record["id"] != artifact_id:
        raise UserError(
            f"{path}: its id is {record['id']}, expected {artifact_id}; it was made from something "
            "else: delete it and run again"
        )
    return record
