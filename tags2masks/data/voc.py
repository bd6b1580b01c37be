"""A PASCAL VOC devkit: tags and boxes from its XML annotations, masks from SegmentationClass."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from tags2masks.config.datasets import VOC_CLASSES, Voc
from tags2masks.data.boxes import Box, box_table, nudged
from tags2masks.data.problems import raise_together
from tags2masks.data.truth import IGNORED, INVALID, mask_files
from tags2masks.errors import UserError

CORNERS = ("xmin", "ymin", "xmax", "ymax")
FILES_AT_ONCE = 16  # small files on a network: waiting dominates


def list_images(spec: Voc, root: Path | str, seed: int = 0) -> tuple[pd.DataFrame, list[str]]:
    """The images of the two lists that show a chosen class, and the classes in the config's order.

    An image is tagged with every chosen class among its annotated objects, difficult and truncated
    ones too: their pixels are in the masks. Files are named by the lists, so images are `.jpg`.
    Raises UserError naming the list, annotation or image that is absent or malformed.
    """
    root = Path(root)
    entries = [
        (split, image)
        for split, name in (("train", spec.train_list), ("val", spec.val_list))
        for image in _read_list(root / "ImageSets" / "Segmentation", name, f"{split}_list")
    ]

    def names_of(image: str) -> set[str]:
        return {name for name, _ in _read_objects(root, image)}

    shown = _in_threads(names_of, [image for _, image in entries])
    rows = [
        (image, f"JPEGImages/{image}.jpg", split, tuple(c for c in spec.classes if c in names))
        for (split, image), names in zip(entries, shown, strict=True)
    ]
    listing = pd.DataFrame(rows, columns=["image", "path", "split", "tags"])
    listing = listing[listing["tags"].map(bool)].reset_index(drop=True)
    raise_together(
        [
            f"{root / path}: no such image, but the list names it; complete the data set"
            for path in listing["path"]
            if not (root / path).is_file()
        ]
    )
    return listing, list(spec.classes)


def list_masks(
    spec: Voc, root: Path | str, index: pd.DataFrame, seed: int = 0, folder: str = "truth"
) -> pd.DataFrame:
    """Masks, and instance masks where the devkit has them."""
    masks = [f"SegmentationClass/{image}.png" for image in index["image"]]
    instances = [f"SegmentationObject/{image}.png" for image in index["image"]]
    return mask_files(index["image"], masks, root).assign(
        instances=[path if (Path(root) / path).is_file() else "" for path in instances]
    )


def list_boxes(
    spec: Voc, root: Path | str, index: pd.DataFrame, classes: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """The boxes of the chosen classes' objects, difficult where the annotation says so.

    The files count pixels from 1. Raises UserError naming the annotation of a malformed box.
    """
    root = Path(root)

    def boxes_of(row: tuple[str, int, int]) -> list[Box]:
        image, *size = row
        return [
            Box(
                image,
                name,
                nudged(_corners(root, image, tag), size),
                (tag.findtext("difficult") or "").strip() == "1",
                str(root / "Annotations" / f"{image}.xml"),
            )
            for name, tag in _read_objects(root, image)
            if name in classes
        ]

    rows = list(zip(index["image"], index["height"], index["width"], strict=True))
    return box_table([box for boxes in _in_threads(boxes_of, rows) for box in boxes], index)


def mask_table(spec: Voc, classes: Sequence[str]) -> np.ndarray:
    """From VOC's 20 ids to ours; the ids of other classes count as `spec.others` says."""
    table = np.full(256, INVALID, np.uint8)
    table[1 : len(VOC_CLASSES) + 1] = 0 if spec.others == "background" else IGNORED
    for number, name in enumerate(classes, start=1):
        table[VOC_CLASSES.index(name) + 1] = number
    table[0], table[IGNORED] = 0, IGNORED
    return table


def _in_threads(function: Callable, items: Sequence) -> list:
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        return list(pool.map(function, items))


def _read_list(folder: Path, name: str, key: str) -> list[str]:
    path = folder / f"{name}.txt"
    if not path.is_file():
        there = ", ".join(sorted(other.stem for other in folder.glob("*.txt")))
        raise UserError(
            f"{path}: no such list; correct `root`, or choose {key} from {there or '(no list)'}"
        )
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except ValueError as error:
        raise UserError(f"{path}: no text ({error}); replace the file") from None
    return [line.strip() for line in lines if line.strip()]


def _read_objects(root: Path, image: str) -> list[tuple[str, ElementTree.Element]]:
    """Class name and XML element of each annotated object."""
    path = root / "Annotations" / f"{image}.xml"
    try:
        objects = ElementTree.parse(path).getroot().findall("object")
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such annotation, but the list names it; complete the data set"
        ) from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise UserError(f"{path}: malformed XML ({error}); replace the file") from None
    names = [(tag.findtext("name") or "").strip() for tag in objects]
    if not all(names):
        raise UserError(f"{path}: an object without a name; add it")
    return list(zip(names, objects, strict=True))


def _corners(root: Path, image: str, tag: ElementTree.Element) -> list[int]:
    corners = [tag.findtext(f"bndbox/{corner}") for corner in CORNERS]
    try:
        # A few files of the devkit hold fractions.
        return [round(float(corner)) - 1 for corner in corners]
    except (TypeError, ValueError, OverflowError):
        path = root / "Annotations" / f"{image}.xml"
        raise UserError(
            f"{path}: a bndbox needs {', '.join(CORNERS)} as numbers, but it has {corners}; mend it"
        ) from None
