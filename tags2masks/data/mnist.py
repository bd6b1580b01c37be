"""MNIST: one handwritten digit per image, scaled up; non-zero pixels are its mask.

Source: Maruf et al., "Beyond discriminative regions" (2023), section 5.1: nearest-neighbour
upsampling to 128 × 128, non-zero pixels as truth. Images are written when they are listed.

With `planted`, the toy images of Lee, "Label-Efficient Learning for Object Recognition" (PhD
thesis, 2023), section 3.4.2: a disc or a square of 5 × 5 pixels beside some digits. The thesis says
neither sizes nor where shapes may be. Here they stand at a random place of the frame around the
digit's 28 × 28 pixels, so that they never overlap. In masks a shape is of its image's class.
"""

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tags2masks.config.digits import DIGIT_NAMES, MNIST_FILES, Mnist
from tags2masks.data.boxes import Box, box_table, extent
from tags2masks.data.images import decode
from tags2masks.data.randomness import image_seed
from tags2masks.data.truth import plain_table
from tags2masks.errors import UserError
from tags2masks.files import written_whole
from tags2masks.given import is_given, read_given
from tags2masks.palette import write_palette_png
from tags2masks.progress import progress

FRAME, SIDE = 6, 5  # pixels around the digit; side of a shape
SQUARE = np.ones((SIDE, SIDE), bool)
DISC = np.hypot(*np.mgrid[-2:3, -2:3]) < 2.5
SHAPES = (DISC, SQUARE)
DIGIT, SHAPE = 1, 2  # ids in masks of instances


def list_classes(spec: Mnist, root: Path | str) -> list[str]:
    """The config's classes."""
    return list(spec.classes)


def list_images(
    spec: Mnist, root: Path | str, split: str, classes: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """Write a split's first images of the classes into root/images/split, and list them.

    spec.root: the folder of the four idx files, as published or unpacked. val is MNIST's test set;
    there is no ood. An image is named by its position in the file. Raises UserError naming a file
    that is absent, damaged or has too few images.
    """
    wanted = [DIGIT_NAMES.index(name) for name in classes]
    count, rows = {"train": spec.train, "val": spec.val}.get(split, 0), []
    with written_whole(Path(root) / "images" / split) as folder:
        folder.mkdir()
        digits, labels = _read_split(spec, split) if count else ([], [])
        chosen = np.flatnonzero(np.isin(labels, wanted))[:count]
        if len(chosen) < count:
            raise UserError(
                f"{spec.root}: {len(chosen)} {split} images of these classes, fewer than "
                f"{count}; lower {split} in the data set"
            )
        for number in progress(chosen, "write"):
            image = f"{split}-{number:05d}"
            tags = (DIGIT_NAMES[labels[number]],)
            digit = digits[number]
            if spec.planted is not None:
                rng = np.random.default_rng(image_seed(seed, image))
                digit = planted(digit, classes.index(tags[0]), spec.planted, rng)
            Image.fromarray(enlarge(digit, spec.size)).save(folder / f"{image}.png")
            rows.append((image, f"images/{split}/{image}.png", split, tags))
    return pd.DataFrame(rows, columns=["image", "path", "split", "tags"])


def _read_split(spec: Mnist, split: str) -> tuple[np.ndarray, np.ndarray]:
    digits, labels = (read_idx(idx_file(spec.root, name)) for name in MNIST_FILES[split])
    if len(digits) != len(labels):
        raise UserError(
            f"{spec.root}: {len(digits)} {split} images, but {len(labels)} labels; download the "
            "files again"
        )
    return digits, labels


def list_masks(
    spec: Mnist, root: Path | str, index: pd.DataFrame, seed: int = 0, folder: str = "truth"
) -> pd.DataFrame:
    """Write a mask of every image of the index into root/folder: its class where there is ink."""
    root, rows = Path(root), []
    with written_whole(root / folder) as beside:
        beside.mkdir()
        listed = zip(index["image"], index["path"], index["tags"], strict=True)
        for image, path, (tag,) in progress(list(listed), "write masks"):
            ink = _ink(root / path)
            mask = (ink * (spec.classes.index(tag) + 1)).astype(np.uint8)
            write_palette_png(beside / f"{image}.png", mask)
            instances = ""
            if spec.planted is not None:
                instances = f"{folder}/{image}-instances.png"
                parts = np.where(_in_frame(spec.size), SHAPE, DIGIT) * ink
                write_palette_png(beside / f"{image}-instances.png", parts.astype(np.uint8))
            rows.append((image, f"{folder}/{image}.png", instances, ""))
    return pd.DataFrame(rows, columns=["image", "mask", "instances", "lacks"])


def list_boxes(
    spec: Mnist, root: Path | str, index: pd.DataFrame, classes: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """The extent of the digit of every image."""
    listed = list(zip(index["image"], index["path"], index["tags"], strict=True))
    boxes = [
        Box(image, tag, extent(_digit(spec, Path(root) / path)), False, path)
        for image, path, (tag,) in progress(listed, "list boxes")
    ]
    return box_table(boxes, index)


def _ink(path: Path) -> np.ndarray:
    return np.asarray(decode(path)) > 0


def _digit(spec: Mnist, path: Path) -> np.ndarray:
    ink = _ink(path)
    return ink if spec.planted is None else ink & ~_in_frame(spec.size)


def planted(digit: np.ndarray, number: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """The digit [28, 28] in a frame of [40, 40], and with probability `share` a shape in the frame.

    number: of the class, 0 for a disc and 1 for a square.
    """
    wide = np.pad(digit, FRAME)
    has_shape = rng.random() < share
    last = len(wide) - SIDE
    # Along one of the four sides of the frame, against the edge or a pixel off it.
    along, off, side = rng.integers(0, last + 1), rng.integers(0, FRAME - SIDE + 1), rng.integers(4)
    if has_shape:
        across = off if side % 2 else last - off
        row, column = (along, across) if side < 2 else (across, along)
        wide[row : row + SIDE, column : column + SIDE] = np.where(SHAPES[number], 255, 0)
    return wide


def _in_frame(size: int) -> np.ndarray:
    """Where an enlarged planted image is frame, not digit: bool [size, size]."""
    inside = np.pad(np.zeros((28, 28), bool), FRAME, constant_values=True)
    return enlarge(inside, size)


def mask_table(spec: Mnist, classes: Sequence[str]) -> np.ndarray:
    """The identity: the files already hold our ids."""
    return plain_table(len(classes))


def enlarge(digit: np.ndarray, size: int) -> np.ndarray:
    """Resize [h, w] to [size, size] by nearest neighbour."""
    rows, columns = (((np.arange(size) + 0.5) * side / size).astype(int) for side in digit.shape)
    return digit[rows][:, columns]


def idx_file(root: Path | str, name: str) -> Path:
    """The file of this name below root, unpacked or as .gz."""
    plain = Path(root) / name
    return plain if is_given(plain) else plain.with_name(f"{name}.gz")


def read_idx(path: Path) -> np.ndarray:
    """The bytes of an idx file, plain or gzipped: uint8 [n] or [n, h, w].

    Raises UserError naming the file when it is absent, damaged, or no idx file of bytes.
    """
    try:
        data = read_given(path)
        data = gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({error}); download it again") from None
    dimensions = data[3] if data[:3] == b"\x00\x00\x08" and len(data) > 3 else 0
    start = 4 + 4 * dimensions
    header = data[4:start] if len(data) >= start else b""
    shape = tuple(int(side) for side in np.frombuffer(header, ">u4"))
    if not shape or len(data) - start != np.prod(shape):
        raise UserError(f"{path}: no whole idx file of bytes; download it again")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
