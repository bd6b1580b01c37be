"""The artifact `score.json`: the chosen background score, and how it was chosen.

Light to import: masks are made in many processes, where torch would cost 400 MB each.
"""

import json
from pathlib import Path

from tags2masks.errors import UserError
from tags2masks.files import written_whole
from tags2masks.given import read_text
from tags2masks.provenance import check_provenance, sealed


def write_score(path: Path | str, about: dict, chosen: dict) -> None:
    """about: the provenance; chosen: `background_score`, `warnings` and what led to them."""
    with written_whole(path) as beside:
        text = json.dumps(sealed(about | chosen), indent=2, ensure_ascii=False)
        beside.write_text(f"{text}\n", encoding="utf-8")


def read_score(path: Path | str) -> dict:
    """What `write_score` wrote. Raises UserError naming a file that is absent or damaged."""
    try:
        record = json.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable ({error}); delete it and run again") from None
    record = check_provenance(record, path)
    if not isinstance(record.get("background_score"), float):
        raise UserError(f"{path}: has no background score; delete it and run again")
    return record


def score_for(path: Path | str, artifact_id: str) -> float:
    """The score; raises UserError as `read_score` does, and for a file of another artifact."""
    record = read_score(path)
    if record["id"] != artifact_id:
        raise UserError(
            f"{path}: its id is {record['id']}, expected {artifact_id}; it was made from something "
            "else: delete it and run again"
        )
    return record["background_score"]
