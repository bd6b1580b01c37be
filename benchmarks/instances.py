"""Average precision of instances: ours against pycocotools' own interface."""

import contextlib
import io
from functools import partial

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmarks.timing import Row, alternate, compared
from tags2masks.instance_store import Instance, instance
from tags2masks.metrics.instances import THRESHOLDS, precisions
from tags2masks.metrics.instances import compared as results_of

TITLE = "Average precision of instances"
HEADINGS = ("ours", "pycocotools")
ABOUT = (
    "AP at eleven IoU thresholds and of four ranges of areas, in one process. pycocotools by its "
    "usual way: annotations of both, `evaluate`, `accumulate`; it looks at every class in every "
    "image. Ours gives the same figures, and the best overlaps, and is divided among processes."
)
SIZE = (375, 500)

Pairs = list[tuple[list[Instance], list[Instance]]]


def material(images: int, classes: int, instances: float) -> Pairs:
    """Ellipses as true instances, and moved ones to be measured, with scores."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices(SIZE)

    def ellipse(middle: np.ndarray, axes: np.ndarray) -> np.ndarray:
        return ((rows - middle[0]) / axes[0]) ** 2 + ((columns - middle[1]) / axes[1]) ** 2 <= 1

    pairs: Pairs = []
    for _ in range(images):
        true, found = [], []
        for _ in range(rng.poisson(instances)):
            number = int(rng.integers(1, classes + 1))
            middle, axes = rng.random(2) * SIZE, rng.uniform(8, 120, 2)
            moved = middle + rng.normal(0, 0.2, 2) * axes
            true.append(instance(number, ellipse(middle, axes)))
            found.append(instance(number, ellipse(moved, axes), float(rng.random())))
        pairs.append((true, found))
    return pairs


def by_pycocotools(pairs: Pairs, classes: int) -> np.ndarray:
    """AP by threshold, class and range of areas, as by `precisions`."""

    def annotated(which: int) -> COCO:
        made = COCO()
        every = [(number, each) for number, pair in enumerate(pairs) for each in pair[which]]
        made.dataset = {
            "images": [{"id": n, "height": SIZE[0], "width": SIZE[1]} for n in range(len(pairs))],
            "categories": [{"id": number} for number in range(1, classes + 1)],
            "annotations": [
                {
                    "id": place,
                    "image_id": number,
                    "category_id": each.class_id,
                    "segmentation": each.code,
                    "area": int(coco_mask.area(each.code)),
                    "iscrowd": 0,
                    "score": each.score,
                }
                for place, (number, each) in enumerate(every, start=1)
            ],
        }
        made.createIndex()
        return made

    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(annotated(0), annotated(1), "segm")
        judge.params.iouThrs = THRESHOLDS
        judge.params.maxDets = [100]
        judge.evaluate()
        judge.accumulate()
    curves = judge.eval["precision"][..., 0]
    return np.where(curves[:, 0] < 0, np.nan, curves.mean(axis=1))


def ours(pairs: Pairs, classes: int) -> np.ndarray:
    """The same by `metrics.instances`."""
    return precisions(results_of(pairs, classes), classes)


def measure(quick: bool) -> list[Row]:
    """Seconds for some images of VOC, and of COCO, by their numbers of classes and instances."""
    images, repeats = (20, 1) if quick else (1000, 3)
    rows = []
    for name, classes, instances in (("VOC", 20, 2.4), ("COCO", 80, 7.3)):
        pairs = material(images, classes, instances)
        work = [partial(ours, pairs, classes), partial(by_pycocotools, pairs, classes)]
        np.testing.assert_allclose(*(run() for run in work), atol=1e-12)
        what = f"{images:,} images like {name}'s: {classes} classes, {instances} instances an image"
        rows.append(compared(what, *alternate(work, repeats)))
    return rows
