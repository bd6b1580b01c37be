"""A PASCAL VOC devkit: tags and boxes from its XML annotations, masks from its PNG files."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from tags2masks.config.voc import Voc
from tags2masks.data.boxes import Box, box_table, nudged
from tags2masks.data.true_instances import boxed_instances, drawn_instances
from tags2masks.data.truth import INVALID, MaskTable, mask_files, value_table
from tags2masks.errors import UserError, raise_together
from tags2masks.given import is_given, leads_outside, open_given, read_text
from tags2masks.instance_store import Instance
from tags2masks.mask_ids import IGNORED

CORNERS = ("xmin", "ymin", "xmax", "ymax")
SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")
OBJECTS = "SegmentationObject"
FILES_AT_ONCE = 16  # small files on a network: waiting dominates


class Entry(NamedTuple):
    """An image as a list names it.

    image: its id; path, mask: of its files, relative to root, where the list says so.
    """

    image: str
    path: str | None
    mask: str | None


def list_classes(spec: Voc, root: Path | str) -> list[str]:
    """The config's classes."""
    return list(spec.classes)


def list_images(
    spec: Voc, root: Path | str, split: str, classes: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """The images of the split's list; there are none for ood.

    The tags of an image are the chosen classes among its annotated objects, including difficult and
    truncated ones, whose pixels are in the masks. An image with only other objects is left out; an
    image without objects is kept, without tags.
    Raises UserError naming the list, annotation or image that is absent or malformed.
    """
    root = Path(root)
    entries = _entries(spec, root, split)

    def names_of(entry: Entry) -> set[str]:
        return {name for name, _ in _read_objects(root, entry.image)}

    shown = _in_threads(names_of, entries)
    kept = [
        (entry, tuple(name for name in classes if name in names))
        for entry, names in zip(entries, shown, strict=True)
        if not names or names & set(classes)
    ]
    paths = _in_threads(lambda row: _image_path(root, row[0]), kept)
    raise_together(
        [
            f"{root / (entry.path or f'JPEGImages/{entry.image}.jpg')}: no such image, but the "
            "list names it; complete the data set"
            for (entry, _), path in zip(kept, paths, strict=True)
            if path is None
        ]
    )
    rows = [
        (entry.image, path, split, tags) for (entry, tags), path in zip(kept, paths, strict=True)
    ]
    return pd.DataFrame(rows, columns=["image", "path", "split", "tags"])


def list_masks(
    spec: Voc, root: Path | str, index: pd.DataFrame, seed: int = 0, folder: str = "truth"
) -> pd.DataFrame:
    """Masks named by the lists or in SegmentationClass, and instance masks if they exist."""
    root = Path(root)
    named = {
        entry.image: entry.mask
        for split in index["split"].unique()
        for entry in _entries(spec, root, split)
        if entry.mask
    }
    images = index["image"].tolist()
    masks = [named.get(image, f"SegmentationClass/{image}.png") for image in images]
    instances = [f"{OBJECTS}/{image}.png" for image in images]
    return mask_files(images, masks, root).assign(
        instances=[path if is_given(root / path) else "" for path in instances]
    )


def labelled_images(spec: Voc, root: Path | str, train: pd.DataFrame) -> list[str]:
    """The training images that are in the list `spec.labelled`; train: the rows of train.

    Raises UserError if there is none.
    """
    return train.loc[_is_listed(spec, root, "labelled", train), "image"].tolist()


def measured_images(spec: Voc, root: Path | str, index: pd.DataFrame) -> pd.DataFrame:
    """The rows of the index without training images that are not in `spec.seed_list`.

    Raises UserError if no training image is in the list.
    """
    if spec.seed_list is None:
        return index
    train = index["split"] == "train"
    kept = _is_listed(spec, root, "seed_list", index[train])
    return index[~train | kept.reindex(index.index, fill_value=True)].reset_index(drop=True)


def _is_listed(spec: Voc, root: Path | str, key: str, train: pd.DataFrame) -> pd.Series:
    """Whether each training image is in the list that the field `key` names.

    Raises UserError if none is.
    """
    name = spec.list_path(getattr(spec, key))
    kept = train["image"].isin({entry.image for entry in _read_list(Path(root), name, key)})
    if not kept.any():
        raise UserError(f"{Path(root) / name}: no training image is in it; correct {key}")
    return kept


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


def true_instances(
    spec: Voc,
    root: Path | str,
    truth: pd.DataFrame,
    index: pd.DataFrame,
    classes: Sequence[str],
    seed: int = 0,
) -> Iterator[list[Instance] | None]:
    """The objects of SegmentationObject; without that folder, the pixels of a class in its boxes.

    With the folder, images without a file in it are not known; without it, those in which boxes of
    one class overlap. Raises UserError as `list_boxes` and `data.truth.read_mask`.
    """
    table = mask_table(spec, classes)
    if (Path(root) / OBJECTS).is_dir():
        return drawn_instances(root, truth, index, table)
    boxes = list_boxes(spec, root, index, classes)
    return boxed_instances(root, truth, index, table, boxes, classes)


def mask_table(spec: Voc, classes: Sequence[str]) -> MaskTable:
    """The mask table of `spec.names` or `spec.mask_values`.

    Classes that are not chosen are background or ignored, as `spec.others` says.
    """
    ids = dict.fromkeys(spec.names, 0 if spec.others == "background" else IGNORED)
    ids |= {name: number for number, name in enumerate(classes, start=1)}
    if spec.mask_values is not None:
        return value_table(spec.mask_values, ids)
    table = np.full(256, INVALID, np.uint8)
    table[: len(spec.names) + 1] = [0, *(ids[name] for name in spec.names)]
    table[IGNORED] = IGNORED
    return table


def _in_threads(function: Callable, items: Sequence) -> list:
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        return list(pool.map(function, items))


def _entries(spec: Voc, root: Path, split: str) -> list[Entry]:
    names = {"train": spec.train_list, "val": spec.val_list}
    if split not in names:
        return []
    return _read_list(root, spec.list_path(names[split]), f"{split}_list")


def _read_list(root: Path, name: str, key: str) -> list[Entry]:
    """The images of a list, without those marked with -1.

    A line is a name; a name with 1, 0 or -1 (the image shows the class, only difficult objects of
    it, or not); or the paths of image and mask. name: the file below root; key: the config key.
    """
    path = root / name
    try:
        lines = read_text(path).splitlines()
    except FileNotFoundError:
        there = ", ".join(sorted(other.stem for other in path.parent.glob("*.txt")))
        raise UserError(
            f"{path}: no such list; correct `root`, or choose {key} from {there or '(no list)'}"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); correct {key}") from None
    except ValueError as error:
        raise UserError(f"{path}: no text ({error}); replace the file") from None
    entries, problems = [], []
    for number, line in enumerate(lines, start=1):
        match line.split():
            case [] | [_, "-1"]:
                continue
            case [image, "1" | "0"]:
                entry = _entry(image)
            case [image, mask] if "/" in mask:
                entry = _entry(image)._replace(mask=mask.lstrip("/"))
            case _:
                entry = _entry(line.strip())
        if any(leads_outside(file or "") for file in entry):
            problems.append(
                f"{path}, line {number}: '{line.strip()[:80]}' may lie outside {root}; write names "
                "and paths without '..'"
            )
        entries.append(entry)
    raise_together(problems)
    return entries


def _entry(word: str) -> Entry:
    """An image from its name, or from its path below root (a leading slash means root)."""
    path = PurePosixPath(word.lstrip("/"))
    if path.suffix not in SUFFIXES:
        return Entry(str(path), None, None)
    inside = path.relative_to("JPEGImages") if path.parts[0] == "JPEGImages" else path
    where = path if len(path.parts) > 1 else "JPEGImages" / path
    return Entry(str(inside.with_suffix("")), str(where), None)


def _image_path(root: Path, entry: Entry) -> str | None:
    """The image's file relative to root, or None if there is none."""
    paths = [f"JPEGImages/{entry.image}{suffix}" for suffix in SUFFIXES]
    paths = [entry.path] if entry.path else paths
    return next((path for path in paths if is_given(root / path)), None)


def _read_objects(root: Path, image: str) -> list[tuple[str, ElementTree.Element]]:
    """Class name and XML element of each annotated object."""
    path = root / "Annotations" / f"{image}.xml"
    try:
        with open_given(path) as file:
            objects = ElementTree.parse(file).getroot().findall("object")
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such annotation, but the list names it; complete the data set"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); replace the file") from None
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
