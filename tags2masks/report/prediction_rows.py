"""Predictions of all chains for an image of val, in a row."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from tags2masks.data.index import rows_of, spaced
from tags2masks.data.truth import read_mask
from tags2masks.instance_store import read_instances
from tags2masks.mask_ids import IGNORED
from tags2masks.report.gallery import image_iou, instances_tile, legend_of
from tags2masks.report.lineage import ShownArtifact
from tags2masks.report.map_rows import Row
from tags2masks.report.pictures import (
    Tile,
    image_picture,
    mask_picture,
    overlay_picture,
)
from tags2masks.report.stored import Dataset, pixels_of, shards_of
from tags2masks.report.tables import percent


class PredictionRows(NamedTuple):
    """Rows of val's images; legend: (name, CSS colour) of the classes in them."""

    rows: list[Row]
    legend: list[tuple[str, str]]
    ignored: bool


def prediction_rows(
    predictions: Sequence[ShownArtifact],
    with_instances: Collection[str],
    dataset: Dataset,
    count: int,
) -> PredictionRows | None:
    """Images of val with tags, evenly spaced: each with every chain's prediction, and the truth.

    predictions: those of val's images; with_instances: the ids of those that have instances.
    None where nothing is predicted, or val is empty. Raises UserError for a shard that cannot be
    read or does not fit.
    """
    val = rows_of(dataset.index, "val")
    tagged = val[val["tags"].map(bool).astype(bool)]
    chosen = tagged[tagged["image"].isin(spaced(tagged["image"].tolist(), count))]
    if not predictions or chosen.empty:
        return None
    tiles: dict[str, list[Tile | None]] = {}
    pixels, truths, occurring = {}, {}, set()
    for row in chosen.to_dict("records"):
        image, tags = row["image"], ", ".join(row["tags"])
        pixels[image] = pixels_of(dataset, row)
        if image in dataset.truth:
            size = (int(row["height"]), int(row["width"]))
            truths[image] = read_mask(dataset.truth[image], dataset.table, size)
        alt = f"Image {image}, tagged {tags}"
        tiles[image] = [Tile(image_picture(pixels[image]), "image", tags, alt)]
    for artifact in predictions:
        for shard, images in shards_of(dataset, chosen, artifact.folder):
            for image in images:
                mask, truth = shard.read(image)[0], truths.get(image)
                occurring |= set(np.unique(mask).tolist())
                title = artifact.name
                tiles[image].append(_mask_tile(dataset, pixels[image], mask, truth, title, image))
                if artifact.id in with_instances:
                    found, alt = read_instances(shard, image), f"Instances in {image} by {title}"
                    tiles[image].append(
                        instances_tile(pixels[image], found, dataset.classes, title, alt)
                    )
    for image, truth in truths.items():
        occurring |= set(np.unique(truth).tolist())
        tiles[image].append(_mask_tile(dataset, pixels[image], truth, None, "truth", image))
    rows = [Row(image, found) for image, found in tiles.items()]
    return PredictionRows(rows, legend_of(dataset.classes, occurring), IGNORED in occurring)


def _mask_tile(
    dataset: Dataset,
    pixels: np.ndarray,
    mask: np.ndarray,
    truth: np.ndarray | None,
    title: str,
    image: str,
) -> Tile:
    """A mask in flat colours, or over its image in data sets without true masks."""
    shown = [dataset.classes[i - 1] for i in np.unique(mask) if 0 < i < IGNORED]
    note = said = ", ".join(shown) or "background alone"
    if truth is not None:
        note = f"IoU {percent(image_iou(truth, mask, len(dataset.classes)))}"
        said += f"; {note} %"
    picture = mask_picture(mask) if dataset.truth else overlay_picture(pixels, mask)
    what = "Truth" if title == "truth" else "Prediction"
    by = "" if title == "truth" else f" by {title}"
    return Tile(picture, title, note, f"{what} of {image}{by}: {said}")
