"""A first config that fits a folder of images: `tags2masks init`."""

import os
import re
import statistics
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml
from PIL import Image

from tags2masks.config.folders import Folder
from tags2masks.config.reading import read_config
from tags2masks.data.folder import list_classes
from tags2masks.data.images import DAMAGE, FORMATS, ORIENTATION
from tags2masks.data.index import spaced
from tags2masks.errors import UserError
from tags2masks.files import written_whole
from tags2masks.given import is_given, open_given
from tags2masks.importing.class_folders import read as read_class_folders
from tags2masks.importing.items import Options, images_below
from tags2masks.importing.writing import DATASET, Division, report, write_dataset
from tags2masks.user_tables import tag_rows
from tags2masks.workflow.catalog import TAKEN
from tags2masks.workflow.checkout import CHECKOUT, start_command

MEASURED = 500  # images whose size is read
VIEWS = {"cuda": 50_000, "cpu": 4_000}
"""Training views of a classifier: about five epochs of VOC, and 15 minutes of two cores."""
CROPS = {"cuda": 512, "cpu": 256}  # largest
BACKBONES = {"cuda": "resnet50", "cpu": "mobilenetv2_100"}
RATES = {"cuda": (0.01, 0.01), "cpu": (0.001, 0.001)}
"""Of classifier and segmenter. MobileNetV2 on 72 photographs, 12 epochs, two seeds: at 0.002 the
classifier's mAP ended at 58 and 93 (with a warmup at 53 and 95), at 0.001 at 99 and 99. Of smaller
batches the classifier's is smaller, in proportion: on 18 photographs, four at a time, 50 epochs, at
0.001 its loss fell to 0.005 and rose to 0.66, and mAP ended at 68; at 0.00025 at 0.003 and 86."""
LARGEST_BATCH = 16
MOST_EPOCHS = 50


class Fit(NamedTuple):
    """What suits the images: side of crops and range of long sides in pixels, epochs, batch."""

    crop: int
    resize: tuple[int, int]
    epochs: int
    batch: int


def write_first_config(
    folder: Path, out: Path, tags: Path | None, device: str, about_device: str, threads: int
) -> None:
    """Write a config for the images in a folder, which has a table of tags, a sub-folder per
    class, or was written by `tags2masks import`.

    tags: the table, if it is elsewhere. device: cuda or cpu; about_device: its name. For folders of
    classes a data set is written beside out, too. Prints what it found.
    Raises UserError if out exists, or no tags are found.
    """
    if out.exists() or out.is_symlink():
        raise UserError(f"{out}: is there already; give another name with --out, or move it away")
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; correct the path")
    block = _dataset(folder, out, tags, threads)
    rows = [row for _, row in tag_rows(Path(block["tags"]))]
    splits = Counter(row["split"] for row in rows)
    spec = Folder(**block | {"classes": tuple(block.get("classes") or ()) or None})
    tags_of = Counter(tag.strip() for row in rows for tag in row["tags"].split(";"))
    classes = {name: tags_of[name] for name in list_classes(spec, spec.images)}
    sides = _sides(Path(block["images"]), [row["image"] for row in rows])
    fit = fitting(splits["train"], statistics.median(map(max, sides)), device)
    text = _text(folder, out, block, classes, splits, sides, fit, device, about_device)
    with written_whole(out) as beside:
        beside.write_text(text, encoding="utf-8")
    print(f"{out}: written, for {len(rows):,} images of {len(classes)} classes; next:")
    print(f"  tags2masks check {out}")
    print(f"  {start_command(out)}")


def _dataset(folder: Path, out: Path, tags: Path | None, threads: int) -> dict:
    """The data set's block for the config."""
    if tags is None and is_given(folder / DATASET):
        return read_config(folder / DATASET)
    tables = [tags] if tags else [folder / "tags.csv", folder.parent / "tags.csv"]
    table = next(filter(is_given, tables), None)
    if table is not None:
        images = folder / "images" if (folder / "images").is_dir() else folder
        return {"kind": "folder", "images": str(images), "tags": str(table)}
    if tags is not None:
        raise UserError(f"{tags}: no such table of tags; correct --tags")
    paths = images_below(folder)
    if not paths:
        raise UserError(f"{folder}: no image in it; give the folder of the images")
    if not all("/" in path for path in paths):
        raise UserError(
            f"{folder}: no table of tags; write {folder / 'tags.csv'} with the columns "
            "image,tags,split, put the images into a sub-folder per class, or see `tags2masks "
            "import --help`"
        )
    data = out.with_name(f"{out.stem}-data")
    source = read_class_folders(folder, Options())
    imported = write_dataset(source, data, Division(), files="named", only=None, threads=threads)
    report(imported, data)
    return read_config(data / DATASET)


def _sides(root: Path, names: Sequence[str]) -> list[tuple[int, int]]:
    """(width, height) of some of the images, upright, by their headers; damaged ones are skipped,
    as `tags2masks check` names them.
    """
    sides = []
    for name in spaced(names, MEASURED):
        try:
            with (
                open_given(root / name) as file,
                Image.open(file, formats=FORMATS) as image,
            ):
                turned = image.getexif().get(ORIENTATION, 1) >= 5
                sides.append(image.size[::-1] if turned else image.size)
        except DAMAGE:
            continue
    if not sides:
        raise UserError(f"{root}: none of the images that the table names can be read; correct it")
    return sides


