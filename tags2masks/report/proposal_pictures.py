"""Pictures of what a detector's predictions of an object hang on, one proposal after another."""

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

from tags2masks.data.images import read_image
from tags2masks.data.index import images_sha, rows_of, sizes_of
from tags2masks.data.tables import read_table
from tags2masks.report import reading, tables
from tags2masks.report.analysis_pictures import ShownImage, ShownPictures
from tags2masks.report.lineage import ShownArtifact
from tags2masks.report.pictures import Picture, Tile, image_picture, map_picture
from tags2masks.report.stored import Dataset
from tags2masks.store import Shard

COLUMNS = ("split", "overlap", "high", "inside")


def proposal_pictures(artifact: ShownArtifact, dataset: Dataset) -> ShownPictures:
    """The gradients of a few objects' predictions, and what all of them come to.

    Raises UserError naming what cannot be read or does not fit.
    """
    table = read_table(artifact.folder / "proposals.csv", COLUMNS, reading.MEND)
    table = table.astype({"overlap": float, "high": int, "inside": int})
    return ShownPictures(
        "Gradients of like predictions",
        "How much each pixel changes what the detector says of one proposal, which has a bright "
        "frame; what it predicts from it has a dark one. " + _said(table),
        artifact.name,
        artifact.number,
        "maps/…/proposals.csv and proposals.zarr.zip",
        4,
        list(_shown(artifact, dataset, table["split"].iloc[0])) if len(table) else [],
    )


def _shown(artifact: ShownArtifact, dataset: Dataset, split: str) -> Iterator[ShownImage]:
    rows = rows_of(dataset.rows, split)
    sizes = dict(zip(rows["image"], sizes_of(rows), strict=True))
    with Shard(artifact.folder / "proposals.zarr.zip", artifact.id, images_sha(rows)) as shard:
        for image in filter(shard.holds, rows["image"]):
            maps, about = shard.read(image)
            pixels = read_image(dataset.files[image], sizes[image])
            yield ShownImage(image, [_tiles(image, pixels, maps, about)])


def _said(table) -> str:
    high = table["high"].sum()
    if not high:
        return "No proposal counts."
    inside, overlap = table["inside"].sum() / high, table["overlap"].mean()
    return (
        f"Of {len(table)} proposals: {tables.percent(inside)} % of the pixels of high gradients "
        f"are inside; their IoU with what is predicted is {tables.percent(overlap)} % in the mean."
    )


def _tiles(image: str, pixels: np.ndarray, maps: np.ndarray, about: dict) -> list[Tile]:
    name = about["class"]
    tiles = [Tile(image_picture(pixels), "image", name, f"Image {image}, with a {name}")]
    boxes = zip(maps, about["boxes"], about["predicted"], strict=True)
    for number, (scores, box, predicted) in enumerate(boxes, start=1):
        title = f"proposal {number}"
        picture = _picture(pixels, scores.astype(np.float32), box, predicted)
        tiles.append(Tile(picture, title, name, f"Gradients of {name} in {image}, {title}"))
    return tiles


def _picture(
    pixels: np.ndarray, scores: np.ndarray, box: list[float], predicted: list[float]
) -> Picture:
    """Scores [h, w] on black, with both boxes, whose sides are shares of the image's."""
    canvas = Image.new("RGB", pixels.shape[1::-1])
    draw = ImageDraw.Draw(canvas)
    sides = np.tile(canvas.size, 2)
    thick = max(1, max(canvas.size) // 150)
    for frame, grey in ((predicted, 110), (box, 255)):
        corners = (np.array(frame) * sides).round().clip(0, sides - 1)
        draw.rectangle(corners.tolist(), outline=(grey,) * 3, width=thick)
    return map_picture(np.asarray(canvas), scores)
