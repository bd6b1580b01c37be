"""The page on which a person prunes ranked candidates: one file with all images, works offline."""

import base64
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tags2masks.data.index import files_of, sizes_of
from tags2masks.progress import progress
from tags2masks.report.templates import page_template
from tags2masks.report.thumbnails import photograph


def write_review(
    artifact_id: str,
    ranked: pd.DataFrame,
    candidates: pd.DataFrame,
    root: Path,
    classes: Sequence[str],
    thumbnail: int,
) -> str:
    """The page: the ranked candidates one by one, to be answered, and saved as a table.

    ranked: image, class, score; candidates: rows of the index with these images, below root;
    thumbnail: pixels of the longer side of the pictures. Equal files give equal text.
    """
    rows = candidates.set_index("image").loc[ranked["image"]].reset_index()
    pictures = (
        base64.b64encode(photograph(item, thumbnail)).decode()
        for item in zip(files_of(rows, root), sizes_of(rows), strict=True)
    )
    pictures = progress(pictures, "review", total=len(rows))
    numbers = {name: number for number, name in enumerate(classes)}
    cells = zip(
        ranked["image"], rows["path"], ranked["class"], ranked["score"], pictures, strict=True
    )
    return page_template("review.html.jinja").render(
        id=artifact_id,
        classes=list(classes),
        candidates=[
            [image, path, numbers[name], f"{score:.6f}", picture]
            for image, path, name, score, picture in cells
        ],
    )
