"""Segments from elsewhere: a file for each image, of labels, of layers, or of COCO's regions."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tags2masks.config.segments import GivenSegments
from tags2masks.data.coco_regions import region_of
from tags2masks.data.images import DAMAGE
from tags2masks.errors import UserError
from tags2masks.given import is_given, open_given, read_text
from tags2masks.progress import progress
from tags2masks.segments.sources import Work, parts_of

MODES = ("1", "L", "P", "I", "I;16", "I;16B")


def find(work: Work, spec: GivenSegments) -> Iterator[np.ndarray]:
    """The segments of each image, bool [n, H, W].

    Raises UserError for files that are missing, all together, and for one that is there in several
    forms, of another size, or not readable.
    """
    files = [_file_of(work.folder, image) for image in work.rows["image"]]
    absent = [image for image, file in zip(work.rows["image"], files, strict=True) if file is None]
    if absent:
        kinds = ", ".join(READERS)
        raise UserError(
            f"{work.folder / absent[0]}: no such segments ({kinds}); {len(absent)} of "
            f"{len(files)} images have none: give each image its file, or leave it out of the data "
            "set"
        )
    for file, size in progress(
        zip(files, work.sizes, strict=True), "read segments", total=len(files)
    ):
        yield _read(file, size)


def _file_of(folder: Path, image: str) -> Path | None:
    there = [file for suffix in READERS if is_given(file := folder / f"{image}{suffix}")]
    if len(there) > 1:
        names = " and ".join(file.name for file in there)
        raise UserError(f"{there[0].parent}: holds both {names}; keep one of them")
    return there[0] if there else None


def _read(file: Path, size: tuple[int, int]) -> np.ndarray:
    try:
        segments = READERS[file.suffix](file, size)
    except UserError:
        raise
    except DAMAGE as error:
        raise UserError(f"{file}: not readable as segments ({error}); make it again") from None
    if segments.shape[1:] != size:
        raise UserError(
            f"{file}: {segments.shape[2]} × {segments.shape[1]} pixels, but its image has "
            f"{size[1]} × {size[0]}; resize the segments to the image"
        )
    return segments


def _of_picture(file: Path, size: tuple[int, int]) -> np.ndarray:
    with open_given(file) as opened, Image.open(opened, formats=["PNG"]) as picture:
        if picture.mode not in MODES:
            raise UserError(
                f"{file}: has mode {picture.mode}, but segments are grey or have a palette; save "
                "the number of each pixel's segment"
            )
        return parts_of(np.asarray(picture).astype(np.int64), background=0)


def _of_arrays(file: Path, size: tuple[int, int]) -> np.ndarray:
    with open_given(file) as opened, np.load(opened, allow_pickle=False) as arrays:
        if len(arrays.files) != 1:
            raise UserError(f"{file}: holds {len(arrays.files)} arrays; save one")
        array = arrays[arrays.files[0]]
    if array.dtype.kind not in "biu" or array.ndim not in (2, 3):
        raise UserError(
            f"{file}: an array {list(array.shape)} of {array.dtype}; save integers [H, W], equal "
            "ones in a segment, or [n, H, W], true where each segment is"
        )
    return array != 0 if array.ndim == 3 else parts_of(array, background=0)


def _of_regions(file: Path, size: tuple[int, int]) -> np.ndarray:
    content = json.loads(read_text(file))
    objects = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(objects, list) or not all(isinstance(each, dict) for each in objects):
        raise UserError(f"{file}: no list of objects, and no list `annotations`; write one of them")
    regions = []
    for number, each in enumerate(objects, start=1):
        try:
            regions.append(region_of(each.get("segmentation"), size))
        except ValueError as error:
            raise UserError(f"{file}: segment {number}: {error}; make it again") from None
    return np.array(regions, bool).reshape(len(regions), *size)


READERS = {".png": _of_picture, ".npz": _of_arrays, ".json": _of_regions}
