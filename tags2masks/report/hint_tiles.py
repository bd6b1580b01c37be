"""Pictures of the hints that C²AM-H learns from (David et al., P-NOC, 2023, figure 4)."""

import numpy as np

from tags2masks.masks.seeds import upsample
from tags2masks.report.pictures import Tile, map_picture

BACKGROUND = 0.1  # δ_bg of the figure alone: no loss uses hints of the background


def hint_tiles(
    pixels: np.ndarray, image: str, maps: np.ndarray, chain: str, score: float
) -> list[Tile]:
    """The highest score of any class, where it is below 0.1, and where it is above `score`.

    pixels: uint8 [H, W, 3]; maps: [k, h, w] in 0 to 1, of the image's tags by the chain. An image
    without tags has no score anywhere.
    """
    size = pixels.shape[:2]
    highest = upsample(maps, size).max(0) if len(maps) else np.zeros(size, np.float32)
    shown = {
        "highest score": (highest, f"any class, {chain}"),
        "background hints": (highest < BACKGROUND, f"below {BACKGROUND:g}"),
        "hints": (highest > score, f"above {score:g}"),
    }
    return [
        Tile(
            map_picture(pixels, values.astype(np.float32)),
            title,
            note,
            f"{title.capitalize()} of {image}, {note}",
        )
        for title, (values, note) in shown.items()
    ]
