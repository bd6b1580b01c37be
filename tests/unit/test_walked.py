"""From walked maps to masks, and certain labels."""

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from tags2masks.config.masks import Bilateral, Confident, Gaussian, Irn, LabelCrf
from tags2masks.masks import confident
from tags2masks.masks.walked import Walked, finish

# A CRF that changes nothing.
STILL = {"gaussian": Gaussian(compat=0), "bilateral": Bilateral(compat=0)}


def walked(scores, class_ids, size=None, path="none.png"):
    scores = np.asarray(scores, np.float32)
    return Walked("a", path, scores, np.asarray(class_ids, np.uint8), size or scores.shape[1:])


def test_scores_are_divided_by_the_highest():
    finished = finish(walked([[[0.4, 0.09, 0.11]], [[0.1, 0.0, 0.2]]], [7, 3]), Irn())
    assert finished.mask.tolist() == [[7, 0, 3]]  # 0.09 / 0.4 is below 0.25
    assert finished.mask.dtype == np.uint8 and finished.instances is None


def test_no_class_and_no_score_is_background():
    empty = finish(walked(np.zeros((0, 2, 3)), [], (8, 12)), Irn())
    assert empty.mask.shape == (8, 12) and not empty.mask.any()
    assert not finish(walked(np.zeros((1, 2, 3)), [4], (8, 12)), Irn()).mask.any()


def test_instances_by_hand():
    first = [[1, 0.8, 0, 0, 0, 0]]
    second = [[0, 0, 0, 0.5, 0.6, 0]]
    other = [[0, 0, 0.9, 0, 0, 0.3]]
    finished = finish(walked([first, second, other], [2, 2, 5]), Irn(instances=True))
    assert finished.mask.tolist() == [[2, 2, 5, 2, 2, 5]]
    numbers = finished.instances[0].tolist()
    assert numbers == [1, 1, 2, 3, 3, 4]  # one class, two instances; one map, two parts
    assert [c for c, _ in finished.objects] == [2, 5, 2, 5]
    np.testing.assert_allclose([s for _, s in finished.objects], [1, 0.9, 0.6, 0.3], atol=1e-6)


def test_fragments_have_no_score():
    scores = np.zeros((1, 20, 20), np.float32)
    scores[0, :10] = 1
    scores[0, 15, 3] = 0.9  # 1 of 400 pixels
    finished = finish(walked(scores, [1]), Irn(instances=True))
    assert finished.objects == [[1, 1.0], [1, 0.0]]


def test_a_crf_afterwards(tmp_path):
    path = tmp_path / "a.png"
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, 8:] = 255
    Image.fromarray(image).save(path)
    scores = np.zeros((1, 16, 16), np.float32)
    scores[0, :, :9] = 1  # a column too far
    plain = finish(walked(scores, [1]), Irn())
    refined = finish(walked(scores, [1], path=path), Irn(crf=LabelCrf()))
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
