"""From maps that have walked along affinities to masks, and to instances."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from skimage.measure import label as connected

from tags2masks.config.masks import Irn, Walk
from tags2masks.data.images import ImageFile, read_image
from tags2masks.masks.label_crf import refine
from tags2masks.masks.seeds import upsample
from tags2masks.parallel import map_ordered
from tags2masks.store import Entry

FRAGMENT = 0.01
"""Instances smaller than this share of the image have score 0, as in IRN's public code."""


class Walked(NamedTuple):
    """An image's walked maps, float32 [N, h, w] in 0..1, and the mask id of each, 0 of background.

    More than one map of an id are instances of its class.
    """

    image: str
    file: ImageFile
    scores: np.ndarray
    class_ids: np.ndarray
    size: tuple[int, int]


class Finished(NamedTuple):
    """A mask uint8 [H, W], and the instances if they were asked for.

    instances: uint16 [H, W], 0 for none; objects: [class id, score] of instance 1, 2, …
    """

    image: str
    mask: np.ndarray
    instances: np.ndarray | None
    objects: list[list]


def entries(
    walked: Iterator[Walked], spec: Walk, workers: int, scheduler: str | None, desc: str, total: int
) -> Iterator[Entry]:
    """The store's entries of the masks, upsampled and, if so wished, refined by a CRF.

    The CRF runs in worker processes, or at the address of a Dask scheduler. total: how many images
    there are.
    """
    finished = map_ordered(
        partial(finish, spec=spec),
        walked,
        workers=workers if spec.crf else 1,  # without a CRF it is not worth the processes
        scheduler=scheduler if spec.crf else None,
        batch=4 * spec.batch_size,
        desc=desc,
        total=total,
    )
    for name, mask, instances, objects in finished:
        attributes = {"size": list(mask.shape)}
        if instances is None:
            yield name, mask, attributes
        else:
            yield name, mask, attributes | {"instances": objects}, {"instances": instances}


def finish(walked: Walked, spec: Walk) -> Finished:
    """The mask of one image: each pixel's best map, if it beats the background; then the CRF.

    Scores are divided by the image's highest. Runs in a worker process.
    """
    scores = upsample(walked.scores, walked.size)
    if scores.size and scores.max() > 0:
        scores /= scores.max()
    best = np.zeros(walked.size, np.uint16)  # 1 and up: the winning map
    if len(scores):
        best = (scores.argmax(0) + 1).astype(np.uint16)
        if isinstance(spec, Irn):  # others have a map of the background
            best[scores.max(0) <= np.float32(spec.background_score)] = 0
    mask = np.concatenate([[0], walked.class_ids]).astype(np.uint8)[best]
    if spec.crf:
        mask = refine(read_image(walked.file, walked.size), mask, spec.crf)
    if not (isinstance(spec, Irn) and spec.instances):
        return Finished(walked.image, mask, None, [])
    return Finished(walked.image, mask, *_instances(best, scores, walked.class_ids))


def _instances(
    best: np.ndarray, scores: np.ndarray, class_ids: np.ndarray
) -> tuple[np.ndarray, list[list]]:
    """Connected parts of each map's pixels, numbered, with class and highest score."""
    parts = connected(best, background=0, connectivity=1).astype(np.uint16)
    sizes = np.bincount(parts.ravel())
    objects = []
    for number in range(1, len(sizes)):
        inside = parts == number
        which = best[inside][0] - 1
        large = sizes[number] >= FRAGMENT * parts.size
        objects.append(
            [int(class_ids[which]), float(scores[which][inside].max()) if large else 0.0]
        )
    return parts, objects
