"""Full supervision: true masks instead of pseudo-masks.

Images without a mask are not in the shards, which are marked `partial`; a segmenter learns only
from the others.
"""

from collections.abc import Iterator

import pandas as pd

from tags2masks.data.labelled import TrueMasks
from tags2masks.store import Entry


def labelled_masks(rows: pd.DataFrame, masks: TrueMasks) -> Iterator[Entry]:
    """Yield the store's entries of the rows with a mask: uint8 [H, W], 255 ignored.

    rows: with image, height, width. Raises as `data.truth.read_mask`.
    """
    for image, height, width in zip(rows["image"], rows["height"], rows["width"], strict=True):
        if image in masks.files:
            mask = masks.read(image, (height, width))
            yield image, mask, {"size": list(mask.shape)}
