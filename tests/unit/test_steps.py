"""Figures of steps, on maps of a few pixels made by hand."""

import numpy as np
import pytest

from tags2masks.metrics.steps import (
    amplification,
    each_step,
    noise_proportion,
    step_confusions,
    step_miou,
    up_to_each_step,
)

# One class, three steps, a row of four pixels; the last step was not made.
STEPS = np.array([[[[1, 0.6, 0.2, 0.05]], [[2, 1.5, 1, 0.5]], [[np.nan] * 4]]], np.float16)


def test_maps_of_each_step_and_up_to_it():
    found = each_step(STEPS)
    assert found.dtype == np.float32 and found.shape == (1, 3, 1, 4)
    np.testing.assert_allclose(found[0, 0, 0], [1, 0.6, 0.2, 0.05], atol=2e-4)
    np.testing.assert_allclose(found[0, 1, 0], [1, 0.75, 0.5, 0.25], atol=2e-4)
    assert np.isnan(found[0, 2]).all()
    # Sums 2, 1.35, 0.7 and 0.3; the step that was not made adds nothing.
    running = up_to_each_step(STEPS)
    np.testing.assert_allclose(running[0, 0], found[0, 0], atol=2e-5)
    for step in (1, 2):
        np.testing.assert_allclose(running[0, step, 0], [1, 0.675, 0.35, 0.15], atol=2e-4)


def test_noise_and_miou_by_hand():
    truth = np.array([[2, 2, 0, 0]], np.uint8)
    matrices = step_confusions(each_step(STEPS), [2], truth, 0.4, 2)
    assert matrices.shape == (3, 3, 4)
    # Step 0 labels two pixels, both right; step 1 three, the third noise; step 2 none.
    assert matrices[0].tolist() == [[2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 2, 0]]
    assert matrices[1].tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 2, 0]]
    assert matrices[2].tolist() == [[0, 0, 0, 2], [0, 0, 0, 0], [0, 0, 0, 2]]
    assert noise_proportion(matrices).tolist() == pytest.approx([0, 1 / 3, np.nan], nan_ok=True)
    # Background 1/2 and class 2/3; the class that nothing shows is in no mean.
    assert step_miou(matrices).tolist() == pytest.approx([1, 7 / 12, np.nan], nan_ok=True)


def test_what_is_ignored_and_another_class_are_no_noise():
    truth = np.array([[255, 1, 0, 0]], np.uint8)
    matrices = step_confusions(each_step(STEPS), [2], truth, 0.4, 2)
    # The first pixel does not count, the second is of class 1, not background.
    assert noise_proportion(matrices)[:2].tolist() == [0, 0.5]
    assert noise_proportion(matrices[:1] + matrices[1:2]).tolist() == pytest.approx([1 / 3])


def test_amplification_by_hand():
    discriminative, other = amplification(STEPS[0, :2].astype(np.float64))
    np.testing.assert_allclose(discriminative, [[1, 2], [1, 2.5]], rtol=1e-3)
    np.testing.assert_allclose(other, [[1, 5]], rtol=1e-3)
    # With the maps of eq. 2.1 the maximum cannot grow.
    discriminative, other = amplification(each_step(STEPS)[0, :2])
    np.testing.assert_allclose(discriminative, [[1, 1], [1, 1.25]], rtol=1e-3)
    np.testing.assert_allclose(other, [[1, 2.5]], rtol=1e-3)


def test_the_regions_are_of_the_normalised_first_map():
    doubled = STEPS[0, :2].astype(np.float64) * 3
    assert [len(part) for part in amplification(doubled)] == [2, 1]
    nothing = amplification(np.zeros((2, 1, 4)))
    assert [part.shape for part in nothing] == [(0, 2), (0, 2)]
