"""Average precision by hand, of scores and of a network."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tags2masks.classifiers.validation import average_precisions_of, plain_views
from tags2masks.config.classifiers import Vanilla
from tags2masks.config.tag_training import TagAugment
from tags2masks.machine import Machine
from tags2masks.metrics.classification import average_precisions, mean_average_precision
from tags2masks.metrics.rows import ranking_rows

SCORES = np.array([[0.9, 5, 1, -1], [0.8, 4, 2, -2], [0.7, 3, 3, -3], [0.6, 2, 4, -4]])


def test_average_precision_by_hand():
    tags = np.array([[1, 0, 1, 0], [0, 0, 1, 0], [1, 0, 1, 0], [0, 1, 1, 0]])
    found = average_precisions(SCORES, tags)
    # Ranks 1 and 3: (1/1 + 2/3) / 2. Rank 4: 1/4. Every image, no image: nothing to rank.
    np.testing.assert_allclose(found, [5 / 6, 1 / 4, np.nan, np.nan])
    assert mean_average_precision(found) == pytest.approx((5 / 6 + 1 / 4) / 2)


def test_equal_scores_are_ranked_together():
    found = average_precisions(np.zeros((4, 1)), np.array([[1], [0], [0], [0]]))
    assert found.tolist() == [0.25]


def test_without_a_class_to_rank_there_is_no_mean():
    found = average_precisions(SCORES, np.ones((4, 4)))
    assert np.isnan(found).all() and np.isnan(mean_average_precision(found))


def test_rows_have_the_classes_that_can_be_ranked():
    rows = ranking_rows(np.array([0.5, np.nan, 0.25]), 0.375, ["a", "b", "c"], "val", 7)
    assert rows[["metric", "class", "value"]].to_numpy().tolist() == [
        ["map", "mean", 0.375], ["average_precision", "a", 0.5], ["average_precision", "c", 0.25]
    ]  # fmt: skip
    assert ranking_rows(np.full(3, np.nan), np.nan, ["a", "b", "c"], "val", 7).empty


class Brightness(torch.nn.Module):
    """Class 0 by how red an image is, class 1 by how little."""

    def forward(self, images):
        red = images[:, 0].mean((1, 2))
        return torch.stack([red, -red], 1)


def test_a_network_ranks_whole_images(tmp_path):
    names = [f"{number}.png" for number in range(4)]
    for name, red in zip(names, (250, 180, 90, 10), strict=True):
        Image.new("RGB", (8, 8), (red, 0, 0)).save(tmp_path / name)
    tags = [("a",), (), ("a",), ("b",)]
    spec = Vanilla(augment=TagAugment(resize=(8, 8), crop=8))
    rows = pd.DataFrame({"path": names, "tags": tags, "height": 8, "width": 8})
    views = plain_views(rows, tmp_path, ["a", "b"], spec)
    # Class a is at ranks 1 and 3, class b at rank 1.
    found = average_precisions_of(Brightness(), views, Machine(threads=1))
    np.testing.assert_allclose(found, [(1 + 2 / 3) / 2, 1])
    none = plain_views(rows[:0], tmp_path, ["a", "b"], spec)
    assert np.isnan(average_precisions_of(Brightness(), none, Machine(threads=1))).all()
