"""Gradients of a detector by hand, against captum, and objects together as one at a time."""

from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from captum.attr import Saliency

from tags2masks.config.object_maps import BoxGrad, BoxGradCam, BoxSmoothGrad
from tags2masks.instances.boxmask import enlarged
from tags2masks.machine import prepare
from tags2masks.maps import box_gradients, boxgrad, boxgradcam, boxsmoothgrad
from tags2masks.maps.positives import find_positives
from tests.unit.test_bbam import MACHINE, OBJECTS, network, whole

__all__ = ["network"]

METHODS = {
    "boxgrad": (boxgrad, BoxGrad),
    "boxsmoothgrad": (boxsmoothgrad, BoxSmoothGrad),
    "boxgradcam": (boxgradcam, BoxGradCam),
}
ONE = {"jitter": 0, "proposals": 3, "overlaps": (0.5,), "positives": 2, "stride": 1}
SIZE = (3, 4)
V = torch.tensor([[0.5, 0, 0, 0], [0, 0.25, 0, 0.1], [0, 0, 0, 1.0]])
COLOURS = torch.tensor([1.0, -3.0, 2.0])


class Linear:
    """A detector of one class whose logit is Σ v·(r − 3g + 2b) over the pixels."""

    roi_heads = SimpleNamespace(
        box_coder=SimpleNamespace(decode_single=lambda offsets, boxes: boxes)
    )

    def normalize(self, images):
        return images

    def pyramid(self, images):
        assert images.shape[1:] == (3, 64, 64)  # padded
        return OrderedDict({"0": images, "pool": images[:, :, :1, :1]})

    def raw_answers(self, levels, boxes, sizes):
        seen = levels["0"][:, :, :3, :4]
        logit = (seen * COLOURS[:, None, None] * V).sum((1, 2, 3))
        each = logit.repeat_interleave(torch.tensor([len(own) for own in boxes]))
        return torch.stack([0 * each, each], 1), torch.zeros(len(each), 2, 4)

    def answers(self, levels, boxes, sizes):
        logits, offsets = self.raw_answers(levels, boxes, sizes)
        return logits.softmax(1), offsets


def red(value: float) -> torch.Tensor:
    image = torch.zeros(1, 3, *SIZE)
    image[:, 0] = value
    return image


@pytest.mark.parametrize("method", ["boxgrad", "boxsmoothgrad"])
def test_the_gradient_of_a_linear_detector(method):
    module, block = METHODS[method]
    ((found, count),) = module.localize(Linear(), red(0.5), [whole(size=SIZE)], block(**ONE))
    assert count == 2
    torch.testing.assert_close(found, V)  # 3 · v, over its maximum
    spec = block(**ONE | {"stride": 2})
    ((cells, _),) = module.localize(Linear(), red(0.5), [whole(size=SIZE)], spec)
    # Means of ⌈3/2⌉ × ⌈4/2⌉ cells of rows 0–1 and 1–2: 0.75/4, 0.1/4; 0.25/4, 1.1/4.
    torch.testing.assert_close(cells, torch.tensor([[0.75, 0.1], [0.25, 1.1]]) / 1.1)


@pytest.mark.parametrize("first", [64, 176])
def test_a_map_is_found_where_it_was(first):
    """Its grid goes from corner to corner of the image: a cell's centre is not its middle."""
    shown = torch.zeros(256, 320)
    shown[first : first + 16, 160:176] = 1
    asked = [whole(size=(256, 320))]
    spec = BoxGrad(**ONE | {"stride": 16})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(box_gradients, "find_positives", lambda *_: [SimpleNamespace(boxes=[0])])
        ((grid, _),) = box_gradients.each_object(
            Linear(), torch.zeros(1, 3, 256, 320), asked, spec, lambda _: shown[None]
        )
    pixels = enlarged(grid.numpy(), (256, 320), (256, 320))
    for axis, middle in ((0, first + 7.5), (1, 167.5)):
        found = (pixels.sum(1 - axis) * np.arange(pixels.shape[axis])).sum() / pixels.sum()
        assert abs(found - middle) < 0.8


