"""The index, a table per split: images with tags, size, fingerprint and shard; no masks."""

import hashlib
import json
import math
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from tags2masks.config.dataset_base import MOST_CLASSES
from tags2masks.data.images import ImageFile, Inspected, Reading, inspect_image
from tags2masks.data.tables import read_checked, write_table
from tags2masks.errors import UserError, raise_together
from tags2masks.files import written_whole
from tags2masks.given import leads_outside, read_text
from tags2masks.progress import progress
from tags2masks.user_tables import SPLITS, image_id

COLUMNS = ("image", "path", "split", "tags", "height", "width", "sha", "shard")
READING = "reading"
"""A further column with the data set's options for reading images, as JSON, if they are set."""
IMAGES_PER_SHARD = 2500


def read_index(*paths: Path | str) -> pd.DataFrame:
    """Read an index: tags as tuples, height, width and shard as integers, the rest as strings.

    paths: one file, or several, such as one per split, whose rows are concatenated.
    Raises UserError naming the file if it is absent or not an index, or if two files have an image
    of the same name.
    """
    frame = pd.concat([_read_index(path) for path in paths], ignore_index=True)
    doubled = frame["image"][frame["image"].duplicated()]
    if len(paths) > 1 and len(doubled):
        raise UserError(
            f"{', '.join(map(str, paths))}: image '{doubled.iloc[0]}' is in more than one; give "
            "each file once"
        )
    return frame


def _read_index(path: Path | str) -> pd.DataFrame:
    frame = read_checked(path, COLUMNS, "run again")
    for name in ("height", "width", "shard"):
        try:
            frame[name] = frame[name].astype(int)
        except ValueError as error:
            raise UserError(f"{path}: column {name}: {error}; delete it and run again") from None
    frame["tags"] = [tuple(cell.split(";")) if cell else () for cell in frame["tags"]]
    return frame


def write_index(path: Path | str, frame: pd.DataFrame) -> None:
    """Write an index of `build_index`; `read_index` reads it."""
    joined = frame.assign(tags=[";".join(tags) for tags in frame["tags"]])
    write_table(path, joined, [*COLUMNS, *({READING} & set(frame.columns))])


def files_of(rows: pd.DataFrame, root: Path | str) -> list[ImageFile]:
    """The file of each image, below root, with its reading options."""
    if READING not in rows:
        return [ImageFile(Path(root) / path) for path in rows["path"]]
    readings = {text: _reading(json.loads(text)) for text in rows[READING].unique()}
    return [
        ImageFile(Path(root) / path, readings[text])
        for path, text in zip(rows["path"], rows[READING], strict=True)
    ]


def with_reading(rows: pd.DataFrame, options: dict) -> pd.DataFrame:
    """The rows with a column of reading options; options: a data set's `reading`."""
    return rows.assign(**{READING: json.dumps(options)}) if options else rows


def _reading(options: dict) -> Reading:
    bands = options.get("bands")
    return Reading(**options | ({"bands": tuple(bands)} if bands else {}))


