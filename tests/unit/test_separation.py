"""A background score by the separation of foreground and background: by hand, and written out."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab
from torch import nn

from tags2masks.config.masks import Agreed, Confident, Psa, Threshold
from tags2masks.config.scores import Separation, level, power_of
from tags2masks.config.walks import PsaWalk
from tags2masks.masks.seeds import upsample
from tags2masks.scores.doubts import doubts, shares
from tags2masks.scores.separation import (
    GRID,
    choose,
    colour_criterion,
    colour_sums,
    doubts_of_choice,
    enlarged,
    feature_criterion,
    measure,
    sums_of,
)


def test_both_criteria_by_hand():
    # Scores .1 .3 .6 .6 and one number a place, 0 0 1 3: mean 1, variance 1.5.
    # At .05 B is empty: 0. At .3 (not above .3) and up to .55: F = {1, 3}, B = {0, 0}, w = 1/2.
    # A: 1/4 · 2² / (1.5 + 1) = .4. B: the variance over all cells is 1.5: 1/4 · 4/1.5 / 1 = 2/3.
    # At .1 to .25: F = {0, 1, 3}, B = {0}, w = 3/4, and 3/16 · (4/3)² = 1/3.
    # A: 1/3 / 2.5 = 2/15. B: 1/3 / 1.5 = 2/9.
    sums = sums_of(np.array([0.1, 0.3, 0.6, 0.6]), np.array([[0.0], [0], [1], [3]]), True)
    colour = colour_criterion([sums])
    at = {round(float(score), 2): value for score, value in zip(GRID, colour, strict=True)}
    assert at[0.05] == 0 and at[0.6] == 0 and at[0.95] == 0
    assert [at[0.1], at[0.2], at[0.25]] == pytest.approx([2 / 15] * 3)
    assert [at[0.3], at[0.45], at[0.55]] == pytest.approx([0.4] * 3)
    squares = sums_of(np.array([0.1, 0.3, 0.6, 0.6]), np.array([[0.0], [0], [1], [3]]), False)
    features = feature_criterion([squares])
    assert features[[1, 5, 10]] == pytest.approx([2 / 9, 2 / 3, 2 / 3])
    assert features[[0, 11]].tolist() == [0, 0]
    chosen = choose([(sums, squares)])
    names = ("background_score", "by_colour", "by_features")
    assert [chosen[name] for name in names] == [0.3, 0.3, 0.3]


def plain(scores, vectors, covariance_of, score):
    """A term of either criterion, written out."""
    above = scores > score
    if above.all() or not above.any():
        return 0
    w = above.mean()
    difference = vectors[above].mean(0) - vectors[~above].mean(0)
    return w * (1 - w) * covariance_of(difference, vectors)


def by_colour(difference, x):
    covariance = np.cov(x.T, bias=True) + np.eye(3)
    return difference @ np.linalg.inv(covariance) @ difference


def by_features(difference, f):
    return (difference**2).sum() / f.var(0).sum()


class Given(nn.Module):
    """A classifier with these features."""

    def __init__(self, features):
        super().__init__()
        self.given = nn.Parameter(features)

    def features(self, images):
        return self.given


def test_fast_sums_equal_the_plain_formulation():
    rng = np.random.default_rng(0)
    images = [rng.integers(256, size=(40, 52, 3), dtype=np.uint8) for _ in range(3)]
    maps = [rng.random((2, 10, 13)).astype(np.float16) for _ in images]
    features = torch.from_numpy(rng.standard_normal((3, 7, 5, 6)).astype(np.float32))
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        curves = choose(measure(Given(features), batch, maps))["curves"]
    best = [upsample(of, (40, 52)).max(0).ravel() for of in maps]
    colours = [rgb2lab(image.astype(np.float32) / 255).reshape(-1, 3) for image in images]
    cells = [upsample(of, (20, 24)).max(0).reshape(5, 4, 6, 4).mean((1, 3)).ravel() for of in maps]
    vectors = [local.flatten(1).T.double().numpy() for local in features]
    scale = np.concatenate(vectors).std(0)
    for at, score in enumerate(GRID):
        a = sum(plain(s, x, by_colour, score) for s, x in zip(best, colours, strict=True))
        b = sum(
            plain(s, f / scale, by_features, score) for s, f in zip(cells, vectors, strict=True)
        )
        fast = curves["colour"][at], curves["features"][at]
        assert fast == pytest.approx((a, b), rel=1e-4, abs=1e-9)


def test_an_object_of_another_colour_is_found_whatever_the_scale_of_its_map():
    # A red square of a fifth of a grey image; its scores are above those of the ground.
    rng = np.random.default_rng(1)
    image = np.full((64, 64, 3), 120, np.uint8) + rng.integers(8, size=(64, 64, 3), dtype=np.uint8)
    image[16:44, 20:48] = (200, 30, 30)
    for inside, outside in ((0.9, 0.62), (0.32, 0.12)):
        maps = np.full((1, 64, 64), outside, np.float16)
        maps[0, 16:44, 20:48] = inside
        maps += rng.random(maps.shape).astype(np.float16) * np.float16(0.02)
        curve = colour_criterion([colour_sums(image, maps)])
        best = float(GRID[curve.argmax()])
        assert outside < best < inside


def test_places_without_a_difference_choose_nothing_else():
    flat = sums_of(np.full(4, 0.5), np.ones((4, 3)), True)
    assert colour_criterion([flat]).tolist() == [0] * 19
    assert (
        feature_criterion([sums_of(np.full(4, 0.5), np.ones((4, 3)), False)]).tolist() == [0] * 19
    )
    assert feature_criterion([]).tolist() == [0] * 19


def test_small_images_are_enlarged_for_the_features():
    assert enlarged(torch.zeros(1, 3, 64, 32)).shape == (1, 3, 128, 64)
    assert enlarged(torch.zeros(1, 3, 200, 1)).shape == (1, 3, 200, 1)


def test_shares_by_hand_and_of_more_maps_than_a_mask_has_ids():
    maps = np.zeros((300, 1, 4), np.float16)
    maps[[0, 0, 299], 0, [0, 1, 1]] = 0.9, 0.4, 0.4  # of a tie the first wins
    maps[[298, 299], 0, [2, 3]] = 0.5, 0.2
    names = ["cat"] * 299 + ["dog"]
    assert shares(names, maps, 0.3) == {"cat": 0.75, "dog": 0}
    assert shares(names, maps, 0.1) == {"cat": 0.75, "dog": 0.25}
    assert shares([], maps[:0], 0.1) == {}


def test_doubts_that_need_no_mask():
    maps = np.array([[[0.9, 0.9], [0.9, 0.2]], [[0.1, 0.1], [0.1, 0.4]]], np.float16)
    assert shares(["cat", "dog"], maps, 0.3) == {"cat": 0.75, "dog": 0.25}
    assert shares(["cat", "dog"], maps, 0.5) == {"cat": 0.75, "dog": 0}
    assert shares(["cat", "cat"], maps, 0.3) == {"cat": 1}  # instances
    tags = [("cat",)] * 70 + [("dog", "cat")] * 9 + [("cow",)] * 20
    found = [{"cat": 0.5}, {"cat": 0.6, "dog": 0.001}, {"cow": 0.2}]
    notes = [one.note for one in doubts(found, tags, ["cat", "dog", "cow"])]
    assert notes == [
        "masks of cat cover over 45%",
        "masks of dog often empty",
        "background score of few images: dog",
    ]
    few = doubts([{"cat": 0.2}], [("cat",)] * 12, ["cat"])
    assert [one.note for one in few] == [
        "background score of few images: 12 images",
        "cat in nearly every image",
    ]
    assert doubts([{"cat": 0.2}], [("cat",)] * 60 + [("cow",)] * 20, ["cat", "cow"]) == []


def test_doubts_of_a_choice():
    def notes(by_colour, by_features, highest):
        chosen = {"by_colour": by_colour, "by_features": by_features, "background_score": 0.5}
        curves = {"colour": [highest / 2, highest]}
        return [one.note for one in doubts_of_choice(chosen | {"curves": curves}, images=50)]

    apart = "colour and features disagree on the background score"
    alike = "foreground and background hardly differ in colour"
    # 50 images, so that A's mean is 0.1 at 5 and 0.075 at 3.75.
    assert notes(0.3, 0.5, 5) == notes(0.5, 0.3, 3.75) == []
    assert notes(0.25, 0.5, 5) == notes(0.5, 0.25, 5) == [apart]
    assert notes(0.5, 0.5, 3.7) == [alike]
    assert notes(0.25, 0.5, 3.7) == [apart, alike]


def test_a_mean_of_the_colour_criterion_is_a_share_of_variance():
    # Two colours, no variance within: all of it lies between, but for the ridge of 1.
    colours = np.repeat([[0.0, 0, 0], [60, 30, 30]], 50, axis=0)
    scores = np.repeat([0.1, 0.9], 50)
    assert 0.99 < colour_criterion([sums_of(scores, colours, True)]).max() < 1
    unlike = np.random.default_rng(0).permutation(scores)
    assert colour_criterion([sums_of(unlike, colours, True)]).max() < 0.075


def test_the_config_takes_a_number_or_auto():
    assert Threshold(background_score=0.3).key()["background_score"] == 0.3
    auto = Threshold()
    assert auto.key()["background_score"] == {"method": "separation", "images": 100}
    assert auto == Threshold(background_score={"method": "separation"})
    assert Threshold(background_score={"images": 20}).background_score == Separation(images=20)
    for wrong, said in (
        (1.5, "1.5 is no score; write a number from 0 to 1, or auto"),
        ("automatic", "'automatic' is no score; write a number from 0 to 1, or auto"),
        ({"images": 0}, "images: Input should be greater than or equal to 1"),
    ):
        with pytest.raises(ValueError, match=said):
            Threshold(background_score=wrong)


RECORD = {
    "background_score": 0.5,
    "areas": {"score": [0, 0.25, 0.5, 0.75, 1], "share": [1, 0.5, 0.3, 0.1, 0]},
}


def test_levels_around_a_score_by_their_areas():
    assert level(RECORD, 1) == pytest.approx(0.5)
    assert level(RECORD, 2 / 3) == pytest.approx(0.625)  # 0.2 lies halfway from 0.3 to 0.1
    assert level(RECORD, 4 / 3) == pytest.approx(0.375)  # 0.4 halfway from 0.5 to 0.3
    assert level(RECORD, 10) == pytest.approx(0)  # all of it
    flat = {
        "background_score": 0.5,
        "areas": {"score": [0, 0.5, 0.9, 1], "share": [1, 0.2, 0.2, 0]},
    }
    assert level(flat, 0.5) == pytest.approx(0.95)
    assert power_of(0) == power_of(0.01) and power_of(0.5) == 1


def test_labels_have_two_levels_around_the_score():
    labels = Confident(foreground_area=2 / 3, background_area=4 / 3).at_score(RECORD)
    assert labels.foreground_score == pytest.approx(0.625)
    assert labels.background_score == pytest.approx(0.375)
    powers = Agreed(foreground_area=2 / 3, background_area=4 / 3).at_score(RECORD)
    assert (1 - 0.625) ** powers.low_power == pytest.approx(0.625)
    assert (1 - 0.375) ** powers.high_power == pytest.approx(0.375)
    assert Psa().walk.at_score(RECORD).background_power == pytest.approx(1)  # 1 - s = s at 0.5
    for block, given, said in (
        (Confident, {"foreground_score": 0.4}, "background_score is auto; give both"),
        (Confident, {"background_score": 0.4}, "foreground_score is not; give both"),
        (Agreed, {"low_power": 4}, "give both, or neither"),
        (Agreed, {"background_score": None}, "null needs low_power and high_power"),
        (Agreed, {"background_score": 0.3}, "0.3 is a number; write auto, or null"),
        (PsaWalk, {"background_score": None}, "null needs background_power"),
    ):
        with pytest.raises(ValueError, match=said):
            block(**given)
    assert Agreed(low_power=4, high_power=32).background_score is None
    assert Psa(background_power=16).walk.key()["background_score"] is None


def test_areas_are_shares_of_all_pixels():
    image = np.zeros((4, 4, 3), np.uint8)
    maps = np.zeros((1, 4, 4), np.float16)
    maps[0, 0], maps[0, 1] = 0.97, 0.22
    sums = colour_sums(image, maps)
    chosen = choose([(sums, sums)])
    areas = dict(zip(chosen["areas"]["score"], chosen["areas"]["share"], strict=True))
    assert (areas[0], areas[0.2], areas[0.25], areas[0.95], areas[1]) == (1, 0.5, 0.25, 0.25, 0)
