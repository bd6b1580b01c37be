"""Example images of an experiment: image, maps, objects, masks and truth side by side."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tags2masks.data.index import spaced
from tags2masks.instance_store import Instance
from tags2masks.mask_ids import IGNORED
from tags2masks.metrics.confusion import class_mean, confusion, scores
from tags2masks.report.colours import mask_colours
from tags2masks.report.examples import choose, choose_groups
from tags2masks.report.hint_tiles import hint_tiles
from tags2masks.report.pictures import (
    Tile,
    image_picture,
    instances_picture,
    map_picture,
    mask_picture,
    overlay_picture,
)
from tags2masks.report.step_tiles import pass_tiles, restricted_tiles, step_tiles
from tags2masks.report.stored import (
    CERTAIN,
    Dataset,
    Steps,
    instances_of,
    labels_of,
    pixels_of,
    read_predictions,
    read_shards,
    read_singles,
    read_steps,
)
from tags2masks.report.tables import percent
from tags2masks.stages import STAGES, figured

MOST_SAID = 4  # instances of one image in a caption
SURE = 0.3  # instances of a lower score would cover the others
MOST_MAPS = 3  # of one image; those of the highest mean are shown
OBJECTS = {"objectness": "objects", "object_masks": "object mask"}  # the titles of their tiles


class Example(NamedTuple):
    """A training image with its maps, objects and masks; None is an empty place.

    steps: rows below them: the maps after steps of a method that goes in steps, and the masks that
    restrict these, or the maps of single passes, if they are kept.
    """

    image: str
    tags: tuple[str, ...]
    tiles: list[Tile | None]
    steps: list[list[Tile]]


class Gallery(NamedTuple):
    """The examples of an experiment by group; legend: (name, CSS colour) of classes that occur."""

    groups: dict[str, list[Example]]
    columns: int
    legend: list[tuple[str, str]]
    ignored: bool


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
        stage: read_shards(dataset, chosen, folder, stage, artifacts.get(stage))
        for stage in figured("maps", "labels")
        if STAGES[stage].split == "train"
    } | {
        CERTAIN: read_shards(dataset, chosen, folder, CERTAIN, artifacts.get(CERTAIN)),
        "predictions": read_predictions(chosen, folder, artifacts),
    }
    steps = read_steps(dataset, chosen, folder, artifacts.get("maps"))
    singles = read_singles(dataset, chosen, folder, artifacts.get("maps"))
    of_stages = instances_of(dataset, chosen, folder, experiment)
    objects = [(*one, read_shards(dataset, chosen, folder, *one)) for one in experiment["objects"]]
    hints = [
        (each["chain"], each["score"], read_shards(dataset, chosen, folder, "maps", each["maps"]))
        for each in experiment["hints"]
    ]
    pixels = {image: pixels_of(dataset, row) for image, row in _by_image(chosen)}
    labels = {image: labels_of(dataset, row, stored) for image, row in _by_image(chosen)}
    widest = max([1, *(len(maps) for maps, _ in stored["maps"].values())])
    places = min(widest, MOST_MAPS) if "maps" in artifacts else 0
    examples = {
        image: Example(
            image,
            row["tags"],
            [
                *_seen(pixels[image], row, stored["maps"].get(image), places),
                *(
                    tile
                    for chain, score, arrays in hints
                    for tile in hint_tiles(pixels[image], image, arrays[image][0], chain, score)
                ),
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
                *_step_rows(pixels[image], image, steps.get(image)),
                *_pass_rows(pixels[image], image, singles.get(image)),
            ],
        )
        for image, row in _by_image(chosen)
    }
    occurring = {int(i) for masks in labels.values() for m in masks.values() for i in np.unique(m)}
    return Gallery(
        {name: [examples[image] for image in images] for name, images in groups.items()},
        max((len(example.tiles) for example in examples.values()), default=1),
        legend_of(dataset.classes, occurring),
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


def _step_rows(pixels: np.ndarray, image: str, steps: Steps | None) -> list[list[Tile]]:
    if steps is None:
        return []
    rows = [step_tiles(pixels, image, steps.maps, steps.classes)]
    if steps.restricted is not None:
        rows.append(restricted_tiles(pixels, image, *steps))
    return [row for row in rows if row]


def _pass_rows(pixels: np.ndarray, image: str, singles: tuple | None) -> list[list[Tile]]:
    row = [] if singles is None else pass_tiles(pixels, image, *singles)
    return [row] if row else []


def _instances_tile(
    dataset: Dataset, pixels: np.ndarray, image: str, title: str, instances: list[Instance] | None
) -> Tile | None:
    if instances is None:
        return None
    return instances_tile(
        pixels, instances, dataset.classes, title, f"{title.capitalize()} of {image}"
    )


def instances_tile(
    pixels: np.ndarray, instances: list[Instance], classes: list[str], title: str, alt: str
) -> Tile:
    """The instances with a score of at least SURE over their image."""
    sure = [each for each in instances if each.score >= SURE]
    said = [f"{classes[each.class_id - 1]} {each.score:.2f}" for each in sure]
    note = ", ".join(said[:MOST_SAID]) + (" …" if len(said) > MOST_SAID else "") or "none"
    if len(sure) < len(instances):
        note += f"; {len(instances) - len(sure)} below {SURE}"
    return Tile(instances_picture(pixels, sure), title, note, f"{alt}: {note}")


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
    if what not in labels:
        return None
    title = (STAGES[what].figure or STAGES[what].title.lower()) if what in STAGES else what
    truth = None if what in (CERTAIN, "truth") else labels.get("truth")
    tile = mask_tile(
        dataset, pixels, labels[what], truth, title, f"{title.capitalize()} of {row['image']}"
    )
    if what == CERTAIN:
        share = (labels[what] != IGNORED).mean()
        return tile._replace(note=f"of {percent(share)} % of the pixels")
    return tile


def mask_tile(
    dataset: Dataset,
    pixels: np.ndarray,
    mask: np.ndarray,
    truth: np.ndarray | None,
    title: str,
    alt: str,
) -> Tile:
    """A mask in flat colours, or over its image in data sets without true masks.

    truth: None where no IoU is to be said; alt: what it is, before what it shows.
    """
    shown = [dataset.classes[i - 1] for i in np.unique(mask) if 0 < i < IGNORED]
    note, quality = ", ".join(shown) or "background alone", ""
    if truth is not None:
        note = f"IoU {percent(image_iou(truth, mask, len(dataset.classes)))}"
        quality = f"; {note} %"
    picture = mask_picture(mask) if dataset.truth else overlay_picture(pixels, mask)
    return Tile(picture, title, note, f"{alt}: {', '.join(shown) or 'background'}{quality}")


def legend_of(classes: list[str], occurring: set[int]) -> list[tuple[str, str]]:
    """(name, CSS colour) of background and classes that occur."""
    colours = mask_colours()
    names = ["background", *classes]
    return [
        (names[i], "#{:02x}{:02x}{:02x}".format(*colours[i]))
        for i in range(len(names))
        if i in occurring
    ]