def read_classes(path: Path | str, index: pd.DataFrame | None = None) -> list[str]:
    """Class names in mask order: the first has mask id 1.

    index: images whose tags must be among the classes. Raises UserError if there are no classes, or
    if a tag is not among them.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the indexing step again") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); delete it and run again") from None
    classes = [line for line in text.split("\n") if line]
    if not classes:
        raise UserError(f"{path}: no class in it; delete it and run again")
    tags = {tag for tags in index["tags"] for tag in tags} if index is not None else set()
    if absent := sorted(tags - set(classes)):
        raise UserError(
            f"{path}: no class '{absent[0]}', which images are tagged with; delete it and run again"
        )
    return classes


def write_classes(path: Path | str, classes: Sequence[str]) -> None:
    """Write one class name per line."""
    with written_whole(path) as beside:
        beside.write_text("".join(f"{name}\n" for name in classes), encoding="utf-8", newline="\n")


def rows_of(
    index: pd.DataFrame, split: str, shard: int | None = None, only: int | None = None
) -> pd.DataFrame:
    """The rows of a split, or of one of its shards, in order and numbered from 0.

    only: at most this number of the split's images, chosen by `spaced`; None: all.
    """
    chosen = index["split"] == split
    if only is not None:
        chosen &= index["image"].isin(spaced(index["image"][chosen].tolist(), only))
    if shard is not None:
        chosen &= index["shard"] == shard
    return index[chosen].reset_index(drop=True)


def sizes_of(rows: pd.DataFrame) -> list[tuple[int, int]]:
    """(height, width) of each image."""
    return list(zip(rows["height"].tolist(), rows["width"].tolist(), strict=True))


def spaced(items: Sequence[str], count: int | None) -> list[str]:
    """`count` items, evenly spaced; all items if count is None or not smaller than their number."""
    if count is None or count >= len(items):
        return list(items)
    return [items[(2 * place + 1) * len(items) // (2 * count)] for place in range(count)]


def multi_hot(tags: Iterable[Sequence[str]], classes: Sequence[str]) -> np.ndarray:
    """The tags as float32 [images, classes], 1 where the image has the tag.

    Raises UserError for a tag that is no class.
    """
    columns = {name: column for column, name in enumerate(classes)}
    rows = list(tags)
    labels = np.zeros((len(rows), len(columns)), np.float32)
    for row, names in enumerate(rows):
        for name in names:
            if name not in columns:
                raise UserError(f"tag '{name}' is not among the classes {', '.join(columns)}")
            labels[row, columns[name]] = 1
    return labels


def images_sha(rows: pd.DataFrame) -> str:
    """Fingerprint of a shard's images: 16 hex digits of sha256 over its "image,sha" lines."""
    lines = (f"{image},{sha}\n" for image, sha in zip(rows["image"], rows["sha"], strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def assign_shards(frame: pd.DataFrame, shards: int) -> pd.DataFrame:
    """Sort by split and image, and divide each split into contiguous shards of equal size."""
    order = frame["split"].map(SPLITS.index)
    frame = frame.assign(_order=order).sort_values(["_order", "image"], ignore_index=True)
    position = frame.groupby("_order").cumcount()
    length = frame.groupby("_order")["image"].transform("size")
    frame["shard"] = (position * shards // length).astype(int)
    return frame.drop(columns="_order")


def build_index(
    listing: pd.DataFrame, root: Path | str, classes: Sequence[str], shards: int, threads: int
) -> pd.DataFrame:
    """Make the index from a reader's listing, which may be empty; reads every image.

    listing: columns image, path (relative to root), split, tags (tuples), and optionally READING.
    The result also has the column `opacity` (`images.Inspected`), which is not written.
    Prints a note on training images without tags, and a hint if shards are very large.
    Raises UserError for images that cannot be read (all in one message), lead out of their folder
    or are listed twice, for a class without training images, and for more shards than images.
    """
    check_listing(listing, classes, shards)
    results = inspect_all(files_of(listing, root), threads)
    raise_together([str(result) for result in results if isinstance(result, UserError)])
    frame = with_inspected(listing, results)
    _print_notes(frame, shards)
    columns = [*COLUMNS, *({READING} & set(listing.columns)), "opacity"]
    return assign_shards(frame, shards)[columns]


def check_listing(listing: pd.DataFrame, classes: Sequence[str], shards: int) -> None:
    """Raise UserError for mistakes in a reader's listing, as `build_index`; reads no image."""
    doubled = listing.loc[listing["image"].duplicated(), "image"].unique()
    raise_together([f"image '{name}' is listed twice; keep one" for name in doubled])
    raise_together(
        [
            f"image '{image}' ({path}) leads out of its folder; correct its name"
            for image, path in zip(listing["image"], listing["path"], strict=True)
            if leads_outside(image) or leads_outside(path)
        ]
    )
    if len(classes) > MOST_CLASSES:
        raise UserError(f"{len(classes)} classes, but masks hold {MOST_CLASSES}; choose fewer")
    train = rows_of(listing, "train")
    seen = multi_hot(train["tags"], classes).any(axis=0)
    raise_together(
        [
            f"class '{name}' has no training image; tag some or remove it from classes"
            for name, any_image in zip(classes, seen, strict=True)
            if len(train) and not any_image
        ]
    )
    for split, count in listing["split"].value_counts(ascending=True).items():
        if split != "ood" and shards > count:
            raise UserError(
                f"shards: {shards}, but split {split} has {count} images; set shards to {count} "
                "or fewer"
            )


def apart(listing: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """The listing of another split, with ids that differ from those of training images.

    If a training image in another folder has the same id, the id becomes the path without its
    suffix: `0` of val/0.png becomes `val/0` beside train/0.png. Ids of training images never
    change.
    Raises UserError for images that are in both splits.
    """
    folders = {
        image: PurePosixPath(path).parent
        for image, path in zip(train["image"], train["path"], strict=True)
    }
    ids = [
        image if folders.get(image) in (None, PurePosixPath(path).parent) else image_id(path)
        for image, path in zip(listing["image"], listing["path"], strict=True)
    ]
    raise_together([f"image '{name}' is listed twice; keep one" for name in ids if name in folders])
    return listing.assign(image=ids)


def inspect_all(files: list[ImageFile], threads: int) -> list[Inspected | UserError]:
    """What `inspect_image` says of each file, or the error that it raises."""

    def inspect(file: ImageFile) -> Inspected | UserError:
        try:
            return inspect_image(file)
        except UserError as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        return list(progress(pool.map(inspect, files), "index", total=len(files)))


def with_inspected(listing: pd.DataFrame, results: Sequence[Inspected]) -> pd.DataFrame:
    """A listing with what was found in its images, a column per field of `Inspected`."""
    fields = Inspected._fields
    return listing.assign(**{name: [getattr(one, name) for one in results] for name in fields})


def refuse_no_images(listing: pd.DataFrame, split: str, needed: bool) -> None:
    """Raise UserError if a split without images is train, or needed by experiments."""
    if not listing.empty:
        return
    if split == "train":
        raise UserError("no training image; give images the split train")
    if needed:
        raise UserError(
            f"split '{split}' has no images, but experiments with a segmenter are tested on it; "
            "give some images this split, or set evaluate_on: train in the data set"
        )


def _print_notes(frame: pd.DataFrame, shards: int) -> None:
    untagged = sum(not tags for tags in rows_of(frame, "train")["tags"])
    if untagged:
        print(f"note: {untagged} training images have no tag: all classes absent", file=sys.stderr)
    largest = frame["split"].value_counts().max() if len(frame) else 0
    if largest > 2 * IMAGES_PER_SHARD * shards:
        print(
            f"hint: {math.ceil(largest / shards):,} images in a shard make long jobs; "
            f"set shards to {math.ceil(largest / IMAGES_PER_SHARD)}",
            file=sys.stderr,
        )
