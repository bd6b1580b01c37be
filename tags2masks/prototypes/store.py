"""The prototypes artifact: each class's cluster centres, their scores and nearest patches."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tags2masks.store import Shard, write_shard


class Patch(NamedTuple):
    """A place in a training image that is like a prototype.

    cell: (row, column) in the feature map. box: (left, top, right, bottom) in pixels of the image.
    similarity: cosine, −1 to 1.
    """

    image: str
    cell: tuple[int, int]
    box: tuple[int, int, int, int]
    similarity: float


class ClassPrototypes(NamedTuple):
    """The cluster centres of a class's local features, chosen as prototypes or not.

    vectors: float32 [n, C]. context: bool [n], false for those of the class itself. scores:
    float [n], the classifier's confidence that a centre is the class. chosen: bool [n]. sizes:
    the number of sampled features in each cluster. nearest: the patches most like each centre,
    best first, one an image.
    """

    vectors: np.ndarray
    context: np.ndarray
    scores: np.ndarray
    chosen: np.ndarray
    sizes: np.ndarray
    nearest: list[list[Patch]]


def write_prototypes(
    path: Path | str,
    about: dict,
    images_sha: str,
    prototypes: Iterable[tuple[str, ClassPrototypes]],
) -> None:
    """Write (class, prototypes) pairs, in the format of a shard with classes instead of images."""
    write_shard(
        path,
        about,
        images_sha,
        (
            (
                name,
                of_class.vectors,
                {
                    "context": of_class.context.tolist(),
                    "scores": of_class.scores.tolist(),
                    "chosen": of_class.chosen.tolist(),
                    "sizes": of_class.sizes.tolist(),
                    "nearest": [
                        [patch._asdict() for patch in patches] for patches in of_class.nearest
                    ],
                },
            )
            for name, of_class in prototypes
        ),
    )


def read_prototypes(
    path: Path | str, artifact_id: str, images_sha: str, classes: Sequence[str]
) -> list[ClassPrototypes]:
    """The prototypes of the classes, in their order.

    Raises UserError naming the file when it is damaged or was made from something else.
    """
    prototypes = []
    with Shard(path, artifact_id, images_sha) as shard:
        for name in classes:
            vectors, about = shard.read(name)
            patches = [
                [
                    Patch(p["image"], tuple(p["cell"]), tuple(p["box"]), p["similarity"])
                    for p in patches
                ]
                for patches in about["nearest"]
            ]
            prototypes.append(
                ClassPrototypes(
                    vectors,
                    np.array(about["context"], bool),
                    np.array(about["scores"], np.float64),
                    np.array(about["chosen"], bool),
                    np.array(about["sizes"], np.int64),
                    patches,
                )
            )
    return prototypes
