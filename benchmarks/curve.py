"""Quality at every threshold: one pass over the pixels against a loop over the thresholds."""

import numpy as np

from benchmarks.material import smooth_maps, smooth_mask
from benchmarks.timing import Row, alternate, compared
from tags2masks.masks.seeds import best_class, upsample
from tags2masks.metrics.confusion import confusion
from tags2masks.metrics.curve import confusions, score_histogram, thresholds

TITLE = "Curve over background scores"
HEADINGS = ("one pass", "beside it")
ABOUT = (
    "The confusion matrices of one image's maps at 50 background scores, 20 classes. Plain: at "
    "each score the argmax of [score, maps], and a count. The floor is one score alone, done "
    "plainly: that much has to be looked at in any case."
)
CLASSES = 20
THRESHOLDS = 50


def one_pass(maps, class_ids, truth, limits):
    """int64 [T, K + 1, K + 1], as `tags2masks` has it."""
    return confusions(score_histogram(maps, class_ids, truth, limits, CLASSES))


def plain_loop(maps, class_ids, truth, limits):
    """The same, with argmax over [threshold, maps] at each threshold."""
    ids = np.array([0, *class_ids], np.uint8)
    stack = np.empty((len(maps) + 1, *truth.shape), np.float32)
    stack[1:] = maps
    matrices = []
    for limit in limits:
        stack[0] = limit
        matrices.append(confusion(truth, ids[stack.argmax(axis=0)], CLASSES)[:, :-1])
    return np.array(matrices)


def best_first_loop(maps, class_ids, truth, limits):
    """The same, with the best class found once, and the loop over thresholds after it."""
    best, ids = best_class(maps, class_ids)
    return np.array([confusion(truth, np.where(best > t, ids, 0), CLASSES)[:, :-1] for t in limits])


def example(height: int, width: int) -> tuple:
    """Maps of two classes at full size, their ids, the truth, and the thresholds."""
    rng = np.random.default_rng(0)
    small = smooth_maps(rng, 2, -(-height // 4), -(-width // 4))
    class_ids = [3, 15]
    truth = smooth_mask(small, class_ids, (height, width))
    return upsample(small, (height, width)), class_ids, truth, thresholds(THRESHOLDS - 1, 0)


def measure(quick: bool) -> list[Row]:
    """Seconds per image."""
    maps, class_ids, truth, limits = example(*((30, 40) if quick else (375, 500)))
    assert len(limits) == THRESHOLDS
    case = (maps, class_ids, truth, limits)
    expected = plain_loop(*case)
    for function in (one_pass, best_first_loop):
        np.testing.assert_array_equal(function(*case), expected)
    fast, plain, best_first, single = alternate(
        [
            lambda: one_pass(*case),
            lambda: plain_loop(*case),
            lambda: best_first_loop(*case),
            lambda: plain_loop(maps, class_ids, truth, limits[15:16]),
        ],
        2 if quick else 9,
    )
    size = " × ".join(map(str, maps.shape))
    return [
        compared(f"plain loop, maps {size}", fast, plain),
        compared("loop with the best class found once", fast, best_first),
        compared("floor: one score alone", fast, single),
    ]
