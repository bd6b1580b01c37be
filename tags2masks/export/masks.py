"""A folder of masks: palette PNGs, and what is asked for beside them."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import pandas as pd

from tags2masks.coco_export import instance_picture
from tags2masks.data.index import files_of, write_classes
from tags2masks.export.formats import FORMATS, Annotated, check_formats, objects_of
from tags2masks.given import path_inside
from tags2masks.instance_store import KIND, Instance, decoded
from tags2masks.palette import write_palette_png
from tags2masks.store import Entry


def write_masks(
    folder: Path,
    entries: Iterable[Entry],
    rows: pd.DataFrame,
    classes: Sequence[str] | None = None,
    formats: Collection[str] = (),
    overlay_root: Path | None = None,
) -> int:
    """Write into a folder `<image>.png` of each entry, and return their number.

    rows: with image, path, height and width of the entries' images. With classes also classes.txt.
    formats: of `FORMATS`, which need classes; overlay_root: the folder of the images, for
    `<image>.overlay.jpg`; None: no overlays. Where entries have instances, they are what is written
    in the formats, of which coco is always one, and as pictures of their numbers.
    Raises UserError for an image whose name leads out of the folder, and, before the first entry,
    as `check_formats`.
    """
    if classes is not None:
        check_formats(formats, rows, classes)
    files = dict(zip(rows["image"], files_of(rows, overlay_root or Path()), strict=True))
    found: dict[str, list[Instance]] = {}
    written, wanted = set(), set(formats)
    for image, mask, about, *more in entries:
        write_palette_png(path_inside(folder, f"{image}.png"), mask)
        written.add(image)
        if overlay_root is not None:
            # Lazy import: of matplotlib.
            from tags2masks.export.overlays import write_overlay

            write_overlay(path_inside(folder, f"{image}.overlay.jpg"), files[image], mask)
        if more and KIND in more[0]:
            found[image] = decoded(more[0][KIND], about)
            picture = instance_picture(found[image], mask.shape)
            write_palette_png(path_inside(folder, f"{image}.instances.png"), picture)
            wanted.add("coco")
        elif formats:
            found[image] = objects_of(mask)
    if classes is not None:
        write_classes(folder / "classes.txt", classes)
        own = rows[rows["image"].isin(written)]
        annotated = Annotated(own, classes, [found.get(image, []) for image in own["image"]])
        for name in sorted(wanted):
            FORMATS[name](folder, annotated)
    return len(written)
