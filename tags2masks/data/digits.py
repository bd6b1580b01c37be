"""The embedded data set: scenes of digits, drawn when they are listed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tags2masks.config.digits import Digits
from tags2masks.data.boxes import Box, box_table
from tags2masks.data.scenes import draw_scene
from tags2masks.data.true_instances import drawn_instances
from tags2masks.data.truth import plain_table
from tags2masks.files import written_whole
from tags2masks.instance_store import Instance
from tags2masks.palette import write_palette_png
from tags2masks.progress import progress


def list_classes(spec: Digits, root: Path | str) -> list[str]:
    """The config's classes."""
    return list(spec.classes)


def list_images(
    spec: Digits, root: Path | str, split: str, classes: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """Draw a split's scenes into root/images/split, and list them."""
    rows = []
    with written_whole(Path(root) / "images" / split) as folder:
        folder.mkdir()
        for number in progress(range(getattr(spec, split)), "draw"):
            scene = draw_scene(spec, split, number, seed)
            image = f"{split}-{number:05d}"
            Image.fromarray(scene.image).save(folder / f"{image}.png")
            tags = tuple(classes[kind] for kind in sorted({kind for kind, _ in scene.objects}))
            rows.append((image, f"images/{split}/{image}.png", split, tags))
    return pd.DataFrame(rows, columns=["image", "path", "split", "tags"])


def list_masks(
    spec: Digits, root: Path | str, index: pd.DataFrame, seed: int = 0, folder: str = "truth"
) -> pd.DataFrame:
    """Draw the scenes of the index again, and write their masks into root/folder."""
    rows = []
    with written_whole(Path(root) / folder) as beside:
        for kind in ("masks", "instances"):
            (beside / kind).mkdir(parents=True)
        pairs = list(zip(index["image"], index["split"], strict=True))
        for image, split in progress(pairs, "draw masks"):
            scene = draw_scene(spec, split, int(image.removeprefix(f"{split}-")), seed)
            mask, instances = f"masks/{image}.png", f"instances/{image}.png"
            write_palette_png(beside / mask, scene.mask)
            Image.fromarray(scene.instances).save(beside / instances)
            rows.append((image, f"{folder}/{mask}", f"{folder}/{instances}", ""))
    return pd.DataFrame(rows, columns=["image", "mask", "instances", "lacks"])


def list_boxes(
    spec: Digits, root: Path | str, index: pd.DataFrame, classes: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """The box of every digit of the scenes."""
    boxes = []
    pairs = list(zip(index["image"], index["split"], strict=True))
    for image, split in progress(pairs, "draw boxes"):
        scene = draw_scene(spec, split, int(image.removeprefix(f"{split}-")), seed)
        boxes += [Box(image, classes[kind], at, False, image) for kind, at in scene.objects]
    return box_table(boxes, index)


def true_instances(
    spec: Digits,
    root: Path | str,
    truth: pd.DataFrame,
    index: pd.DataFrame,
    classes: Sequence[str],
    seed: int = 0,
) -> Iterator[list[Instance]]:
    """The pixels of every digit, from the files that `list_masks` wrote."""
    return drawn_instances(root, truth, index, mask_table(spec, classes))


def mask_table(spec: Digits, classes: Sequence[str]) -> np.ndarray:
    """The identity: the files already hold our ids."""
    return plain_table(len(classes))
