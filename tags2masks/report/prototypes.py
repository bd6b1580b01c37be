"""Pictures of each class's prototypes: the image patches that are most similar to them."""

from typing import NamedTuple

import numpy as np

from tags2masks.data.images import read_image
from tags2masks.data.index import images_sha, sizes_of
from tags2masks.prototypes.store import ClassPrototypes, Patch, read_prototypes
from tags2masks.report.lineage import ShownArtifact
from tags2masks.report.pictures import Picture, strip_picture
from tags2masks.report.stored import Dataset

MOST_CLASSES = 3  # the first ones; each takes about 100 kB of the page
AROUND = 3  # side of a shown patch in cells: a cell with its neighbours


class Strip(NamedTuple):
    """A prototype: its nearest patches side by side. score: the classifier's confidence."""

    picture: Picture
    score: float
    size: int
    alt: str


class ShownClass(NamedTuple):
    """The chosen prototypes of a class, best first, and the number of centres of each kind."""

    name: str
    own: list[Strip]
    own_of: int
    context: list[Strip]
    context_of: int


class ShownPrototypes(NamedTuple):
    """A prototypes artifact on the page; more: the number of classes that are not shown."""

    name: str
    number: int
    classes: list[ShownClass]
    more: int


def shown_prototypes(artifact: ShownArtifact, dataset: Dataset) -> ShownPrototypes:
    """The first classes of an artifact.

    Raises UserError naming the file or image that cannot be read or does not fit.
    """
    path = artifact.folder / "prototypes.zarr.zip"
    names = dataset.classes[:MOST_CLASSES]
    prototypes = read_prototypes(path, artifact.id, images_sha(dataset.rows), names)
    classes = [
        _shown(name, of_class, dataset) for name, of_class in zip(names, prototypes, strict=True)
    ]
    return ShownPrototypes(
        artifact.name, artifact.number, classes, len(dataset.classes) - len(names)
    )


def _shown(name: str, prototypes: ClassPrototypes, dataset: Dataset) -> ShownClass:
    chosen = [
        patches for patches, on in zip(prototypes.nearest, prototypes.chosen, strict=True) if on
    ]
    crops = _crops([patch for patches in chosen for patch in patches], dataset)
    strips: dict[bool, list[Strip]] = {False: [], True: []}
    for at in sorted(np.flatnonzero(prototypes.chosen), key=lambda at: -prototypes.scores[at]):
        images = ", ".join(patch.image for patch in prototypes.nearest[at])
        strips[bool(prototypes.context[at])].append(
            Strip(
                strip_picture([crops[patch] for patch in prototypes.nearest[at]]),
                float(prototypes.scores[at]),
                int(prototypes.sizes[at]),
                f"Patches of {images}",
            )
        )
    of_context = int(prototypes.context.sum())
    return ShownClass(
        name, strips[False], len(prototypes.context) - of_context, strips[True], of_context
    )


def _crops(patches: list[Patch], dataset: Dataset) -> dict[Patch, np.ndarray]:
    """The pixels of each patch; every image is read once."""
    sizes = dict(zip(dataset.rows["image"], sizes_of(dataset.rows), strict=True))
    crops: dict[Patch, np.ndarray] = {}
    for image in dict.fromkeys(patch.image for patch in patches):
        pixels = read_image(dataset.files[image], sizes[image])
        for patch in patches:
            if patch.image == image:
                crops[patch] = crop(pixels, patch.box)
    return crops


def crop(pixels: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """The box with as much again on each side, shifted into the image: uint8 [h, w, 3].

    pixels: uint8 [H, W, 3]; box: left, top, right, bottom.
    """
    parts = []
    for start, end, side in ((box[1], box[3], len(pixels)), (box[0], box[2], pixels.shape[1])):
        length = min(AROUND * (end - start), side)
        first = min(max((start + end - length) // 2, 0), side - length)
        parts.append(slice(first, first + length))
    return pixels[parts[0], parts[1]]
