"""Average precision by hand."""

import numpy as np
import pytest

from tags2masks.metrics.classification import average_precisions, mean_average_precision

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
