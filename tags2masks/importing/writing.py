"""Writing a source as a `folder` data set: tables of tags and boxes, masks, its config block."""

import csv
import math
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import yaml

from tags2masks.config.mask_values import BACKGROUND, IGNORED_NAME
from tags2masks.data.boxes import extent
from tags2masks.data.coco_regions import region_of, semantic_mask
from tags2masks.data.truth import read_mask, value_table
from tags2masks.errors import UserError
from tags2masks.files import written_whole
from tags2masks.importing.choosing import classes_of, readable, with_known_classes
from tags2masks.importing.items import Dropped, Item, Object, Source
from tags2masks.importing.splitting import parents_of, stratified
from tags2masks.mask_ids import IGNORED
from tags2masks.palette import write_palette_png
from tags2masks.progress import progress
from tags2masks.user_tables import BOXES, TAGS, image_id

DATASET = "dataset.yaml"
DROPPED = "dropped.csv"


class Division(NamedTuple):
    """How images are divided: val's share, the pattern of parents (`splitting`), the seed.

    share: None keeps the source's splits, whatever the parents, and is 0.2 if it has none.
    """

    share: float | None = None
    parent: str | None = None
    seed: int = 0


class Imported(NamedTuple):
    """What was written.

    images: number by split; tagged: images by class; boxes: their number, or None; masks: their
    number, or None; dropped: in the order of the source; warning: "" if there is none.
    """

    images: Counter
    tagged: dict[str, int]
    boxes: int | None
    masks: int | None
    dropped: list[Dropped]
    warning: str = ""


class Ready(NamedTuple):
    """An image that is imported: its item, size (height, width), tags, boxes and regions.

    boxes: x1, y1, x2, y2 in pixels from 0, both inclusive. whole: whether each of its objects has
    a region, so that the mask is complete.
    """

    item: Item
    size: tuple[int, int]
    tags: tuple[str, ...]
    boxes: list[tuple[str, tuple[int, int, int, int], bool]]
    whole: bool


def write_dataset(
    source: Source,
    out: Path,
    division: Division,
    *,
    files: Literal["named", "copied", "linked"],
    only: Sequence[str] | None,
    threads: int,
) -> Imported:
    """Write a source into the new folder `out`.

    files: leave images where they are, copy them, or link them (hard links). only: the classes to
    take, in their order; None: all, in the source's order or else the alphabet's.
    Raises UserError if out exists, or if nothing is left to import.
    """
    if out.exists() or out.is_symlink():
        raise UserError(f"{out}: is there already; give a new folder, or move it away")
    dropped = list(source.dropped)
    items = with_known_classes(source, only, dropped)
    items = readable(source, items, dropped, threads)
    classes = classes_of(source, items, only)
    draws = source.mask_values is not None or any(
        thing.segmentation is not None for item, _ in items for thing in item.objects
    )
    with written_whole(out) as beside:
        beside.mkdir(parents=True)
        folder = beside / "masks" if draws else None
        pairs = progress(items, "draw masks" if draws else "import")
        made = [_one(source, item, size, classes, folder, dropped) for item, size in pairs]
        ready = [one for one in made if one is not None]
        if not any(one.tags for one in ready):
            raise UserError(f"{source.root}: no image with a tag is left; {_said(dropped)}")
        kept = _divided(source, ready, division, folder, dropped)
        boxes = _write_tables(beside, kept, dropped)
        if files != "named":
            _bring(source.root, beside / "images", [one.item.path for one, _ in kept], files)
        masks = len(list(folder.rglob("*.png"))) if folder else None
        tagged = {name: sum(name in one.tags for one, _ in kept) for name in classes}
        block = {
            "kind": "folder",
            "images": str(source.root if files == "named" else out / "images"),
            "tags": str(out / "tags.csv"),
            **({"boxes": str(out / "boxes.csv")} if boxes is not None else {}),
            **({"masks": str(out / "masks")} if masks else {}),
            **_numbered(tagged, bool(masks)),
        }
        _write_block(beside / DATASET, block)
        _write_csv(beside / DROPPED, Dropped._fields, dropped)
    images, warning = Counter(split for _, split in kept), _leak(kept, division.parent)
    return Imported(images, tagged, boxes, masks, dropped, warning)


