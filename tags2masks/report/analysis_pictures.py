"""Pictures of analyses on the page: rows of tiles for each of some images."""

from typing import NamedTuple

import numpy as np

from tags2masks.data.images import read_image
from tags2masks.data.index import images_sha, rows_of, sizes_of
from tags2masks.report.lineage import ShownArtifact
from tags2masks.report.pictures import Tile, image_picture, map_picture
from tags2masks.report.stored import Dataset
from tags2masks.store import Shard

MOST = 6  # maps in a row


class ShownImage(NamedTuple):
    """An image with rows of pictures below its heading; svg: a chart beside them, or "".

    alt: of the chart.
    """

    heading: str
    rows: list[list[Tile]]
    svg: str = ""
    alt: str = ""


class ShownPictures(NamedTuple):
    """The pictures of an analysis; legend: (name, CSS colour)."""

    title: str
    about: str
    name: str
    number: int
    source: str
    columns: int
    images: list[ShownImage]
    legend: tuple[tuple[str, str], ...] = ()


def gradient_pictures(artifact: ShownArtifact, dataset: Dataset) -> ShownPictures:
    """The gradients of a few planted images by layer, and of the logit over RIB's steps.

    Raises UserError naming the file or image that cannot be read or does not fit.
    """
    path = artifact.folder / "gradients.zarr.zip"
    train = rows_of(dataset.rows, "train")
    sizes = dict(zip(train["image"], sizes_of(train), strict=True))
    shown = []
    with Shard(path, artifact.id, images_sha(train)) as shard:
        for image in filter(shard.holds, train["image"]):
            by_layer, attributes = shard.read(image)
            pixels = read_image(dataset.files[image], sizes[image])
            of = attributes["class"]
            names = [f"layer {number}" for number in range(1, len(by_layer))] + ["logit"]
            photograph = Tile(image_picture(pixels), "image", of, f"Image {image}, of {of}")
            steps = shard.read_further("steps", image)
            after = [f"step {number}" for number in range(len(steps))]
            rows = [
                [photograph, *_tiles(pixels, image, by_layer, names, "")],
                _tiles(pixels, image, steps, after, "logit"),
            ]
            shown.append(ShownImage(image, rows))
    return ShownPictures(
        "Gradients by layer and over RIB’s steps",
        "How much each pixel changes the features of a layer, or the class’s logit: the largest "
        "gradient of its colours, as a share of the map’s highest, or of the first map’s, as the "
        "ratios of the charts have it. Below, the logit’s after steps of RIB.",
        artifact.name,
        artifact.number,
        "maps/…/gradients.zarr.zip",
        MOST + 1,
        shown,
    )


def _tiles(
    pixels: np.ndarray, image: str, maps: np.ndarray, names: list[str], note: str
) -> list[Tile]:
    """Pictures of maps [n, H, W], of which at most MOST are shown, evenly spaced.

    They are on black: over a bright digit the colours of a map would be pale.
    """
    places = np.linspace(0, len(maps) - 1, min(MOST, len(maps))).round().astype(int)
    return [
        Tile(
            map_picture(np.zeros_like(pixels), maps[place].astype(np.float32).clip(0, 1)),
            names[place],
            note,
            f"Gradients of {image}: {names[place]}",
        )
        for place in map(int, places)
    ]
