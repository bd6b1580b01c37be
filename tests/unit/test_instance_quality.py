"""Average precision and best overlap: by hand, and as pycocotools' own interface has them."""

import contextlib
import io
import operator
from functools import reduce

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tags2masks.instance_store import instance
from tags2masks.metrics.instances import compared, instance_rows, precisions


def strip(start, stop, length=40):
    """A mask of one row."""
    mask = np.zeros((1, length), bool)
    mask[0, start:stop] = True
    return mask


def figures(pairs, classes=("cat",)):
    """The figures by metric and class."""
    rows = instance_rows(compared(pairs, len(classes)), classes, "train", len(pairs))
    return {(row["metric"], row["class"]): row["value"] for row in rows.to_dict("records")}


def test_the_oracle_by_hand():
    # 6 of 10 pixels of the first, 3 of 10 of the second.
    true = [instance(1, strip(0, 10)), instance(1, strip(20, 30))]
    found = [instance(1, strip(0, 6), 0.9), instance(1, strip(20, 23), 0.8)]
    told = figures([(true, found)])
    assert told["ap25", "mean"] == 1
    assert told["ap50", "mean"] == pytest.approx(51 / 101)  # recall 0, 0.01, … 0.5 of 101 points
    assert told["ap70", "mean"] == told["ap75", "mean"] == 0
    # IoU 0.6 passes 0.5, 0.55 and 0.6 of the ten thresholds.
    assert told["ap", "mean"] == pytest.approx(3 / 10 * 51 / 101)
    assert told["abo", "mean"] == told["abo", "cat"] == pytest.approx(0.45)
    assert told["abo_instances", "mean"] == pytest.approx(0.45)


def test_best_overlaps_are_means_over_classes_or_over_instances():
    true = [instance(1, strip(0, 10)), instance(1, strip(10, 20)), instance(2, strip(20, 30))]
    found = [instance(1, strip(0, 10)), instance(1, strip(30, 35)), instance(1, strip(20, 30))]
    told = figures([(true, found)], ("cat", "dog"))
    assert told["abo", "cat"] == 0.5 and told["abo", "dog"] == 0  # of the same class alone
    assert told["abo", "mean"] == 0.25 and told["abo_instances", "mean"] == pytest.approx(1 / 3)


def test_classes_without_truth_and_crowds_do_not_count():
    crowd = instance(1, strip(0, 20), crowd=True)
    true = [crowd, instance(1, strip(30, 40))]
    found = [
        instance(1, strip(30, 40), 0.9),
        instance(1, strip(0, 5), 0.95),
        instance(2, strip(0, 5)),
    ]
    told = figures([(true, found), ([], [])], ("cat", "dog"))
    assert told["ap50", "cat"] == pytest.approx(1)  # that in the crowd is neither right nor wrong
    assert told["abo", "cat"] == 1 and ("ap", "dog") not in told and ("abo", "dog") not in told
    assert figures([(true, [])])["ap", "mean"] == 0
    assert figures([([], []), ([], found)], ("cat", "dog")) == {}


def test_a_false_instance_of_another_image_counts():
    true = [instance(1, strip(0, 10))]
    right, wrong = instance(1, strip(0, 10), 0.5), instance(1, strip(0, 10), 0.6)
    assert figures([(true, [right]), ([], [wrong])])["ap", "cat"] == pytest.approx(0.5)


def test_sizes_are_those_of_true_masks():
    big = np.zeros((100, 100), bool)
    big[:, :97] = True
    small = np.zeros((100, 100), bool)
    small[:10, :10] = True
    told = figures([([instance(1, big), instance(1, small)], [instance(1, big)])])
    assert told["aps", "mean"] == 0 and told["apl", "mean"] == pytest.approx(1)
    assert ("apm", "mean") not in told
    # The large one of 100 × 97 pixels is a tenth of the small one's.
    assert told["abol", "cat"] == told["abol", "mean"] == 1
    assert told["abos", "cat"] == pytest.approx(100 / 9700) and ("abom", "mean") not in told
    assert told["abo", "cat"] == pytest.approx((1 + 100 / 9700) / 2)


def blob(rng, size):
    mask = np.zeros(size, bool)
    top, left = (int(rng.integers(side - 4)) for side in size)
    mask[top : top + int(rng.integers(3, 70)), left : left + int(rng.integers(3, 70))] = True
    return mask


def scattered(rng, images, classes, size=(120, 110)):
    """Random true instances, and some near them, with equal scores among them."""
    pairs = []
    for _ in range(images):
        true = [
            instance(int(rng.integers(1, classes + 1)), blob(rng, size), crowd=rng.random() < 0.1)
            for _ in range(rng.integers(0, 6))
        ]
        near = [(t.class_id, np.roll(t.mask, tuple(rng.integers(-6, 7, 2)), (0, 1))) for t in true]
        near += [
            (int(rng.integers(1, classes + 1)), blob(rng, size)) for _ in range(rng.integers(4))
        ]
        found = [instance(c, m, float(rng.integers(1, 6)) / 5) for c, m in near]
        pairs.append((true, found))
    return pairs


def by_pycocotools(pairs, classes):
    """AP at each threshold, class and range of areas by its files and `evaluate`."""

    def coco(which):
        annotations = []
        for image, pair in enumerate(pairs):
            for each in pair[which]:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image,
                        "category_id": each.class_id,
                        "segmentation": each.code,
                        "area": float(coco_mask.area(each.code)),
                        "bbox": [0, 0, 1, 1],
                        "iscrowd": int(each.crowd),
                        "score": each.score,
                    }
                )
        made = COCO()
        made.dataset = {
            "images": [{"id": n, "height": 120, "width": 110} for n in range(len(pairs))],
            "categories": [{"id": number} for number in range(1, classes + 1)],
            "annotations": annotations,
        }
        made.createIndex()
        return made

    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(coco(0), coco(1), "segm")
        judge.params.iouThrs = np.array([0.25, *judge.params.iouThrs])
        judge.evaluate()
        judge.accumulate()
    curves = judge.eval["precision"][..., -1]
    return np.where(curves[:, 0] < 0, np.nan, curves.mean(1))


@pytest.mark.parametrize("seed", [0, 1])
def test_precisions_are_those_of_pycocotools(seed):
    pairs = scattered(np.random.default_rng(seed), 30, 4)
    parts = [compared(pairs[start : start + 7], 5) for start in range(0, 30, 7)]
    ours = precisions(reduce(operator.add, parts), 5)
    np.testing.assert_allclose(ours, by_pycocotools(pairs, 5), atol=1e-12)
    assert 0.05 < np.nanmean(ours) < 0.95 and np.isnan(ours[:, 4]).all()


def test_best_overlaps_are_those_of_a_plain_loop():
    pairs = scattered(np.random.default_rng(3), 20, 3)
    told = compared(pairs, 3).overlaps
    for class_id in (1, 2, 3):
        plain = [
            (
                t.mask.sum(),
                max(
                    [
                        (t.mask & f.mask).sum() / (t.mask | f.mask).sum()
                        for f in found
                        if f.class_id == class_id
                    ],
                    default=0,
                ),
            )
            for true, found in pairs
            for t in true
            if t.class_id == class_id and not t.crowd
        ]
        np.testing.assert_allclose(told[class_id - 1], plain)
