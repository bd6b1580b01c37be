"""Proposals of an object by hand: how they are drawn, and which of them count."""

import pytest
import torch

from tags2masks.config.object_maps import Bbam
from tags2masks.maps.positives import first_enough, jittered


def test_proposals_by_hand():
    box, spec = torch.tensor([20.0, 30, 120, 80]), Bbam(proposals=5000)
    found = jittered(box, (90, 400), spec, torch.Generator().manual_seed(0))
    assert found.shape == (5000, 4)
    # 100 × 50: x by up to 30, y by up to 15; clipped at 0 and at the height of 90.
    low, high = found.amin(0), found.amax(0)
    torch.testing.assert_close(low, torch.tensor([0.0, 15, 90, 65]), atol=0.2, rtol=0)
    torch.testing.assert_close(high, torch.tensor([50.0, 45, 150, 90]), atol=0.2, rtol=0)
    torch.testing.assert_close(found.mean(0)[[1, 2]], box[[1, 2]], atol=1, rtol=0)
    assert (found[:, 0] == 0).float().mean() == pytest.approx(10 / 60, abs=0.02)


@pytest.mark.parametrize(
    ("overlaps", "right", "chosen"),
    [
        ([0.95, 0.91, 0.92, 0.7, 0.99], [1, 1, 1, 1, 1], [0, 1]),  # more than 2 above 0.9
        ([0.95, 0.86, 0.92, 0.7, 0.88], [1, 1, 1, 1, 1], [0, 1]),  # above 0.85 only
        ([0.95, 0.81, 0.92, 0.7, 0.1], [1, 1, 1, 1, 1], [0, 1]),  # above 0.8 only
        ([0.95, 0.81, 0.2, 0.7, 0.1], [1, 1, 1, 1, 1], [0, 1]),  # two above 0.8
        ([0.95, 0.81, 0.92, 0.7, 0.99], [0, 1, 0, 1, 0], [1]),
        ([0.95] * 5, [0] * 5, []),
    ],
)
def test_the_proposals_that_count(overlaps, right, chosen):
    spec = Bbam(positives=2)
    found = first_enough(torch.tensor(right).bool(), torch.tensor(overlaps), spec)
    assert found.tolist() == chosen
