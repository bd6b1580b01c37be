"""Example images of an experiment: image, maps, objects, masks and truth side by side."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tags2masks.data.images import ImageFile, read_image
from tags2masks.data.index import (
    SPLITS,
    files_of,
    images_sha,
    read_classes,
    read_index,
    rows_of,
    spaced,
)
from tags2masks.data.readers import dataset_block, reader_module
from tags2masks.data.truth import MaskTable, read_mask, read_truth
from tags2masks.instance_store import Instance, read_instances
from tags2masks.mask_ids import IGNORED
from tags2masks.metrics.confusion import class_mean, confusion, scores
from tags2masks.report.colours import mask_colours
from tags2masks.report.examples import choose, choose_groups
from tags2masks.report.pictures import (
    Tile,
    image_picture,
    instances_picture,
    map_picture,
    mask_picture,
    overlay_picture,
)
from tags2masks.report.step_tiles import pass_tiles, step_tiles
from tags2masks.report.tables import percent
from tags2masks.stages import STAGES, figured
from tags2masks.store import Shard

MOST_SAID = 4  # instances of one image in a caption
MOST_MAPS = 3  # of one image; those of the highest mean are shown
CERTAIN = "labels"  # the stage whose masks an affinity network learns from
OBJECTS = {"objectness": "objects", "object_masks": "object mask"}  # the titles of their tiles


class Dataset(NamedTuple):
    """The data of a data set that a report needs.

    rows: the training images; files: their files; truth: the mask file of each image that has one.
    """

    name: str
    classes: list[str]
    index: pd.DataFrame
    rows: pd.DataFrame
    files: dict[str, ImageFile]
    truth: dict[str, Path]
    table: MaskTable


class Example(NamedTuple):
    """A training image with its maps, objects and masks; None is an empty place.

    steps: below them the maps after steps, or of single passes, if the method has these and keeps
    them.
    """

    image: str
    tags: tuple[str, ...]
    tiles: list[Tile | None]
    steps: list[Tile]


class Gallery(NamedTuple):
    """The examples of an experiment by group; legend: (name, CSS colour) of classes that occur."""

    groups: dict[str, list[Example]]
    columns: int
    legend: list[tuple[str, str]]
    ignored: bool


def read_dataset(name: str, where: dict, results: Path, has_truth: bool) -> Dataset:
    """Read the data of a data set; where: root, truth_root and spec, see `page.write_page`."""
    folder = results / name
    index = read_index(*(folder / f"{split}.csv" for split in SPLITS))
    classes = read_classes(folder / "classes.txt", index)
    spec = dataset_block(where["spec"])
    rows = rows_of(index, "train")
    truth: dict[str, Path] = {}
    if has_truth:
        listed = read_truth(folder / "truth.csv")
        masks = [Path(where["truth_root"]) / mask for mask in listed["mask"]]
        truth = dict(zip(listed["image"], masks, strict=True))
    return Dataset(
        name=name,
        classes=classes,
        index=index,
        rows=rows,
        files=dict(zip(rows["image"], files_of(rows, where["root"]), strict=True)),
        truth=truth,
        table=reader_module(spec.kind).mask_table(spec, classes),
    )


def gallery(experiment: dict, dataset: Dataset, results: Path, count: int) -> Gallery:
    """The examples of an experiment (an entry of the outline).

    Raises UserError naming the shard or image that cannot be read or does not fit.
    """
    artifacts, folder = experiment["artifacts"], results / dataset.name
    measured = experiment["has_truth"] and "masks" in artifacts
    quality = folder / "masks" / artifacts["masks"] / "images.csv" if measured else None
    rows = dataset.rows
    if experiment.get("images"):  # other images have no maps
        rows = rows[rows["image"].isin(spaced(rows["image"].tolist(), experiment["images"]))]
    groups = choose_groups(rows, quality, count)
    chosen = rows[rows["image"].isin(choose(rows, quality, count))]
    stored = {
        stage: _read_shards(dataset, chosen, folder, stage, artifacts.get(stage))
        for stage in figured("maps", "labels")
        if STAGES[stage].split == "train"
    } | {
        CERTAIN: _read_shards(dataset, chosen, folder, CERTAIN, artifacts.get(CERTAIN)),
        "predictions": _read_predictions(chosen, folder, artifacts),
    }
    steps, singles = (
        _read_further(dataset, chosen, folder, artifacts.get("maps"), kind)
        for kind in ("steps", "singles")
    )
    of_stages = _read_instances(dataset, chosen, folder, experiment)
    objects = [(*one, _read_shards(dataset, chosen, folder, *one)) for one in experiment["objects"]]
    pixels = {image: _pixels(dataset, row) for image, row in _by_image(chosen)}
    labels = {image: _labels(dataset, row, stored) for image, row in _by_image(chosen)}
    widest = max([1, *(len(maps) for maps, _ in stored["maps"].values())])
    places = min(widest, MOST_MAPS) if "maps" in artifacts else 0
    examples = {
        image: Example(
            image,
            row["tags"],
            [
                *_seen(pixels[image], row, stored["maps"].get(image), places),
                *(
                    _object_tile(pixels[image], image, stage, artifact, arrays[image][0])
                    for stage, artifact, arrays in objects
                ),
                *(
                    _instances_tile(dataset, pixels[image], image, title, own.get(image))
                    for title, own in of_stages.items()
                ),
                *(
                    _mask_tile(dataset, row, pixels[image], labels[image], what)
                    for what in _columns(experiment, dataset)
                ),
            ],
            [
                tile
                for draw, kept in ((step_tiles, steps), (pass_tiles, singles))
                if image in kept
                for tile in draw(pixels[image], image, *kept[image])
            ],
        )
        for image, row in _by_image(chosen)
    }
    occurring = {int(i) for masks in labels.values() for m in masks.values() for i in np.unique(m)}
    return Gallery(
        {name: [examples[image] for image in images] for name, images in groups.items()},
        1 + places + len(objects) + len(of_stages) + len(_columns(experiment, dataset)),
        _legend(dataset.classes, occurring),
        IGNORED in occurring,
    )


def image_iou(truth: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """Mean IoU over the classes in truth or labels, including background."""
    return float(class_mean(scores(confusion(truth, labels, classes))["iou"]))


def _by_image(rows: pd.DataFrame) -> list[tuple[str, dict]]:
    return [(row["image"], row) for row in rows.to_dict("records")]


def _columns(experiment: dict, dataset: Dataset) -> list[str]:
    """The label images to show side by side."""
    possible = [CERTAIN, *figured("labels")]
    stages = [stage for stage in possible if stage in experiment["artifacts"]]
    return [*stages, "truth"] if dataset.truth else stages


def _shards_of(dataset: Dataset, chosen: pd.DataFrame, folder: Path) -> Iterator:
    """(shard of an artifact's folder, the chosen images that it holds), one after another."""
    for number in sorted(set(chosen["shard"])):
        sha = images_sha(rows_of(dataset.rows, "train", number))
        with Shard(folder / f"{number}.zarr.zip", folder.name, sha) as shard:
            images = chosen.loc[chosen["shard"] == number, "image"]
            yield shard, [image for image in images if not shard.partial or shard.holds(image)]


def _read_shards(
    dataset: Dataset, chosen: pd.DataFrame, folder: Path, stage: str, artifact: str | None
) -> dict:
    """Array and attributes of the chosen images; {} without an artifact."""
    if artifact is None:
        return {}
    return {
        image: shard.read(image)
        for shard, images in _shards_of(dataset, chosen, folder / stage / artifact)
        for image in images
    }


def _read_further(
    dataset: Dataset, chosen: pd.DataFrame, folder: Path, artifact: str | None, kind: str
) -> dict[str, tuple[np.ndarray, list[str]]]:
    """Where they are kept: further maps of a kind of the chosen images, and their classes."""
    if artifact is None:
        return {}
    return {
        image: (shard.read_further(kind, image), shard.read(image)[1]["classes"])
        for shard, images in _shards_of(dataset, chosen, folder / "maps" / artifact)
        for image in images
        if shard.holds(image, kind)
    }


def _read_instances(dataset, chosen, folder, experiment) -> dict[str, dict[str, list[Instance]]]:
    """The instances of the chosen images, by title and image.

    Those of the last stage of the experiment that gives some of the training images, and those that
    are predicted.
    """
    steps = [step[1:] for step in experiment["steps"] if step[2] in experiment["instances"]]
    entries: dict[str, dict[str, list[Instance]]] = {}
    for stage, artifact in [step for step in steps if step[0] != "predictions"][-1:]:
        entries["instances"] = {
            image: read_instances(shard, image)
            for shard, images in _shards_of(dataset, chosen, folder / stage / artifact)
            for image in images
        }
    for _, artifact in [step for step in steps if step[0] == "predictions"]:
        with _examples(chosen, folder, artifact) as shard:
            found = {image: read_instances(shard, image) for image in chosen["image"]}
        entries["predicted instances"] = found
    return entries


def _read_predictions(chosen, folder, artifacts) -> dict:
    if "predictions" not in artifacts:
        return {}
    with _examples(chosen, folder, artifacts["predictions"]) as shard:
        return {image: shard.read(image) for image in chosen["image"]}


def _examples(chosen: pd.DataFrame, folder: Path, artifact: str) -> Shard:
    """The predictions of the chosen images."""
    return Shard(folder / "examples" / f"{artifact}.zarr.zip", artifact, images_sha(chosen))


def _labels(dataset: Dataset, row: dict, stored: dict) -> dict[str, np.ndarray]:
    """The label images of an image: certain labels, mask, prediction, truth, if they exist."""
    image = row["image"]
    labels = {
        stage: stored[stage][image][0]
        for stage in (CERTAIN, *figured("labels"))
        if image in stored[stage]
    }
    if image in dataset.truth:
        size = (int(row["height"]), int(row["width"]))
        labels["truth"] = read_mask(dataset.truth[image], dataset.table, size)
    return labels


def _pixels(dataset: Dataset, row: dict) -> np.ndarray:
    return read_image(dataset.files[row["image"]], (int(row["height"]), int(row["width"])))


def _seen(pixels: np.ndarray, row: dict, maps: tuple | None, places: int) -> list[Tile | None]:
    """The image and its maps, padded with None to `places` maps."""
    tags = ", ".join(row["tags"]) or "no tag"
    tiles: list[Tile | None] = [
        Tile(image_picture(pixels), "image", tags, f"Image {row['image']}, tagged {tags}")
    ]
    values, attributes = maps or (np.empty((0, 1, 1)), {"classes": []})
    order = sorted(range(len(values)), key=lambda at: -float(values[at].mean(dtype=np.float64)))
    for at in sorted(order[:places]):
        name = attributes["classes"][at]
        more = len(values) - places
        note = f"{name} (and {more} more)" if more > 0 and at == max(order[:places]) else name
        alt = f"Where {name} is seen in {row['image']}"
        tiles.append(Tile(map_picture(pixels, values[at]), "map", note, alt))
    return tiles + [None] * (1 + places - len(tiles))


def _instances_tile(
    dataset: Dataset, pixels: np.ndarray, image: str, title: str, instances: list[Instance] | None
) -> Tile | None:
    if instances is None:
        return None
    said = [f"{dataset.classes[each.class_id - 1]} {each.score:.2f}" for each in instances]
    note = ", ".join(said[:MOST_SAID]) + (" …" if len(said) > MOST_SAID else "") or "none"
    picture = instances_picture(pixels, instances)
    return Tile(picture, title, note, f"{title.capitalize()} of {image}: {note}")


def _object_tile(
    pixels: np.ndarray, image: str, stage: str, artifact: str, array: np.ndarray
) -> Tile:
    """Objects of any class, from a map [1, h, w] in 0 to 1, or from a mask [H, W] of 0 and 1."""
    method = artifact.rpartition("-")[0]
    scores = (array if array.ndim == 2 else array[0]).astype(np.float32)
    title = OBJECTS[stage]
    alt = f"{title.capitalize()} of {image}, of any class, by {method}"
    return Tile(map_picture(pixels, scores), title, f"any class, {method}", alt)


def _mask_tile(
    dataset: Dataset, row: dict, pixels: np.ndarray, labels: dict, what: str
) -> Tile | None:
    """A mask in flat colours beside the truth, or over its image where there is none."""
    if what not in labels:
        return None
    title = (STAGES[what].figure or STAGES[what].title.lower()) if what in STAGES else what
    shown = [dataset.classes[i - 1] for i in np.unique(labels[what]) if 0 < i < IGNORED]
    note, quality = ", ".join(shown) or "background alone", ""
    if what == CERTAIN:
        note = f"of {percent((labels[what] != IGNORED).mean())} % of the pixels"
    elif "truth" in labels and what != "truth":
        note = f"IoU {percent(image_iou(labels['truth'], labels[what], len(dataset.classes)))}"
        quality = f"; {note} %"
    alt = f"{title.capitalize()} of {row['image']}: {', '.join(shown) or 'background'}{quality}"
    mask = labels[what]
    picture = mask_picture(mask) if dataset.truth else overlay_picture(pixels, mask)
    return Tile(picture, title, note, alt)


def _legend(classes: list[str], occurring: set[int]) -> list[tuple[str, str]]:
    colours = mask_colours()
    names = ["background", *classes]
    return [
        (names[i], "#{:02x}{:02x}{:02x}".format(*colours[i]))
        for i in range(len(names))
        if i in occurring
    ]
