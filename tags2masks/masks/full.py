"""Full supervision: the masks that people drew, in the place of pseudo-masks.

Images without such a mask are not in the shards, which say so (`partial`): a segmenter learns from
the others alone.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from tags2masks.data.truth import read_mask
from tags2masks.store import Entry


def labelled_masks(
    rows: pd.DataFrame, masks: dict[str, str], root: Path, table: np.ndarray
) -> Iterator[Entry]:
    """The store's entries of those rows that have a mask: uint8 [H, W], 255 ignored.

    rows: with image, height, width. masks: file by image, relative to root; table: uint8 [256] from
    ids in the files to ours (`data.truth.read_mask`, whose errors are raised).
    """
    for image, height, width in zip(rows["image"], rows["height"], rows["width"], strict=True):
        if image in masks:
            mask = read_mask(root / masks[image], table, (height, width))
            yield image, mask, {"size": list(mask.shape)}