def _divided(
    source: Source,
    ready: Sequence[Ready],
    division: Division,
    masks: Path | None,
    dropped: list[Dropped],
) -> list[tuple[Ready, str]]:
    """The images of train and val with their splits; masks of the others are removed."""
    kept = []
    for one, split in zip(ready, _splits(ready, division), strict=True):
        if split in ("train", "val"):
            kept.append((one, split))
            continue
        why = "of split test" if split else source.of_no_split
        dropped.append(Dropped(one.item.path, f"{why}; give --val to divide anew"))
        if masks is not None:
            _mask_file(masks, one.item).unlink(missing_ok=True)
    return kept


def _numbered(tagged: dict[str, int], masks: bool) -> dict:
    """The options `classes`, and `mask_values` if classes without an image leave gaps in masks."""
    shown = [name for name, count in tagged.items() if count]
    if not masks or len(shown) == len(tagged):
        return {"classes": shown}
    numbers = {number: name for number, name in enumerate(tagged, start=1) if tagged[name]}
    return {
        "classes": shown,
        "mask_values": {0: BACKGROUND, **numbers, IGNORED: IGNORED_NAME},
    }


def _mask_file(masks: Path, item: Item) -> Path:
    return masks / f"{image_id(item.path)}.png"


def _one(
    source: Source,
    item: Item,
    size: tuple[int, int],
    classes: Sequence[str],
    masks: Path | None,
    dropped: list[Dropped],
) -> Ready | None:
    """An image's tags and boxes; its mask is written into the folder of masks, if it is complete.

    None if the image has a mask that cannot be read, which alone would say its tags.
    """
    ids = {name: number for number, name in enumerate(classes, start=1)}
    if item.mask is not None:
        known = (*ids, BACKGROUND, IGNORED_NAME)  # others are not among --classes
        meanings = {
            value: name if name in known else BACKGROUND
            for value, name in source.mask_values.items()
        }
        table = value_table(meanings, ids)
        try:
            mask = read_mask(item.mask, table, size)
        except UserError as error:
            dropped.append(Dropped(item.path, str(error)))
            return None
        write_palette_png(_mask_file(masks, item), mask)
        shown = tuple(name for name, number in ids.items() if (mask == number).any())
        return Ready(item, size, shown, [], True)
    boxes, regions, drawn, whole = [], [], [], masks is not None and not item.unread
    for thing in item.objects:
        region, corners = None, thing.corners
        if thing.segmentation is not None:
            try:
                region = region_of(_in_pixels(thing, size), size)
            except ValueError as error:
                dropped.append(Dropped(item.path, f"{thing.name}: {error}"))
            if region is not None and not region.any():
                dropped.append(Dropped(item.path, f"{thing.name}: a region without a pixel"))
                region = None
        whole = whole and region is not None
        if region is not None:
            regions.append(region)
            drawn.append({"category_id": thing.name})
        if region is not None and corners is None:
            boxes.append((thing.name, extent(region), thing.difficult))
        elif corners is not None:
            box = _box(corners, size, thing.relative)
            if box is None:
                dropped.append(Dropped(item.path, f"{thing.name}: a box without a pixel"))
            else:
                boxes.append((thing.name, box, thing.difficult))
    shown = {*item.tags, *(thing.name for thing in item.objects)}
    tags = tuple(name for name in classes if name in shown)
    whole = whole and shown <= {thing["category_id"] for thing in drawn}
    if whole:
        mask = semantic_mask(regions, drawn, ids, "class") if regions else np.zeros(size, np.uint8)
        write_palette_png(_mask_file(masks, item), mask)
    return Ready(item, size, tags, boxes, whole)


def _in_pixels(thing: Object, size: tuple[int, int]) -> list[list[float]] | dict:
    if not thing.relative or isinstance(thing.segmentation, dict):
        return thing.segmentation
    sides = (size[1], size[0])
    return [
        [value * sides[place % 2] for place, value in enumerate(polygon)]
        for polygon in thing.segmentation
    ]


def _box(
    corners: Sequence[float], size: tuple[int, int], relative: bool
) -> tuple[int, int, int, int] | None:
    """The pixels that a box covers at least half of, inside the image; None if there are none."""
    if not all(map(math.isfinite, corners)):
        return None
    sides = (size[1], size[0]) * 2 if relative else (1,) * 4
    # Rounded in 1/1000 of a pixel first: shares of a size are not exact.
    x1, y1, x2, y2 = (
        math.floor(round(value * side, 3) + 0.5) for value, side in zip(corners, sides, strict=True)
    )
    x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, size[1]) - 1, min(y2, size[0]) - 1
    return (x1, y1, x2, y2) if x1 <= x2 and y1 <= y2 else None


