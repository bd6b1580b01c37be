"""What a reproduction costs: operations by hand, and the passes that methods make of them."""

from types import SimpleNamespace

import pytest
import torch

from benchmarks import cost
from tags2masks.config.classifiers import METHODS
from tags2masks.config.climbing import AdvCam, Rib
from tags2masks.config.detectors import FasterRcnn
from tags2masks.config.maps import Cam
from tags2masks.config.maskrcnn import MaskRcnn
from tags2masks.config.object_maps import Bbam, BoxGrad, BoxSmoothGrad
from tags2masks.config.tag_training import TagAugment
from tags2masks.config.training import Augment, Backbone
from tags2masks.detectors import fasterrcnn
from tags2masks.maps import bbam
from tags2masks.maps.objects import Wanted
from tags2masks.segmenters import maskrcnn
from tests.unit.tiny import small

CONVNET = Backbone(name="convnet", args={"kernel": 3, "channels": 4, "layers": 2}, weights=None)
VANILLA = METHODS["vanilla"](backbone=CONVNET, augment=TagAugment(crop=10), epochs=3)
IMAGES = cost.Images("d", count=7, height=8, width=10, tags=1.5, classes=5, objects=11)
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
    row = cost.Cost("c", "vanilla", "vanilla", each=10**12, times=3, count=120)
    assert cost.hours(row.operations, rate=0.1) == pytest.approx(1)
    assert torch.device("meta") == cost.picture(2, 3).device


SEEN = cost.Images("d", count=7, height=40, width=50, tags=1, classes=2, objects=11)


def two_stage(block, **changes):
    """A small block that sees images of 48 × 60 pixels, padded to 64 × 64."""
    size = {"short_sides": (48,), "longest": 64}
    regions = {"channels": 8, "sampled": 16, "positive_share": 0.125}
    return small(block, augment=size, regions=regions, **changes)


@pytest.mark.parametrize(
    ("method", "spec", "package", "parts"),
    [
        (fasterrcnn, two_stage(FasterRcnn), "detectors", 3),
        # Growing looks for neighbours by convolutions of one channel, which are not counted.
        (maskrcnn, two_stage(MaskRcnn, grow=False), "segmenters", 4),
    ],
)
def test_a_step_of_a_detector_is_that_of_the_running_one(method, spec, package, parts):
    torch.manual_seed(0)
    network = method.build(spec, 2).train()
    image = torch.randint(256, (3, 48, 60), dtype=torch.uint8)
    boxes = torch.tensor([[5.0, 5, 40, 45], [20, 10, 58, 40]])
    masks = torch.ones(2, 48, 60, dtype=torch.uint8)
    batch = [[image], [boxes], [torch.tensor([1, 2])], [masks]]
    regions = []
    network.roi_heads.box_head.register_forward_hook(lambda _, seen, __: regions.append(seen[0]))

    def step():
        method.step(network, batch[:parts], None, spec)["loss"].backward()

    ran = cost.counted(step)
    assert [len(seen) for seen in regions] == [16]
    assert ran == cost.detector_step(package, spec, SEEN)


def test_objects_by_a_run_of_bbam():
    detector = two_stage(FasterRcnn, test_short_side=48)
    network = fasterrcnn.build(detector, 2).eval().requires_grad_(False)
    network.roi_heads.box_predictor.cls_score.bias.copy_(torch.tensor([0.0, 9, 0]))
    common = {"proposals": 40, "positives": 10, "overlaps": (0.1,)}
    spec = Bbam(steps=3, cell=8, **common)
    wanted = Wanted(0, torch.tensor([5.0, 5, 50, 45]), 1, 1)
    found = []

    def run():
        found.extend(bbam.localize(network, torch.rand(1, 3, 48, 60), [wanted], spec))

    ran = cost.counted(run)
    assert found[0][1] == 10
    upstream = {"detector": SimpleNamespace(block=detector)}

    def of(block):
        return cost.of_objects(
            SimpleNamespace(block=block, method=block.method, upstream=upstream), SEEN
        )

    assert of(spec) == ran
    # A gradient is a step's passes; torch's counter cannot watch those that end at a leaf.
    one = of(BoxGrad(**common))
    assert of(BoxSmoothGrad(samples=3, **common)) == ran > one
    assert of(BoxSmoothGrad(samples=1, **common)) == one


def test_a_table_by_hand():
    rows = [
        cost.Cost("c", "a", "cam", each=10**12, times=1, count=3600),
        cost.Cost("c", "b", "cam", each=10**12, times=1, count=3600),
        cost.Cost("c", "d/bbam", "bbam", each=5 * 10**12, times=1, count=7200, things="objects"),
    ]
    assert cost.tables(rows, rate=1) == [
        "| entry | method | GFLOP each | times | of | GPU hours |",
        "|---|---|---:|---:|---:|---:|",
        "| `a` and 1 more | `cam` | 1,000 | 1 | 3,600 images | 2 |",
        "| `d/bbam` | `bbam` | 5,000 | 1 | 7,200 objects | 10 |",
        "| together | | | | | **12** |",
        "",
        "An object takes 5 s of `bbam`, and all once 10 h.",
        "",
    ]


@pytest.mark.slow
def test_the_page_is_up_to_date():
    assert cost.PAGE.read_text(encoding="utf-8") == cost.page(), "run `python -m benchmarks.cost`"
