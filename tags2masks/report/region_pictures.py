"""Pictures of an object's regions of high and low scores, and charts of its pixels' distances."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import ImageColor

from tags2masks.data.images import read_image
from tags2masks.data.index import images_sha, rows_of, sizes_of
from tags2masks.metrics.region_pixels import NAMES, distances, region_numbers, shares
from tags2masks.metrics.regions import CAM_THRESHOLD, MAP_THRESHOLD
from tags2masks.report.analysis_pictures import ShownImage, ShownPictures
from tags2masks.report.lineage import ShownArtifact
from tags2masks.report.pictures import Tile, colours_picture, image_picture, map_picture
from tags2masks.report.stored import Dataset
from tags2masks.report.svg import INK, STYLE, svg
from tags2masks.report.tables import percent
from tags2masks.store import Shard

SPACE = "\N{NO-BREAK SPACE}"
MOST_POINTS = 500  # of a chart; each is some 60 bytes of the page
# The paper's: blue, yellow, maroon, green; as they are seen on white and on black.
COLOURS = ("#3b82d0", "#d9a300", "#b5344f", "#2f9c63")
SAID = tuple(name.upper().replace("_", "\N{NON-BREAKING HYPHEN}") for name in NAMES)


def region_pictures(key: str, artifact: ShownArtifact, dataset: Dataset) -> ShownPictures:
    """The regions of a few images by their CAM and by the artifact's maps.

    key: prefix of the charts' ids. Raises UserError naming what cannot be read or does not fit.
    """
    train = rows_of(dataset.rows, "train")
    sizes = dict(zip(train["image"], sizes_of(train), strict=True))
    shown = []
    with Shard(artifact.folder / "regions.zarr.zip", artifact.id, images_sha(train)) as shard:
        for place, image in enumerate(filter(shard.holds, train["image"])):
            layers, about = shard.read(image)
            pixels = read_image(dataset.files[image], sizes[image])
            shown.append(_shown(f"{key}-{place}", image, about["class"], pixels, layers))
    return ShownPictures(
        "High and low scores of an object’s pixels",
        "An object’s true pixels by whether their CAM is 0.25 or more (DR, else NDR), and whether "
        "their score in these maps is 0.15 or more (HSR, else LSR), with the regions’ shares. The "
        f"chart has at most {MOST_POINTS} of them, evenly spaced.",
        artifact.name,
        artifact.number,
        "maps/…/regions.csv and regions.zarr.zip",
        4,
        shown,
        tuple(zip(SAID, COLOURS, strict=True)),
    )


def _shown(key: str, image: str, name: str, pixels: np.ndarray, layers: np.ndarray) -> ShownImage:
    """An image from its CAM, map and true pixels, float32 [3, H, W]."""
    found = distances(*layers)
    said = ", ".join(
        f"{region}{SPACE}{percent(share)}{SPACE}%"
        for region, share in zip(SAID, shares(found), strict=True)
    )
    rgb = np.array([(0, 0, 0), *map(ImageColor.getrgb, COLOURS)], np.uint8)
    regions = colours_picture(pixels, region_numbers(found), rgb)
    tiles = [
        Tile(image_picture(pixels), "image", name, f"Image {image}, tagged {name}"),
        Tile(map_picture(pixels, layers[0]), "CAM", name, f"CAM of {name} in {image}"),
        Tile(map_picture(pixels, layers[1]), "map", name, f"Map of {name} in {image}"),
        Tile(regions, "regions", said, f"Regions of {name} in {image}: {said}"),
    ]
    alt = f"Distances of the pixels of {name} in {image} from both thresholds. {said}"
    return ShownImage(image, [tiles], _scatter(key, found), alt)


def _scatter(key: str, found: np.ndarray) -> str:
    """Evenly spaced pixels of the object by both distances, in the colours of their regions."""
    numbers = region_numbers(found)
    places = np.flatnonzero(numbers)
    step = max(1, -(-len(places) // MOST_POINTS))
    places = places[::step]
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": key}):
        figure = Figure(figsize=(4.2, 2.6), layout="constrained")
        axes = figure.subplots()
        for number, colour in enumerate(COLOURS, start=1):
            mine = places[numbers.flat[places] == number]
            cam, scores = found.reshape(2, -1)[:, mine]
            axes.plot(cam, scores, "o", markersize=2.2, markeredgewidth=0, color=colour, alpha=0.7)
        axes.axhline(0, color=INK, linewidth=0.7)
        axes.axvline(0, color=INK, linewidth=0.7)
        axes.set_xlim(-CAM_THRESHOLD - 0.02, 1.02 - CAM_THRESHOLD)
        axes.set_ylim(-MAP_THRESHOLD - 0.02, 1.02 - MAP_THRESHOLD)
        axes.set_xlabel("CAM − 0.25")
        axes.set_ylabel("map − 0.15")
        return svg(figure, key)
