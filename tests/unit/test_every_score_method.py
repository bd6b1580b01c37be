"""Every way to choose a background score without masks: odd sizes, empty maps, black images.

Parametrised over METHODS: a new method is tested when it is registered.
"""

import numpy as np
import pytest
import torch

from tags2masks.config.methods import METHODS
from tags2masks.methods import method_module
from tests.unit.test_every_mask_method import MAPS, stored
from tests.unit.tiny import SIZES, built, small

WITHOUT_MASKS = [
    name for name, block in METHODS["scores"].items() if "masks" not in block.learns_from
]


def chosen(method: str, kinds: list[str], brightness: int = 1) -> float:
    """The score from an image of each size and kind of maps, with untrained features."""
    module = method_module("scores", {"method": method})
    network = built("classifiers", small(METHODS["classifiers"]["vanilla"]))
    rng, measured = np.random.default_rng(0), []
    for size in SIZES:
        pixels = rng.integers(256, size=(1, 3, *size), dtype=np.uint8) * brightness
        for kind in kinds:
            maps = [stored(kind, size, 2)]
            measured += module.measure(network, torch.from_numpy(pixels), maps)
    return module.choose(measured)["background_score"]


@pytest.mark.parametrize("brightness", [1, 0], ids=["noise", "black"])
@pytest.mark.parametrize("kinds", [[kind] for kind in MAPS] + [list(MAPS)], ids="+".join)
@pytest.mark.parametrize("method", WITHOUT_MASKS)
def test_scores_are_on_the_grid_and_the_same_again(method, kinds, brightness):
    score = chosen(method, kinds, brightness)
    assert score in {round(0.05 * step, 2) for step in range(1, 20)}
    assert score == chosen(method, kinds, brightness)
