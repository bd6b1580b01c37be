"""Predictions of all chains for an image of val, in a row."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from tags2masks.data.index import rows_of, spaced
from tags2masks.instance_store import read_instances
from tags2masks.mask_ids import IGNORED
from tags2masks.report.gallery import instances_tile, legend_of, mask_tile
from tags2masks.report.lineage import ShownArtifact
from tags2masks.report.map_rows import Row, image_tile
from tags2masks.report.stored import Dataset, pixels_of, shards_of, truth_of


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
    rows = {row["image"]: row for row in chosen.to_dict("records")}
    pixels = {image: pixels_of(dataset, row) for image, row in rows.items()}
    truths = {image: truth_of(dataset, rows[image]) for image in rows if image in dataset.truth}
    tiles = {image: [image_tile(pixels[image], row)] for image, row in rows.items()}
    occurring = set()
    for artifact in predictions:
        for shard, images in shards_of(dataset, chosen, artifact.folder):
            for image in images:
                mask, of = shard.read(image)[0], f"{image} by {artifact.name}"
                occurring |= set(np.unique(mask).tolist())
                about = (dataset, pixels[image], mask, truths.get(image))
                tiles[image].append(mask_tile(*about, artifact.name, f"Prediction of {of}"))
                if artifact.id in with_instances:
                    about = (pixels[image], read_instances(shard, image), dataset.classes)
                    tiles[image].append(instances_tile(*about, artifact.name, f"Instances of {of}"))
    for image, truth in truths.items():
        occurring |= set(np.unique(truth).tolist())
        about = (dataset, pixels[image], truth, None)
        tiles[image].append(mask_tile(*about, "truth", f"Truth of {image}"))
    return PredictionRows(
        [Row(image, found) for image, found in tiles.items()],
        legend_of(dataset.classes, occurring),
        IGNORED in occurring,
    )
