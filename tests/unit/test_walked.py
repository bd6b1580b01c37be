"""From walked maps to masks, and certain labels."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from tags2masks.config.crf import Bilateral, Gaussian, LabelCrf
from tags2masks.config.masks import Confident, Irn
from tags2masks.instance_store import read_instances
from tags2masks.masks import confident, irn
from tags2masks.store import Shard, write_shard
from tags2masks.walks.walking import divided

# A CRF that changes nothing.
STILL = {"gaussian": Gaussian(compat=0), "bilateral": Bilateral(compat=0)}


FIXED = Irn(background_score=0.25)
WITH_INSTANCES = Irn(background_score=0.25, instances=True)


def made(scores, class_ids, spec=FIXED, image=None):
    """The mask of stored maps; without an image one of their size."""
    stored = divided(np.asarray(scores, np.float32)).astype(np.float16)
    image = np.zeros((*stored.shape[1:], 3), np.uint8) if image is None else image
    return irn.make_mask(image, stored, class_ids, spec)


def test_scores_are_divided_by_the_highest():
    finished = made([[[0.4, 0.09, 0.11]], [[0.1, 0.0, 0.2]]], [7, 3])
    assert finished.mask.tolist() == [[7, 0, 3]]  # 0.09 / 0.4 is below 0.25
    assert finished.mask.dtype == np.uint8 and not finished.further


def test_stored_maps_are_divided_by_the_highest():
    np.testing.assert_array_equal(divided(np.array([[[0.2, 0.05]]])), [[[1, 0.25]]])
    assert not divided(np.zeros((2, 1, 3))).any() and divided(np.zeros((0, 1, 3))).shape == (
        0,
        1,
        3,
    )


def test_scores_are_divided_again_at_full_size():
    image = np.zeros((1, 6, 3), np.uint8)
    maps = np.array([[[0, 1.0, 0]]], np.float16)  # no pixel has its centre in the middle of a cell
    expected = np.array([0, 1, 3, 3, 1, 0]) / 3
    np.testing.assert_allclose(irn.scores(image, maps, FIXED)[0, 0], expected, atol=1e-6)


def test_no_class_and_no_score_is_background():
    image = np.zeros((8, 12, 3), np.uint8)
    empty = made(np.zeros((0, 2, 3)), [], image=image)
    assert empty.mask.shape == (8, 12) and not empty.mask.any()
    assert not made(np.zeros((1, 2, 3)), [4], image=image).mask.any()


def instances_of(finished):
    """What is stored beside a mask, read back."""
    entry = ("a", finished.mask, {"size": list(finished.mask.shape)} | finished.attributes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "0.zarr.zip"
        write_shard(path, {"id": "x"}, "sha", [(*entry, finished.further)])
        with Shard(path, "x", "sha") as shard:
            return read_instances(shard, "a")


def test_instances_by_hand():
    first = [[1, 0.8, 0, 0, 0, 0]]
    second = [[0, 0, 0, 0.5, 0.6, 0]]
    other = [[0, 0, 0.9, 0, 0, 0.3]]
    finished = made([first, second, other], [2, 2, 5], WITH_INSTANCES)
    assert finished.mask.tolist() == [[2, 2, 5, 2, 2, 5]]
    found = instances_of(finished)
    assert [each.class_id for each in found] == [2, 5, 2, 5]
    # One class, two instances; one map, two parts.
    assert [each.box for each in found] == [(0, 0, 1, 0), (2, 0, 2, 0), (3, 0, 4, 0), (5, 0, 5, 0)]
    np.testing.assert_allclose([each.score for each in found], [1, 0.9, 0.6, 0.3], atol=1e-3)


def test_fragments_have_no_score():
    scores = np.zeros((1, 20, 20), np.float32)
    scores[0, :10] = 1
    scores[0, 15, 3] = 0.9  # 1 of 400 pixels
    finished = made(scores, [1], WITH_INSTANCES)
    assert [(each.score, each.box) for each in instances_of(finished)] == [
        (1.0, (0, 0, 19, 9)),
        (0.0, (3, 15, 3, 15)),
    ]


def test_a_crf_afterwards():
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, 8:] = 255
    scores = np.zeros((1, 16, 16), np.float32)
    scores[0, :, :9] = 1  # a column too far
    plain = made(scores, [1], image=image)
    refined = made(scores, [1], Irn(background_score=0.25, crf=LabelCrf()), image)
    assert (plain.mask[:, :9] == 1).all()
    assert (refined.mask[:, :8] == 1).all() and not refined.mask[:, 8:].any()


def test_certain_labels_by_hand():
    maps = np.array([[[0.9, 0.5, 0.2, 0.01]], [[0.1, 0.6, 0.1, 0.02]]], np.float16)
    spec = Confident(foreground_score=0.3, background_score=0.05, **STILL)
    image = np.zeros((1, 4, 3), np.uint8)
    assert confident.make_mask(image, maps, [4, 9], spec).tolist() == [[4, 9, 255, 0]]
    none = confident.make_mask(image, np.zeros((0, 1, 4), np.float16), [], spec)
    assert none.tolist() == [[0] * 4]
    unsure = confident.make_mask(image, np.full((1, 1, 4), 0.2, np.float16), [4], spec)
    assert unsure.tolist() == [[255] * 4]


def test_agreement():
    strict = np.array([[1, 0, 0, 2]], np.uint8)
    loose = np.array([[1, 1, 0, 1]], np.uint8)
    assert confident.agreement(strict, loose).tolist() == [[1, 255, 0, 2]]


def test_scores_the_wrong_way_round():
    with pytest.raises(ValidationError, match="background_score is the lower of the two"):
        Confident(foreground_score=0.1, background_score=0.2)
