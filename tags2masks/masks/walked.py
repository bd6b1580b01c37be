"""Masks and instances from maps after a random walk."""

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
    """An image's maps after the walk, float32 [N, h, w] in 0..1, and their mask ids.

    Several maps with the same id are instances of that class.
    """

    image: str
    file: ImageFile
    scores: np.ndarray
    class_ids: np.ndarray
    size: tuple[int, int]


class Finished(NamedTuple):
    """A mask, uint8 [H, W], and optionally instances.

    instances: uint16 [H, W], 0 for none; objects: [class id, score] of instance 1, 2, …
    """

    image: str
    mask: np.ndarray
    instances: np.ndarray | None
    objects: list[list]


def entries(
    walked: Iterator[Walked], spec: Walk, workers: int, scheduler: str | None, desc: str, total: int
) -> Iterator[Entry]:
    """Yield the store's entries of the masks, upsampled and optionally refined by a CRF.

    The CRF runs in worker processes, or on a Dask scheduler's workers. total: the number of images.
    """
    finished = map_ordered(
        partial(finish, spec=spec),
        walked,
        workers=workers if spec.crf else 1,  # without a CRF processes do not pay off
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
    """The mask of one image: the best map of each pixel, or background; then the CRF, if any.

    Scores are divided by the image's highest score. Runs in worker processes.
    """
    scores = upsample(walked.scores, walked.size)
    if scores.size and scores.max() > 0:
        scores /= scores.max()
    best = np.zeros(walked.size, np.uint16)  # 1 + the number of the best map
    if len(scores):
        best = (scores.argmax(0) + 1).astype(np.uint16)
        if isinstance(spec, Irn):  # other methods have a background map
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
    """Numbered connected components of each map's pixels, with class and highest score."""
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
