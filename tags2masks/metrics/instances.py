"""The quality of instances: COCO's average precision, and the average best overlap.

Average precision is that of pycocotools (masks, 101 points of recall, at most 100 instances of a
class and image); papers that report VOC's all-point average differ from it by about a point. Small,
medium and large objects (`aps`, `apm`, `apl`) are divided at areas of 32² and 96² pixels, of their
masks.

The average best overlap is the MABO of Uijlings et al. ("Selective search", IJCV 2013), among
instances of a class: of each true instance the highest IoU of an instance of its class, their mean
over each class, and the mean over the classes. `abos`, `abom` and `abol` are of small, medium and
large ones alone. `abo_instances` is the mean over all true instances.
"""

import contextlib
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
import pandas as pd
from pycocotools import mask as coco_mask
from pycocotools.cocoeval import COCOeval

from tags2masks.data.true_instances import TRUE
from tags2masks.instance_store import Instance, read_instances
from tags2masks.metrics.confusion import class_mean
from tags2masks.metrics.rows import frame
from tags2masks.store import Shard

COCO_THRESHOLDS = np.linspace(0.5, 0.95, 10)
THRESHOLDS = np.array([0.25, *COCO_THRESHOLDS])
SINGLE = {"ap25": 0.25, "ap50": 0.5, "ap70": 0.7, "ap75": 0.75}
SIZES = {"s": "small", "m": "medium", "l": "large"}
MOST = 100  # instances of a class and image that count, those of the highest scores
USED = ("dtScores", "dtMatches", "dtIgnore", "gtIgnore")  # what COCOeval.accumulate reads


class InstanceChunk(NamedTuple):
    """Some images of one shard, measured together by one worker; truth: the shard of the true."""

    shard: str
    artifact_id: str
    images_sha: str
    truth: str
    images: Sequence[str]


@dataclass(frozen=True)
class InstanceQuality:
    """Results over some images; `+` puts two sets of images together.

    matches: per class and range of areas, COCOeval's results of each image with an instance of the
    class, true or not; overlaps: per class, the area and the best IoU of each true instance.
    """

    matches: list[list[dict]]
    overlaps: list[list[tuple[int, float]]]

    def __add__(self, other: "InstanceQuality") -> "InstanceQuality":
        pairs = (
            zip(self.matches, other.matches, strict=True),
            zip(self.overlaps, other.overlaps, strict=True),
        )
        return InstanceQuality(*([a + b for a, b in both] for both in pairs))


def instance_quality(chunk: InstanceChunk, classes: int) -> InstanceQuality:
    """The results of a chunk's images. Raises UserError naming a shard that does not fit."""
    with (
        Shard(chunk.shard, chunk.artifact_id, chunk.images_sha) as shard,
        Shard(chunk.truth, TRUE, chunk.images_sha) as truth,
    ):
        pairs = [
            (read_instances(truth, image), read_instances(shard, image)) for image in chunk.images
        ]
    return compared(pairs, classes)


def compared(
    pairs: Sequence[tuple[Sequence[Instance], Sequence[Instance]]], classes: int
) -> InstanceQuality:
    """The results of images; pairs: the true instances of each, and those to be measured.

    pycocotools also looks at classes that an image does not have. Here its tables are filled
    directly, without its annotation files, so that it need not.
    """
    judge = _judge(classes)
    for image, (true, measured) in enumerate(pairs):
        for table, instances in ((judge._gts, true), (judge._dts, measured)):
            for each in instances:
                table[image, each.class_id].append(_annotation(each, image))
    ranges = judge.params.areaRng
    matches: list[list[dict]] = [[] for _ in range(classes * len(ranges))]
    overlaps: list[list[tuple[int, float]]] = [[] for _ in range(classes)]
    for image, class_id in sorted(judge._gts.keys() | judge._dts.keys()):
        for table in (judge._gts, judge._dts):
            table.setdefault((image, class_id), [])
        iou = judge.computeIoU(image, class_id)
        judge.ious[image, class_id] = iou
        true = judge._gts[image, class_id]
        best = np.max(iou, axis=0) if len(iou) else np.zeros(len(true))
        overlaps[class_id - 1] += [
            (each["area"], float(overlap))
            for each, overlap in zip(true, best, strict=True)
            if not each["iscrowd"]
        ]
        for at, area in enumerate(ranges):
            result = judge.evaluateImg(image, class_id, area, MOST)
            kept = {name: result[name] for name in USED}
            matches[(class_id - 1) * len(ranges) + at].append(kept)
    return InstanceQuality(matches, overlaps)


def _judge(classes: int) -> COCOeval:
    judge = COCOeval(iouType="segm")
    judge.params.catIds = list(range(1, classes + 1))
    judge.params.iouThrs, judge.params.maxDets = THRESHOLDS, [MOST]
    judge._gts, judge._dts = defaultdict(list), defaultdict(list)
    return judge


def _annotation(each: Instance, number: int) -> dict:
    """An instance as COCOeval has it. Ids must not be 0, and need not be unique."""
    return {
        "id": 1,
        "image_id": number,
        "category_id": each.class_id,
        "segmentation": each.code,
        "area": int(coco_mask.area(each.code)),
        "score": each.score,
        "iscrowd": int(each.crowd),
        "ignore": int(each.crowd),
    }


def precisions(quality: InstanceQuality, classes: int) -> np.ndarray:
    """Average precision by threshold, class and range of areas: [T, K, 4]; NaN without truth."""
    judge = _judge(classes)
    most = max(map(len, quality.matches))
    judge.params.imgIds = list(range(most))
    judge._paramsEval = judge.params
    padded = (results + [None] * (most - len(results)) for results in quality.matches)
    judge.evalImgs = list(chain.from_iterable(padded))
    if most == 0:
        return np.full((len(THRESHOLDS), classes, len(judge.params.areaRng)), np.nan)
    with contextlib.redirect_stdout(io.StringIO()):
        judge.accumulate()
    curves = judge.eval["precision"][..., 0]  # [T, R, K, A]; −1 without truth
    return np.where(curves[:, 0] < 0, np.nan, curves.mean(axis=1))


def instance_rows(
    quality: InstanceQuality, classes: Sequence[str], split: str, images: int
) -> pd.DataFrame:
    """Tidy rows (`rows.COLUMNS`) of each class and of their mean; classes without truth are left
    out.

    ap: mean over the IoU thresholds 0.5, 0.55, … 0.95; ap25 and so on: at one.
    """
    found = precisions(quality, len(classes))
    params = _judge(0).params
    areas = dict(zip(params.areaRngLbl, range(found.shape[2]), strict=True))
    usual = found[1:]
    figures = {"ap": usual[..., areas["all"]].mean(axis=0)}
    for metric, threshold in SINGLE.items():
        at = int(np.argmin(np.abs(THRESHOLDS - threshold)))
        figures[metric] = found[at, :, areas["all"]]
    figures |= {f"ap{of}": usual[..., areas[size]].mean(axis=0) for of, size in SIZES.items()}
    for of, size in ({"": "all"} | SIZES).items():
        low, high = params.areaRng[areas[size]]
        best = [[iou for area, iou in own if low <= area <= high] for own in quality.overlaps]
        figures[f"abo{of}"] = np.array([np.mean(own) if own else np.nan for own in best])
    rows = [
        (metric, name, value)
        for metric, values in figures.items()
        for name, value in zip(["mean", *classes], [class_mean(values), *values], strict=True)
    ]
    every = [overlap for own in quality.overlaps for _, overlap in own]
    rows.append(("abo_instances", "mean", np.mean(every) if every else np.nan))
    return frame(rows, split, np.nan, False, images)
