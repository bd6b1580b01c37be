"""The artifact `texts.json`: the embeddings of texts, the classes' first, then the background's."""

from pathlib import Path

import numpy as np

from tags2masks.errors import UserError
from tags2masks.provenance import provenance, read_record, write_record


def write_texts(path: Path, recipe: dict, texts: list[str], embeddings: np.ndarray) -> None:
    """Write them; embeddings: float32 [n, D], of length 1, in the order of the texts."""
    rows = [[float(value) for value in row] for row in embeddings]
    write_record(path, provenance(recipe) | {"texts": texts, "embeddings": rows})


def read_texts(path: Path, artifact: str, count: int) -> np.ndarray:
    """The embeddings, float32 [count, D].

    Raises UserError for a file that is damaged, of another artifact, or has another number of them.
    """
    record = read_record(path)
    if record["id"] != artifact:
        raise UserError(
            f"{path}: its id is {record['id']}, expected {artifact}; it was made from something "
            "else: delete it and run again"
        )
    embeddings = np.array(record.get("embeddings"), np.float32)
    if embeddings.ndim != 2 or len(embeddings) != count:
        raise UserError(
            f"{path}: has no embeddings of {count} texts, those of the classes and the background; "
            "delete it and run again"
        )
    return embeddings
