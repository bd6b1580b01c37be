"""Average precision of boxes, as COCO measures it, by pycocotools."""

import contextlib
import io
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tags2masks.metrics.classification import mean_average_precision


class Truth(NamedTuple):
    """The true boxes of an image.

    edges: float [n, 4], x1, y1, x2, y2; classes: int [n], from 1; ignored: bool [n], detections of
    which count neither for nor against, as those of COCO's crowds.
    """

    edges: np.ndarray
    classes: np.ndarray
    ignored: np.ndarray


class Detections(NamedTuple):
    """The boxes found in an image: edges float [n, 4], classes int [n], scores float [n]."""

    edges: np.ndarray
    classes: np.ndarray
    scores: np.ndarray


def box_ap(images: Iterable[tuple[Truth, Detections]], classes: int) -> dict[str, np.ndarray]:
    """`ap` (mean of IoU 0.5, 0.55, …, 0.95), `ap50` and `ap75` of each class, 0 to 1: float64 [K].

    Precision at 101 recalls, the best 100 detections of an image, boxes of any size; NaN for a
    class without a true box. A box's width is x2 − x1. COCO's figures are the means over classes.
    """
    truth, found = [], []
    count = 0
    for count, (true, detected) in enumerate(images, start=1):
        for edges, number, ignored in zip(*true, strict=True):
            truth.append(_annotation(count, edges, number) | {"iscrowd": int(ignored)})
        for edges, number, score in zip(*detected, strict=True):
            found.append(_annotation(count, edges, number) | {"score": float(score)})
    everything = {
        "images": [{"id": number} for number in range(1, count + 1)],
        "categories": [{"id": number} for number in range(1, classes + 1)],
    }
    evaluation = COCOeval(_coco(everything, truth), _coco(everything, found), "bbox")
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        evaluation.evaluate()
        evaluation.accumulate()
    # [IoU, recall, class] of all sizes and the most detections; -1 for a class without a true box.
    precision = evaluation.eval["precision"][..., 0, -1]
    precision = np.where(precision < 0, np.nan, precision).mean(axis=1)
    return {"ap": precision.mean(axis=0), "ap50": precision[0], "ap75": precision[5]}


def mean_over_classes(figures: dict[str, np.ndarray]) -> dict[str, float]:
    """The means over the classes with a figure; NaN where none has one."""
    return {name: mean_average_precision(values) for name, values in figures.items()}


def _annotation(image: int, edges: np.ndarray, number: int) -> dict:
    x1, y1, x2, y2 = map(float, edges)
    width, height = x2 - x1, y2 - y1
    return {
        "image_id": image,
        "category_id": int(number),
        "bbox": [x1, y1, width, height],
        "area": width * height,
        "iscrowd": 0,
    }


def _coco(everything: dict, boxes: list[dict]) -> COCO:
    coco = COCO()
    coco.dataset = everything | {"annotations": [b | {"id": n} for n, b in enumerate(boxes, 1)]}
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco
