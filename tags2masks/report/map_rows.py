"""Maps in rows: of all chains for one image, and of classes that an image is not tagged with."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tags2masks.data.index import images_sha, spaced
from tags2masks.errors import UserError
from tags2masks.report.lineage import ShownArtifact
from tags2masks.report.pictures import Tile, image_picture, map_picture
from tags2masks.report.stored import Dataset, pixels_of, shards_of
from tags2masks.store import Shard

UNTAGGED = "untagged.zarr.zip"


class Row(NamedTuple):
    """An image and maps of it; None is an empty place."""

    image: str
    tiles: list[Tile | None]


class UntaggedMaps(NamedTuple):
    """The rows of a maps artifact; columns: the most tiles of a row."""

    name: str
    number: int
    rows: list[Row]
    columns: int


def side_by_side(
    maps: Sequence[ShownArtifact], dataset: Dataset, wanted: int | Sequence[str] | None
) -> list[Row]:
    """A row for each tag of each wanted image: the image, and its map by each maps artifact.

    wanted: the images by name, or a number of training images with tags, evenly spaced; None: none.
    Maps that were made of some images only have an empty place. Raises UserError for an unknown
    image, or a shard that cannot be read or does not fit.
    """
    if not wanted or not maps:
        return []
    chosen = dataset.rows[dataset.rows["image"].isin(_images(dataset, wanted))]
    stored = {
        artifact.name: {
            image: shard.read(image)
            for shard, images in shards_of(dataset, chosen, artifact.folder)
            for image in images
            if shard.holds(image)
        }
        for artifact in maps
    }
    rows = []
    for row in chosen.to_dict("records"):
        pixels, image = pixels_of(dataset, row), row["image"]
        for tag in row["tags"]:
            tiles = [
                _map_of(pixels, image, tag, name, of.get(image)) for name, of in stored.items()
            ]
            rows.append(Row(image, [image_tile(pixels, row), *tiles]))
    return rows


def _images(dataset: Dataset, wanted: int | Sequence[str]) -> list[str]:
    if isinstance(wanted, int):
        tagged = dataset.rows.loc[dataset.rows["tags"].map(bool).astype(bool), "image"]
        return spaced(tagged.tolist(), wanted)
    known = dataset.rows["image"].tolist()
    for name in wanted:
        if name not in known:
            raise UserError(
                f"report.side_by_side.{dataset.name}: no training image '{name}'; write names of "
                f"results/{dataset.name}/train.csv, or a number"
            )
    return list(wanted)


def _map_of(
    pixels: np.ndarray, image: str, tag: str, chain: str, stored: tuple[np.ndarray, dict] | None
) -> Tile | None:
    if stored is None:
        return None
    maps, attributes = stored
    scores = maps[attributes["classes"].index(tag)]
    alt = f"Where {tag} is seen in {image} by {chain}"
    return Tile(map_picture(pixels, scores), chain, tag, alt)


def untagged_maps(
    maps: Sequence[ShownArtifact], dataset: Dataset, asked: Collection[Path]
) -> list[UntaggedMaps]:
    """Of each maps artifact for which the config asks it, rows of tagged and of untagged classes.

    asked: the files that the config asks for. Raises UserError for one that cannot be read.
    """
    sha, found = images_sha(dataset.rows), []
    for artifact in maps:
        if artifact.folder / UNTAGGED not in asked:
            continue
        with Shard(artifact.folder / UNTAGGED, artifact.id, sha) as shard:
            rows = [
                Row(row["image"], _untagged_tiles(pixels_of(dataset, row), row, shard))
                for row in dataset.rows.to_dict("records")
                if shard.holds(row["image"])
            ]
        columns = max(len(row.tiles) for row in rows)
        found.append(UntaggedMaps(artifact.name, artifact.number, rows, columns))
    return found


def _untagged_tiles(pixels: np.ndarray, row: dict, shard: Shard) -> list[Tile]:
    """The image, the maps of its tags, and those of other classes."""
    image = row["image"]
    maps, attributes = shard.read(image)
    by_class = dict(zip(attributes["classes"], maps, strict=True))
    tiles = [image_tile(pixels, row)]
    for name in sorted(by_class, key=lambda name: name not in row["tags"]):
        title, what = ("map", "is") if name in row["tags"] else ("untagged", "would be")
        alt = f"Where {name} {what} seen in {image}"
        tiles.append(Tile(map_picture(pixels, by_class[name]), title, name, alt))
    return tiles


def image_tile(pixels: np.ndarray, row: dict) -> Tile:
    """The image of a row of the index, with its tags."""
    tags = ", ".join(row["tags"]) or "no tag"
    alt = f"Image {row['image']}, tagged {tags}"
    return Tile(image_picture(pixels), "image", tags, alt)
