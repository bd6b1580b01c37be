"""A background score chosen by a few masks."""

import numpy as np
import pytest

from tags2masks.config.base import ConfigError
from tags2masks.config.masks import Threshold
from tags2masks.config.project import parse_config
from tags2masks.config.scores import FewMasks
from tags2masks.metrics.curve import score_histogram
from tags2masks.scores.few_masks import GRID, choose
from tags2masks.workflow.building import build_experiments


def histogram_of(scores, truth):
    scores, truth = np.array([[scores]], np.float32), np.array([truth], np.uint8)
    return score_histogram(scores, [1], truth, GRID, 1)


def test_the_middle_of_the_best_scores_by_hand():
    # Right from 0.30 (its pixel no longer above it) up to 0.59: 0.6 still exceeds that.
    chosen = choose(histogram_of([0.9, 0.6, 0.295, 0.1], [1, 1, 0, 0]))
    assert chosen["background_score"] == pytest.approx(0.44)
    assert chosen["iou"][29] == chosen["iou"][58] == 1
    # At 0.29 one of two background pixels is a class's: background 1/2, class 2/3.
    assert chosen["iou"][28] == pytest.approx((1 / 2 + 2 / 3) / 2)
    # At 0.6 one of two class pixels is background: 2/3 and 1/2.
    assert chosen["iou"][59] == pytest.approx((2 / 3 + 1 / 2) / 2)
    areas = dict(zip(chosen["areas"]["score"], chosen["areas"]["share"], strict=True))
    assert (areas[0], areas[0.2], areas[0.5], areas[0.7], areas[1]) == (1, 0.75, 0.5, 0.25, 0)


def test_images_add_up_and_unlabelled_pixels_do_not_count():
    both = histogram_of([0.9, 0.2], [1, 0]) + histogram_of([0.5, 0.4], [1, 255])
    assert choose(both)["background_score"] == pytest.approx(0.34)  # 0.20 to 0.49


def test_it_learns_from_masks_and_says_so():
    config = {
        "datasets": {"digits": {"kind": "digits", "labelled": 4}},
        "classifiers": {"vanilla": {"method": "vanilla"}},
        "maps": {"cam": {"method": "cam"}},
        "masks": {"few": {"method": "threshold", "background_score": {"method": "few_masks"}}},
        "experiments": ["digits / vanilla / cam / few"],
        "evaluation": {"background_score": 0.3},
    }
    (experiment,) = build_experiments(parse_config(config))
    masks, score = (experiment.artifacts[stage] for stage in ("masks", "score"))
    assert masks.supervision == ("tags", "masks") and set(score.upstream) == {"maps"}
    assert experiment.artifacts["maps"].supervision == ("tags",)
    assert score.recipe["dataset"]["labelled"] == 4
    config["datasets"]["digits"].pop("labelled")
    message = "masks.few.background_score: few_masks learns from masks, and datasets.digits names"
    with pytest.raises(ConfigError, match=message):
        build_experiments(parse_config(config))
    block = Threshold(background_score={"method": "few_masks"})
    assert block.background_score == FewMasks()
    with pytest.raises(
        ValueError, match="unknown method 'some'; choose from separation, few_masks"
    ):
        Threshold(background_score={"method": "some"})
