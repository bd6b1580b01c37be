"""COCO: tags from the categories of an instances file, masks from its regions."""

import math
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd

from tags2masks.config.coco import Coco
from tags2masks.config.dataset_base import is_taken
from tags2masks.config.mistakes import choices
from tags2masks.data.boxes import Box, box_table, extent, nudged
from tags2masks.data.coco_file import (
    MEND,
    Instances,
    local_name,
    read_instances,
    shown_field,
    shown_path,
)
from tags2masks.data.coco_regions import region_of, semantic_mask
from tags2masks.data.truth import plain_table
from tags2masks.errors import UserError, raise_together
from tags2masks.files import written_whole
from tags2masks.given import is_given, leads_outside, path_inside, read_text
from tags2masks.instance_store import Instance, instance
from tags2masks.mask_ids import IGNORED
from tags2masks.palette import write_palette_png
from tags2masks.progress import progress

FILES_AT_ONCE = 4  # one thread at a time draws, but writing is parallel


class Listed(NamedTuple):
    """An image of an instances file; path is relative to the data set's root."""

    image: str
    path: str
    split: str
    size: tuple[int, int]
    objects: list[dict]


def list_classes(spec: Coco, root: Path | str) -> list[str]:
    """The config's classes, or all categories that training images show, in the order of the file.

    Prints a note on categories without images. Raises UserError naming the file if it lacks a class
    of the config, or has a category that cannot be a class.
    """
    train = _file(spec, Path(root), "train")
    if spec.classes:
        _check_classes(train, spec.classes, chosen=True)
        return list(spec.classes)
    listed = _listed(spec, Path(root), "train", train)
    shown = {annotation["category_id"] for entry in listed for annotation in entry.objects}
    absent = [name for number, name in train.names.items() if number not in shown]
    if absent:
        what = ", ".join(absent)
        print(f"note: {train.path}: no class, as no image shows it: {what}", file=sys.stderr)
    classes = [name for number, name in train.names.items() if number in shown]
    _check_classes(train, classes, chosen=False)
    return classes


