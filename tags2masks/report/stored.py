"""What pictures of the report are drawn from: data sets, and arrays of chosen images."""

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
)
from tags2masks.data.readers import dataset_block, reader_module
from tags2masks.data.truth import MaskTable, read_mask, read_truth
from tags2masks.instance_store import Instance, read_instances
from tags2masks.stages import figured
from tags2masks.store import Shard

CERTAIN = "labels"  # the stage whose masks an affinity network learns from


class Dataset(NamedTuple):
    """The data of a data set that a report needs.

    rows: the training images; files: those of training and val images; truth: the mask file of each
    image that has one.
    """

    name: str
    classes: list[str]
    index: pd.DataFrame
    rows: pd.DataFrame
    files: dict[str, ImageFile]
    truth: dict[str, Path]
    table: MaskTable


def read_dataset(name: str, where: dict, results: Path, has_truth: bool) -> Dataset:
    """Read the data of a data set; where: root, truth_root and spec, see `page.write_page`."""
    folder = results / name
    index = read_index(*(folder / f"{split}.csv" for split in SPLITS))
    classes = read_classes(folder / "classes.txt", index)
    spec = dataset_block(where["spec"])
    shown = index[index["split"].isin(["train", "val"])]
    truth: dict[str, Path] = {}
    if has_truth:
        listed = read_truth(folder / "truth.csv")
        masks = [Path(where["truth_root"]) / mask for mask in listed["mask"]]
        truth = dict(zip(listed["image"], masks, strict=True))
    return Dataset(
        name=name,
        classes=classes,
        index=index,
        rows=rows_of(index, "train"),
        files=dict(zip(shown["image"], files_of(shown, where["root"]), strict=True)),
        truth=truth,
        table=reader_module(spec.kind).mask_table(spec, classes),
    )


def shards_of(dataset: Dataset, chosen: pd.DataFrame, folder: Path) -> Iterator:
    """(shard of an artifact's folder, the chosen images that it holds), one after another.

    The images are of one split, that of the artifact.
    """
    for (split, number), mine in chosen.groupby(["split", "shard"]):
        sha = images_sha(rows_of(dataset.index, split, number))
        with Shard(folder / f"{number}.zarr.zip", folder.name, sha) as shard:
            images = mine["image"]
            yield shard, [image for image in images if not shard.partial or shard.holds(image)]


def read_shards(
    dataset: Dataset, chosen: pd.DataFrame, folder: Path, stage: str, artifact: str | None
) -> dict:
    """Array and attributes of the chosen images; {} without an artifact."""
    if artifact is None:
        return {}
    return {
        image: shard.read(image)
        for shard, images in shards_of(dataset, chosen, folder / stage / artifact)
        for image in images
    }


class Steps(NamedTuple):
    """The maps of an image's steps, [k, T, h, w], and its k classes.

    restricted: where they are restricted, [k, T - 1, h, w], if it is stored.
    """

    maps: np.ndarray
    classes: list[str]
    restricted: np.ndarray | None


def read_steps(
    dataset: Dataset, chosen: pd.DataFrame, folder: Path, artifact: str | None
) -> dict[str, Steps]:
    """The steps of the chosen images, where they are kept."""
    if artifact is None:
        return {}
    return {
        image: Steps(
            shard.read_further("steps", image),
            shard.read(image)[1]["classes"],
            shard.read_further("restricted", image) if shard.holds(image, "restricted") else None,
        )
        for shard, images in shards_of(dataset, chosen, folder / "maps" / artifact)
        for image in images
        if shard.holds(image, "steps")
    }


def read_singles(
    dataset: Dataset, chosen: pd.DataFrame, folder: Path, artifact: str | None
) -> dict[str, tuple[np.ndarray, list[str]]]:
    """Maps of single random passes of the chosen images and their classes, where they are kept."""
    if artifact is None:
        return {}
    return {
        image: (shard.read_further("singles", image), shard.read(image)[1]["classes"])
        for shard, images in shards_of(dataset, chosen, folder / "maps" / artifact)
        for image in images
        if shard.holds(image, "singles")
    }


def instances_of(dataset, chosen, folder, experiment) -> dict[str, dict[str, list[Instance]]]:
    """The instances of the chosen images, by title and image.

    Those of the last stage of the experiment that gives some of the training images, and those that
    are predicted.
    """
    steps = [step[1:] for step in experiment["steps"] if step[2] in experiment["instances"]]
    entries: dict[str, dict[str, list[Instance]]] = {}
    for stage, artifact in [step for step in steps if step[0] != "predictions"][-1:]:
        entries["instances"] = {
            image: read_instances(shard, image)
            for shard, images in shards_of(dataset, chosen, folder / stage / artifact)
            for image in images
        }
    for _, artifact in [step for step in steps if step[0] == "predictions"]:
        with _examples(chosen, folder, artifact) as shard:
            found = {image: read_instances(shard, image) for image in chosen["image"]}
        entries["predicted instances"] = found
    return entries


def read_predictions(chosen, folder, artifacts) -> dict:
    if "predictions" not in artifacts:
        return {}
    with _examples(chosen, folder, artifacts["predictions"]) as shard:
        return {image: shard.read(image) for image in chosen["image"]}


def _examples(chosen: pd.DataFrame, folder: Path, artifact: str) -> Shard:
    """The predictions of the chosen images."""
    return Shard(folder / "examples" / f"{artifact}.zarr.zip", artifact, images_sha(chosen))


def labels_of(dataset: Dataset, row: dict, stored: dict) -> dict[str, np.ndarray]:
    """The label images of an image: certain labels, mask, prediction, truth, if they exist."""
    image = row["image"]
    labels = {
        stage: stored[stage][image][0]
        for stage in (CERTAIN, *figured("labels"))
        if image in stored[stage]
    }
    if image in dataset.truth:
        labels["truth"] = truth_of(dataset, row)
    return labels


def truth_of(dataset: Dataset, row: dict) -> np.ndarray:
    """The true mask of an image that has one, uint8 [H, W]."""
    size = (int(row["height"]), int(row["width"]))
    return read_mask(dataset.truth[row["image"]], dataset.table, size)


def pixels_of(dataset: Dataset, row: dict) -> np.ndarray:
    return read_image(dataset.files[row["image"]], (int(row["height"]), int(row["width"])))
