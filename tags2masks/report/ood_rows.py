"""Rows of the out-of-distribution images that classifiers learned from."""

from collections.abc import Collection, Sequence
from pathlib import Path

from tags2masks.data.index import images_sha
from tags2masks.report.lineage import ShownArtifact
from tags2masks.report.map_rows import Row
from tags2masks.report.pictures import Tile, image_picture
from tags2masks.report.stored import Dataset
from tags2masks.store import Shard

OOD_IMAGES = "ood.zarr.zip"


def ood_rows(
    classifiers: Sequence[ShownArtifact], dataset: Dataset, asked: Collection[Path]
) -> list[Row]:
    """A row for each classifier for which the config asks it, under the classifier's name.

    asked: the files that the config asks for. Raises UserError for one that cannot be read.
    """
    rows, sha = [], images_sha(dataset.rows)
    for artifact in classifiers:
        if artifact.folder / OOD_IMAGES in asked:
            with Shard(artifact.folder / OOD_IMAGES, artifact.id, sha) as shard:
                tiles = [_tile(image, *shard.read(image)) for image in shard.images]
            rows.append(Row(artifact.name, tiles))
    return rows


def _tile(image, pixels, attributes) -> Tile:
    seen, score = attributes["class"], attributes["score"]
    note = "not ranked" if seen is None else f"taken for {seen}, {score:.2f}"
    alt = f"Out-of-distribution image {image}, {note}"
    return Tile(image_picture(pixels), "image", note, alt)