def fitting(train: int, long: float, device: str) -> Fit:
    """What suits this number of training images, whose median long side is `long` pixels.

    Crops are multiples of 32 pixels; images are resized around them, by the ratios of
    papers/animals.yaml.
    """
    crop = max(32, min(CROPS[device], int(long / 1.1) // 32 * 32))
    epochs = min(max(round(VIEWS[device] / max(train, 1)), 5), MOST_EPOCHS)
    return Fit(
        crop,
        (round(crop * 0.875), round(crop * 1.375)),
        epochs,
        min(max(train // 4, 2), LARGEST_BATCH),
    )


def _text(
    folder: Path,
    out: Path,
    block: dict,
    classes: Mapping[str, int],
    splits: Counter,
    sides: Sequence[tuple[int, int]],
    fit: Fit,
    device: str,
    about_device: str,
) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", folder.resolve().name).strip("-._") or "images"
    if TAKEN.fullmatch(name) or not isinstance(yaml.safe_load(name), str):  # a number, yes or no
        name = f"images-{name}"
    at = os.path.relpath(CHECKOUT / "docs/config.schema.json", out.resolve().parent)
    line = f"# yaml-language-server: $schema={Path(at).as_posix()}\n"
    counts = ", ".join(f"{count:,} {split}" for split, count in sorted(splits.items()))
    small, large = (
        f"{width} × {height}" for width, height in (min(sides, key=_area), max(sides, key=_area))
    )
    sized = f"all of {small} pixels" if small == large else f"{small} to {large} pixels"
    tagged = "; ".join(f"{name} {count:,}" for name, count in classes.items())
    shown = textwrap.fill(f"images tagged: {tagged}", 98).splitlines()
    dataset = {key: value for key, value in block.items() if key != "classes"}
    dataset["classes"] = list(classes)
    evaluated = "val"
    if not splits["val"]:
        dataset["evaluate_on"] = evaluated = "train"
    newline = "\n"
    whole_rate, segmenter_rate = RATES[device]
    rate = float(f"{whole_rate * fit.batch / LARGEST_BATCH:.2g}")
    width = max(map(max, sides))
    advice = ""
    if width > 4 * fit.crop:
        advice = (
            f"# Maps are made of whole images, at most {width} pixels here: they take memory and\n"
            f"# time. Copies of about {2 * fit.crop} pixels a side do as well for most classes.\n"
        )
    hidden = "" if "masks" in dataset else (
        "    # masks: path/to/masks # if some images have masks, to measure by; classes are then\n"
        "    #                        in the order of the numbers 1, 2, … in the masks\n"
    )  # fmt: skip
    return f"""{line}# Written by `tags2masks init` for {splits.total():,} images ({counts}),
# {sized}.
{"".join(f"# {part}{newline}" for part in shown)}# Every option: docs/config.md.

seed: 0
device: {device} # found here: {about_device}; or cuda, cpu, auto

datasets:
  {name}:
{_indented(dataset)}{hidden}
{advice}# Learns from the tags. More images, or more epochs, if its mAP in the report is low.
classifiers:
  vanilla:
    method: vanilla
    # timm's ImageNet weights, downloaded once; without a network the path of a .safetensors file.
    backbone: &backbone {{name: {BACKBONES[device]}, weights: pretrained}}
    epochs: {fit.epochs} # {fit.epochs * splits["train"]:,} views of the training images
    batch_size: {fit.batch}
    optimizer: {{lr: {rate}, momentum: 0.9}}
    # Long sides are resized into this range, then a square is cut out.
    augment: {{resize: [{fit.resize[0]}, {fit.resize[1]}], crop: {fit.crop}}}

# Where the classifier looks for each tag. `method: cam` is quicker; on photographs it found less.
maps:
  lpcam: {{method: lpcam, scales: [1, 0.5, 1.5]}}

# Pseudo-masks along the edges of the image; the background score is chosen without masks.
masks:
  crf: {{method: crf}}

# The segmentation model for new images, evaluated on {evaluated}.
segmenters:
  deeplabv3plus:
    method: deeplabv3plus
    backbone: *backbone
    init_from_classifier: true
    epochs: {fit.epochs}
    batch_size: {fit.batch}
    optimizer: {{lr: {segmenter_rate}, head_factor: 10}}
    augment: {{resize: [{fit.resize[0]}, {fit.resize[1]}], crop: {fit.crop}}}

experiments:
  - {name} / vanilla / lpcam / crf / deeplabv3plus

# predict: # new images with the finished model: snakemake predict --cores 2 --configfile …
#   holiday: {{experiment: {name}/vanilla/lpcam/crf/deeplabv3plus, images: path/to/new/images}}
"""


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _indented(block: dict) -> str:
    lines = yaml.safe_dump(block, sort_keys=False, allow_unicode=True, width=100).splitlines()
    return "".join(f"    {line}\n" for line in lines)