def _splits(ready: Sequence[Ready], division: Division) -> list[str | None]:
    """The split of each image; "test", or None, for those that stay out."""
    given = [one.item.split for one in ready]
    divided = "train" in given and ("val" in given or "test" in given)
    parents = parents_of([one.item.path for one in ready], division.parent)
    if divided and division.share is None:
        if "val" not in given:  # test is all that there is to evaluate on
            given = ["val" if split == "test" else split for split in given]
        return given
    share = 0.2 if division.share is None else division.share
    return stratified([one.tags for one in ready], parents, share, division.seed)


def _leak(kept: Sequence[tuple[Ready, str]], pattern: str | None) -> str:
    """A warning of parents with images in train and in val; "" if there is none."""
    if pattern is None:
        return ""
    splits: dict[str, set[str]] = {}
    for parent, (_, split) in zip(
        parents_of([one.item.path for one, _ in kept], pattern), kept, strict=True
    ):
        splits.setdefault(parent, set()).add(split)
    torn = [parent for parent, both in splits.items() if len(both) > 1]
    if not torn:
        return ""
    return (
        f"{len(torn):,} of {len(splits):,} parents are in train and in val, as the source divides "
        f"them, such as '{torn[0]}': figures of val will be too good; give --val to divide anew"
    )


def _write_tables(
    folder: Path, kept: Sequence[tuple[Ready, str]], dropped: list[Dropped]
) -> int | None:
    """Write tags.csv, and boxes.csv if every tag has a box; the number of boxes."""
    rows = [(one.item.path, ";".join(one.tags), split) for one, split in kept]
    _write_csv(folder / "tags.csv", TAGS, rows)
    boxes = [
        (one.item.path, name, *corners, int(difficult))
        for one, _ in kept
        for name, corners, difficult in one.boxes
    ]
    if not boxes:
        return None
    bare = [
        (one, name)
        for one, _ in kept
        for name in one.tags
        if name not in {box_name for box_name, _, _ in one.boxes}
    ]
    if bare:  # an image without a box would count as background
        one, name = bare[0]
        why = f"boxes.csv is left out: {len(bare)} tags have no box, the first is {name}"
        dropped.append(Dropped(one.item.path, why))
        return None
    _write_csv(folder / "boxes.csv", (*BOXES, "difficult"), boxes)
    return len(boxes)


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence]) -> None:
    # Names that are not imported may have halves of UTF-16 pairs.
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([columns, *rows])


def _write_block(path: Path, block: dict) -> None:
    text = yaml.safe_dump(block, sort_keys=False, allow_unicode=True)
    about = (
        "# The block of this data set for a config; `tags2masks init` on this folder writes one.\n"
    )
    path.write_text(about + text, encoding="utf-8")


def _bring(
    root: Path, folder: Path, paths: Sequence[str], files: Literal["copied", "linked"]
) -> None:
    bring: Callable = shutil.copyfile if files == "copied" else os.link
    for path in progress(paths, "copy" if files == "copied" else "link"):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            bring((root / path).resolve(), target)
        except OSError as error:
            if files == "copied":
                raise
            raise UserError(
                f"{root / path}: cannot be linked ({error.strerror}); use --copy"
            ) from None


def _said(dropped: Sequence[Dropped]) -> str:
    if not dropped:
        return "it has no annotations"
    return f"{len(dropped)} dropped, such as {dropped[0].where}: {dropped[0].why}"


def report(imported: Imported, out: Path) -> None:
    """Print what was imported, and what was dropped by its reason."""
    images = ", ".join(f"{count:,} {split}" for split, count in sorted(imported.images.items()))
    print(f"{out}: {imported.images.total():,} images ({images})")
    for name, count in imported.tagged.items():
        print(f"  {name:20s} {count:>8,}")
    for what, count in (("boxes", imported.boxes), ("masks", imported.masks)):
        if count is not None:
            print(f"  {count:,} {what}")
    if imported.warning:
        print(f"warning: {imported.warning}", file=sys.stderr)
    reasons = Counter(one.why for one in imported.dropped)
    first = {one.why: one.where for one in reversed(imported.dropped)}
    for why, count in reasons.most_common(20):
        print(f"dropped: {count:,} × {why}; first: {first[why]}", file=sys.stderr)
    if reasons:
        print(f"dropped: {len(imported.dropped):,} in all: {out / DROPPED}", file=sys.stderr)
