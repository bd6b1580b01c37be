"""What a reproduction costs: operations by hand, and the passes that methods make of them."""

from types import SimpleNamespace

import pytest
import torch

from benchmarks import cost
from tags2masks.config.classifiers import METHODS
from tags2masks.config.climbing import AdvCam, Rib
from tags2masks.config.maps import Cam
from tags2masks.config.tag_training import TagAugment
from tags2masks.config.training import Augment, Backbone

CONVNET = Backbone(name="convnet", args={"kernel": 3, "channels": 4, "layers": 2}, weights=None)
VANILLA = METHODS["vanilla"](backbone=CONVNET, augment=TagAugment(crop=10), epochs=3)
IMAGES = cost.Images(count=7, height=8, width=10, tags=1.5, classes=5)
# Of a pixel: 2 operations for each of 3·4·9 weights, 4·4·9, and 4·5 of the head.
FIRST, REST = 2 * 3 * 4 * 9, 2 * (4 * 4 * 9 + 4 * 5)


def test_passes_by_hand():
    network = cost.on_meta("classifiers", VANILLA, 5)
    found = cost.passes(network, cost.picture(8, 10))
    assert found.forward == 80 * (FIRST + REST)
    # Back to the image: as much again. To all weights: twice, but for the first, of the image's.
    assert found.to_image == 2 * found.forward
    assert found.to_weights == 80 * (2 * FIRST + 3 * REST)


def test_a_step_of_a_classifier_is_its_passes():
    assert cost.classifier_step(VANILLA, 5) == 100 * (2 * FIRST + 3 * REST)


def maps(block):
    upstream = {"classifier": SimpleNamespace(block=VANILLA)}
    return SimpleNamespace(block=block, method=block.method, upstream=upstream)


def test_maps_by_their_passes():
    pixel = FIRST + REST
    assert cost.of_maps(maps(Cam(scales=(1.0, 0.5))), IMAGES) == 2 * (80 + 20) * pixel
    # A pair climbs three steps, there and back, and is looked at once more; 1.5 pairs an image.
    climb = AdvCam(scales=(1.0,), flip=False, steps=3)
    assert cost.of_maps(maps(climb), IMAGES) == 1.5 * 80 * (3 * 2 + 1) * pixel
    rib = Rib(scales=(1.0,), flip=False, steps=2, companions=3, augment=Augment(crop=10))
    learning = (80 + 3 * 100) * (2 * FIRST + 3 * REST)
    assert cost.of_maps(maps(rib), IMAGES) == 2 * learning + 3 * 80 * pixel


def test_hours_and_rows():
    row = cost.Cost("c", "vanilla", "vanilla", per_image=10**12, times=3, images=120)
    assert cost.hours(row.operations, rate=0.1) == pytest.approx(1)
    assert torch.device("meta") == cost.picture(2, 3).device


@pytest.mark.slow
def test_the_page_is_up_to_date():
    assert cost.PAGE.read_text(encoding="utf-8") == cost.page(), "run `python -m benchmarks.cost`"