def list_images(
    spec: Coco, root: Path | str, split: str, classes: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """The images of the split's file that show a chosen class; there are none for ood.

    The tags of an image are the chosen classes among its annotations, including crowds. Its id is
    its `file_name` without the suffix. Raises UserError naming the file and entry of every mistake.
    """
    root, rows = Path(root), []
    file = _file(spec, root, split)
    if file is not None:
        _check_classes(file, classes, chosen=spec.classes is not None)
        for entry in _listed(spec, root, split, file):
            shown = {file.names[annotation["category_id"]] for annotation in entry.objects}
            tags = tuple(name for name in classes if name in shown)
            if tags:
                rows.append((entry.image, entry.path, split, tags))
        raise_together(_same_ids(file, rows))
        raise_together(
            [
                f"{shown_path(root / path)}: no such image, but {file.path} names it; complete the "
                f"images, or correct {split}_images"
                for _, path, _, _ in rows
                if not is_given(root / path)
            ]
        )
    return pd.DataFrame(rows, columns=["image", "path", "split", "tags"])


def list_masks(
    spec: Coco, root: Path | str, index: pd.DataFrame, seed: int = 0, folder: str = "truth"
) -> pd.DataFrame:
    """Draw the masks of the index's images into root/folder, and list them.

    spec.root: the folder of the data set. An image has no mask if one of its annotations has no
    segmentation. Raises UserError naming the file and the annotation of an invalid region.
    """
    root, data = Path(root), Path(spec.root)
    classes = spec.classes or tuple(list_classes(spec, data))
    files = _files(spec, data, index)
    rest = 0 if spec.others == "background" else IGNORED
    ids = {
        split: {
            number: classes.index(name) + 1 if name in classes else rest
            for number, name in file.names.items()
        }
        for split, file in files.items()
    }
    listed = _of_index(spec, data, files, index)

    with written_whole(root / folder) as beside:
        beside.mkdir()

        def draw(entry: Listed) -> str:
            bare = [
                annotation.get("id")
                for annotation in entry.objects
                if not annotation.get("segmentation")
            ]
            if bare:
                return f"the segmentation of annotation {bare[0]} in {files[entry.split].path}"
            regions = [
                _region(files[entry.split], annotation, entry) for annotation in entry.objects
            ]
            mask = semantic_mask(regions, entry.objects, ids[entry.split], spec.crowd)
            write_palette_png(path_inside(beside, f"{entry.image}.png"), mask)
            return ""

        with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
            lacks = list(progress(pool.map(draw, listed), "draw masks", total=len(listed)))
    rows = [
        (entry.image, "" if lack else f"{folder}/{entry.image}.png", "", lack)
        for entry, lack in zip(listed, lacks, strict=True)
    ]
    return pd.DataFrame(rows, columns=["image", "mask", "instances", "lacks"])


def list_boxes(
    spec: Coco, root: Path | str, index: pd.DataFrame, classes: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """The `bbox` of every annotation of a chosen class; crowds are marked as difficult.

    Boxes are rounded outwards to whole pixels. Without a `bbox`, the extent of the region is used.
    Raises UserError naming the file and the annotation of an invalid box.
    """
    files = _files(spec, Path(root), index)
    boxes = [
        Box(
            entry.image,
            files[entry.split].names[annotation["category_id"]],
            nudged(_corners(files[entry.split], annotation, entry), entry.size),
            bool(annotation.get("iscrowd")),
            _origin(files[entry.split], annotation, entry),
        )
        for entry in _of_index(spec, Path(root), files, index)
        for annotation in entry.objects
        if files[entry.split].names[annotation["category_id"]] in classes
    ]
    return box_table(boxes, index)


def _corners(file: Instances, annotation: dict, entry: Listed) -> tuple[int, int, int, int]:
    bbox = annotation.get("bbox")
    if bbox is None:
        region = _region(file, annotation, entry)
        return extent(region) if region.any() else (0, 0, -1, -1)
    try:
        left, top, width, height = map(float, bbox)
        right, bottom = math.ceil(left + width) - 1, math.ceil(top + height) - 1
        return math.floor(left), math.floor(top), right, bottom
    except (TypeError, ValueError, OverflowError):
        raise UserError(
            f"{_origin(file, annotation, entry)}: a bbox is x, y, width and height, but this is "
            f"{str(bbox)[:40]}; {MEND}"
        ) from None


def _of_index(
    spec: Coco, root: Path, files: dict[str, Instances], index: pd.DataFrame
) -> list[Listed]:
    """The files' entries for the images of the index, in its order and with its ids.

    Raises UserError for an image that is no longer in the files, or has another size there.
    """
    by_path = {
        (split, entry.path): entry
        for split, file in files.items()
        for entry in _listed(spec, root, split, file)
    }
    entries = []
    columns = [index[name].tolist() for name in ("image", "path", "split", "height", "width")]
    for image, path, split, height, width in zip(*columns, strict=True):
        entry, file = by_path.get((split, path)), files[split].path
        if entry is None:
            raise UserError(f"{file}: image '{path}' is gone; run the indexing step again")
        if entry.size != (height, width):
            raise UserError(
                f"{file}: image '{path}' is given as {entry.size[1]} × {entry.size[0]} "
                f"pixels, but it has {width} × {height} (upright); correct width and height"
            )
        entries.append(entry._replace(image=image))
    return entries


def true_instances(
    spec: Coco,
    root: Path | str,
    truth: pd.DataFrame,
    index: pd.DataFrame,
    classes: Sequence[str],
    seed: int = 0,
) -> Iterator[list[Instance]]:
    """The region of every annotation of a chosen class, also where others cover it.

    spec.root: the folder of the data set. Raises UserError as `list_masks`.
    """
    data = Path(spec.root)
    files = _files(spec, data, index)
    for entry in _of_index(spec, data, files, index):
        file = files[entry.split]
        regions = [
            (classes.index(name) + 1, _region(file, annotation, entry), annotation.get("iscrowd"))
            for annotation in entry.objects
            if (name := file.names[annotation["category_id"]]) in classes
        ]
        yield [
            instance(class_id, region, crowd=bool(crowd))
            for class_id, region, crowd in regions
            if region.any()
        ]


def mask_table(spec: Coco, classes: Sequence[str]) -> np.ndarray:
    """The identity: drawn masks already hold our ids."""
    return plain_table(len(classes))


def _region(file: Instances, annotation: dict, entry: Listed) -> np.ndarray:
    try:
        return region_of(annotation.get("segmentation"), entry.size)
    except ValueError as error:
        raise UserError(f"{_origin(file, annotation, entry)}: {error}; {MEND}") from None


def _origin(file: Instances, annotation: dict, entry: Listed) -> str:
    number, image = shown_field(annotation, "id"), shown_path(entry.path)
    return f"{file.path}: annotation {number} of image '{image}'"


def _file(spec: Coco, root: Path, split: str) -> Instances | None:
    """The instances file of a split, or None."""
    name = {"train": spec.train_annotations, "val": spec.val_annotations}.get(split)
    return read_instances(root / name) if name else None


def _files(spec: Coco, root: Path, index: pd.DataFrame) -> dict[str, Instances]:
    """The instances files of the index's splits; a file for both splits is read once."""
    splits = index["split"].unique().tolist()
    if len(splits) > 1 and spec.train_annotations == spec.val_annotations:
        return dict.fromkeys(splits, _file(spec, root, "train"))
    return {split: _file(spec, root, split) for split in splits}


def _same_ids(file: Instances, rows: list[tuple]) -> list[str]:
    """Messages for images whose names are equal, or differ only by the suffix."""
    first: dict[str, str] = {}
    problems = []
    for image, path, _, _ in rows:
        if image in first:
            problems.append(
                f"{file.path}: '{shown_path(path)}' and '{shown_path(first[image])}' are one "
                "image, or differ by the suffix alone; keep one, or rename one"
            )
        first.setdefault(image, path)
    return problems


def _check_classes(file: Instances, classes: Sequence[str], chosen: bool) -> None:
    path, known = file.path, set(file.names.values())
    if chosen:
        unknown = [name for name in classes if name not in known]
        raise_together([f"{path}: no category '{n}'; {choices(n, known)}" for n in unknown])
        return
    absent = [name for name in classes if name not in known]
    raise_together([f"{path}: no category '{n}', but train has it; set classes" for n in absent])
    odd = [n for n in classes if not n.strip() or is_taken(n) or any(map(_is_odd, n))]
    raise_together([f"{path}: {n!r} cannot be a class; set classes without it" for n in odd])


def _is_odd(character: str) -> bool:
    """Whether a character cannot be part of a name in tables: separator, control or surrogate."""
    return character == ";" or unicodedata.category(character) in ("Cc", "Cs")


def _listed(spec: Coco, root: Path, split: str, file: Instances) -> list[Listed]:
    """The images of a split, restricted to its list if there is one, in the order of the file.

    Raises UserError for a path outside the folder, or a name in the list that is not in the file.
    """
    folder = {"train": spec.train_images, "val": spec.val_images}[split]
    chosen = {"train": spec.train_list, "val": spec.val_list}[split]
    names = {e["file_name"]: local_name(e["file_name"], root / folder) for e in file.images}
    raise_together(
        [
            f"{file.path}: image '{shown_path(given)}' may lie outside {root / folder}; write the "
            "path from there, without '..'"
            for given, name in names.items()
            if leads_outside(name) or not name
        ]
    )
    wanted = _read_list(root / chosen, names) if chosen else set(names)
    return [
        Listed(
            _image_id(names[entry["file_name"]]),
            str(PurePosixPath(folder) / names[entry["file_name"]]),
            split,
            (entry["height"], entry["width"]),
            file.objects[entry["id"]],
        )
        for entry in file.images
        if entry["file_name"] in wanted
    ]


def _image_id(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix else str(path)


def _read_list(path: Path, names: dict[str, str]) -> set[str]:
    """The file names in a list, whose lines are file names with or without suffix.

    names: from file names to paths below the folder of images.
    """
    try:
        lines = read_text(path).splitlines()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); correct its path") from None
    except ValueError as error:
        raise UserError(f"{path}: no text ({error}); replace the file") from None
    known = {_image_id(name): given for given, name in names.items()}
    known |= {name: given for given, name in names.items()} | {given: given for given in names}
    lines = [line.strip() for line in lines]
    raise_together(
        [
            f"{path}, line {number}: no image '{line}' in the annotations; correct it"
            for number, line in enumerate(lines, start=1)
            if line and line not in known
        ]
    )
    return {known[line] for line in lines if line}