def test_grad_cam_of_a_linear_detector():
    image = red(0.5)
    image[0, 0, 0, 0], image[0, 1, 2, 1], image[0, 2, 1, 1] = 0.25, 1, 0.75
    spec = BoxGradCam(**ONE)
    ((found, count),) = boxgradcam.localize(Linear(), image, [whole(size=SIZE)], spec)
    # Weights are Σv·(1, −3, 2), and Σv cancels: r − 3g + 2b where that is above 0.
    expected = torch.full(SIZE, 0.5)
    expected[0, 0], expected[2, 1], expected[1, 1] = 0.25, 0, 2
    assert count == 2
    torch.testing.assert_close(found, expected / 2)


@pytest.mark.parametrize("method", METHODS)
def test_an_object_without_a_proposal_that_counts_is_zero(method):
    module, block = METHODS[method]
    spec = block(**ONE | {"stride": 2})
    ((found, count),) = module.localize(Linear(), red(0), [whole(size=SIZE)], spec)
    assert count == 0 and found.shape == (2, 2) and not found.any()


@pytest.mark.parametrize("method", METHODS)
def test_objects_together_are_as_one_at_a_time(network, method):
    prepare(MACHINE, 0)
    module, block = METHODS[method]
    spec = block(proposals=60, positives=20, overlaps=(0.7, 0.5), stride=4)
    images = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    together = module.localize(network, images, OBJECTS, spec)
    assert [count for _, count in together] == [20, 20, 20, 0]
    for wanted, (grid, count) in zip(OBJECTS, together, strict=True):
        image, own = images[wanted.image][None], wanted._replace(image=0)
        ((alone, again),) = module.localize(network, image, [own], spec)
        assert (again, grid.shape) == (count, (12, 16))
        torch.testing.assert_close(grid, alone, atol=1e-5, rtol=0)
        assert float(grid.max()) == (1 if count else 0)


def test_the_gradient_is_captums(network):
    prepare(MACHINE, 0)
    spec = BoxGrad(proposals=60, positives=20, overlaps=(0.7, 0.5), stride=1)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    ((found, _),) = boxgrad.localize(network, image, OBJECTS[:1], spec)
    (positives,) = find_positives(network, network.normalize(image), OBJECTS[:1], spec)

    def score(pixels):
        levels = network.pyramid(network.normalize(pixels))
        logits, _ = network.raw_answers(levels, [positives.boxes], [(64, 64)])
        return logits.mean(0, keepdim=True)

    expected = Saliency(score).attribute(image.clone().requires_grad_(), target=1).amax(1)[0]
    torch.testing.assert_close(found, expected / expected.max(), atol=1e-5, rtol=0)


def test_smooth_gradients_are_the_mean_over_images_with_noise(network):
    prepare(MACHINE, 0)
    options = {"proposals": 60, "positives": 20, "overlaps": (0.7, 0.5), "stride": 1}
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    wanted = OBJECTS[0]
    spec = BoxSmoothGrad(samples=3, sigma=0.1, **options)
    ((found, _),) = boxsmoothgrad.localize(network, image, [wanted], spec)
    (positives,) = find_positives(network, network.normalize(image), [wanted], spec)
    generator, total = torch.Generator().manual_seed(wanted.seed), 0
    for _ in range(3):
        pixels = image + 0.1 * torch.randn(3, 64, 64, generator=generator)
        pixels = pixels.requires_grad_()
        levels = network.pyramid(network.normalize(pixels))
        logits, _ = network.raw_answers(levels, [positives.boxes], [(64, 64)])
        total = total + torch.autograd.grad(logits[:, 1].mean(), pixels)[0].abs().amax(1)[0]
    torch.testing.assert_close(found, total / total.max(), atol=1e-5, rtol=0)
