"""All splits of a data set at once, as most tests want them."""

from pathlib import Path
from types import ModuleType

import pandas as pd

from tags2masks.config.dataset_base import Dataset
from tags2masks.data.index import SPLITS, write_index


def list_all(
    reader: ModuleType, spec: Dataset, root: Path, seed: int = 0
) -> tuple[pd.DataFrame, list[str]]:
    """What a reader lists of all splits, and its classes."""
    classes = reader.list_classes(spec, root)
    parts = [reader.list_images(spec, root, split, classes, seed) for split in SPLITS]
    return pd.concat(parts, ignore_index=True), classes


def write_splits(folder: Path, index: pd.DataFrame) -> None:
    """Write an index of all splits as the tables that the workflow has: one per split."""
    for split in SPLITS:
        write_index(folder / f"{split}.csv", index[index["split"] == split])
