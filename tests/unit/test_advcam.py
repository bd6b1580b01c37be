"""AdvCAM against steps made by hand on a linear network, and against one pair at a time."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tags2masks.config.climbing import AdvCam
from tags2masks.config.maps import Cam
from tags2masks.config.training import Backbone
from tags2masks.maps import cam
from tags2masks.maps.advcam import ascend, localize
from tags2masks.maps.batch import Batch, Localized
from tags2masks.maps.scales import in_units_of_first, sum_of_steps
from tags2masks.nets.classifier import Classifier


class Linear(nn.Module):
    """Features are the pixels over 2, as they are normalised; scores are linear in them."""

    def __init__(self, *weights):
        super().__init__()
        self.normalize = nn.Module()
        self.normalize.mean, self.normalize.std = torch.zeros(1, 3, 1, 1), torch.tensor(2.0)
        self.weights = torch.tensor(weights)

    def features(self, images):
        return images / 2

    def score_maps(self, features):
        return torch.einsum("kc,bchw->bkhw", self.weights, features)


TWO = Linear((1.0, 0, 0), (0, 0.5, 0))
# Two pixels; normalised (0.4, 0.2, 0) and (0.2, 0.4, 0).
IMAGE = torch.tensor([[0.8, 0.4], [0.4, 0.8], [0, 0]]).view(1, 3, 1, 2)
ONE_VIEW = {"scales": (1,), "flip": False, "stride": 1, "restrict_above": 0.5}


def climbed(network=TWO, **options):
    """The normalised colours of the two pixels at each step of the climb of class 0."""
    spec = AdvCam(**(ONE_VIEW | {"step_size": 0.1} | options))
    steps = ascend(network, IMAGE, torch.tensor([0]), spec.steps, spec)
    return torch.stack([images.view(3, 2).T for _, images in steps])


def test_a_step_by_hand():
    # L = y_0 − y_1, means over two pixels: the gradient is (1, −0.5, 0) / 2 at each.
    found = climbed(steps=1)
    expected = torch.tensor([[[0.4, 0.2, 0], [0.2, 0.4, 0]], [[0.45, 0.175, 0], [0.25, 0.375, 0]]])
    torch.testing.assert_close(found, expected)


def test_the_mask_term_by_hand():
    # Maps after a step are 0.45 and 0.25, against 0.4 and 0.2; one weight is positive, so n₊ is 1.
    # Only the first is above 0.6 of the highest: its gradient is 0.5 − 1.
    one = climbed(steps=2, restrict_weight=1, restrict_above=0.6)
    torch.testing.assert_close(one[2, :, 0], torch.tensor([0.45 - 0.05, 0.25 + 0.05]))
    # Normalised and above 0.5, the second counts: 0.25/0.45 has the derivatives 1/0.45 by the
    # second score and −0.25/0.45² by the first, which is the maximum.
    found = climbed(steps=2, restrict_weight=1, restrict_map="normalized")
    expected = [0.45 + 0.1 * (0.5 + 0.25 / 0.45**2), 0.25 + 0.1 * (0.5 - 1 / 0.45)]
    torch.testing.assert_close(found[2, :, 0], torch.tensor(expected), atol=1e-4, rtol=0)
    # The other class's colour goes down all the same.
    torch.testing.assert_close(found[2, :, 1], torch.tensor([0.15, 0.35]))
    free = climbed(steps=2, restrict_weight=0)
    torch.testing.assert_close(free[2, :, 0], torch.tensor([0.5, 0.3]))


@pytest.mark.parametrize("step_map", ["normalized", "raw"])
def test_the_unit_of_the_mask_term_is_the_map_over_twice_the_positive_weights(step_map):
    # Class 0 has two positive weights, so Grad-CAM is CAM/2 of one view and CAM/4 of two.
    network = Linear((1.0, 0.5, -1.0), (0, 0.5, 0))
    options = {"restrict_weight": 4, "restrict_above": 0.9, "step_map": step_map}
    # L's gradient is (1, 0, −1)/2 without the mask term. After a step CAM is 0.6 and 0.5, and above
    # 0.9 of the highest is the first alone: 4/2 · (1, 0.5, −1) goes off there.
    found = climbed(network, steps=2, **options)
    torch.testing.assert_close(found[1], torch.tensor([[0.45, 0.2, -0.05], [0.25, 0.4, -0.05]]))
    torch.testing.assert_close(found[2], torch.tensor([[0.3, 0.1, 0.1], [0.3, 0.4, -0.1]]))
    # With the mirror image, whose pixels are the other way round: 4/4 · (1, 0.5, −1) in each view.
    spec = AdvCam(**(ONE_VIEW | {"step_size": 0.1, "steps": 2} | options))
    views = torch.cat([IMAGE, IMAGE.flip(-1)])
    *_, (_, images) = ascend(network, views, torch.tensor([0]), 2, spec)
    straight = torch.tensor([[0.4, 0.15, 0], [0.3, 0.4, -0.1]])
    torch.testing.assert_close(images[0].view(3, 2).T, straight)
    torch.testing.assert_close(images[1].flip(-1).view(3, 2).T, straight)


class Probe(nn.Module):
    """A linear head of 640 weights, some half of them positive, on fixed random features."""

    def __init__(self):
        super().__init__()
        self.normalize = nn.Module()
        self.normalize.mean, self.normalize.std = torch.zeros(1, 3, 1, 1), torch.ones(1)
        generator = torch.Generator().manual_seed(0)
        self.filters = torch.randn(640, 3, 4, 4, generator=generator) / 7
        self.head = torch.randn(3, 640, 1, 1, generator=generator) / 8

    def features(self, images):
        return F.conv2d(images, self.filters, stride=4).relu()

    def score_maps(self, features):
        return F.conv2d(features, self.head)


@pytest.mark.parametrize("step_map", ["normalized", "raw"])
def test_with_the_published_weight_the_logit_of_a_probe_climbs(step_map):
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    views = torch.cat([image, image.flip(-1)])

    def logits(**options):
        spec = AdvCam(step="scaled", step_size=0.08, logit="rectified", **options)
        steps = ascend(Probe(), views, torch.tensor([1]), 9, spec)
        return [found.relu().mean().item() for found, _ in steps]

    climb = logits(step_map=step_map)
    assert all(later > before for before, later in itertools.pairwise(climb))
    assert climb[0] == pytest.approx(0.301, abs=1e-3)
    assert climb[9] == pytest.approx(0.967, abs=2e-2)
    # λ in units of CAM itself, 2 · 314 times as much: after the first step nothing climbs.
    raw = logits(step_map=step_map, restrict_weight=7 * 2 * 314)
    assert max(raw[2:]) < raw[1]
    normalized = logits(step_map=step_map, restrict_map="normalized")
    assert normalized[9] < 1.05 * normalized[1]


def test_a_scaled_step_by_hand():
    # The gradient over its maximum is (1, −0.5, 0); the image stays within 0 and 0.4.
    found = climbed(steps=1, step="scaled")
    torch.testing.assert_close(found[1], torch.tensor([[0.4, 0.15, 0], [0.3, 0.35, 0]]))


def test_the_range_of_a_scaled_step_is_the_last_images():
    # The gradient over its maximum is (1, 0.4, 1): the lowest value, 0, becomes 0.1.
    found = climbed(Linear((1.0, 0.4, 1.0)), steps=2, step="scaled", restrict_weight=0)
    torch.testing.assert_close(found[1], torch.tensor([[0.4, 0.24, 0.1], [0.3, 0.4, 0.1]]))
    # The mask term takes the next step back; blue stays at 0.1, which is the lowest value by now.
    held = climbed(
        Linear((1.0, 0.4, 1.0)), steps=2, step="scaled", restrict_weight=1e3, restrict_above=0
    )
    torch.testing.assert_close(held[2], torch.tensor([[0.3, 0.2, 0.1], [0.2, 0.36, 0.1]]))


def test_rectified_logits_by_hand():
    # Class 1 scores below zero everywhere: pooled as it is it goes on falling, rectified it stays.
    network = Linear((1.0, 0, 0), (0, -0.5, 0))
    plain, rectified = (climbed(network, steps=1, logit=name)[1] for name in ("plain", "rectified"))
    torch.testing.assert_close(plain, torch.tensor([[0.45, 0.225, 0], [0.25, 0.425, 0]]))
    torch.testing.assert_close(rectified, torch.tensor([[0.45, 0.2, 0], [0.25, 0.4, 0]]))


def test_maps_and_steps_by_hand():
    batch = Batch(IMAGE, torch.tensor([[True, False]]), [0])
    options = ONE_VIEW | {"steps": 1, "step_size": 0.1, "keep_steps": True}
    raw = localize(TWO, batch, AdvCam(**options, step_map="raw"))
    assert isinstance(raw, Localized)
    # 0.4 + 0.45 and 0.2 + 0.25, over the first.
    torch.testing.assert_close(raw.maps[0, 0, 0], torch.tensor([1, 0.45 / 0.85]), atol=2e-5, rtol=0)
    steps = torch.tensor([[1, 0.5], [1.125, 0.625]])
    torch.testing.assert_close(raw.steps[0, 0, :, 0], steps, atol=5e-5, rtol=0)
    assert not raw.maps[0, 1].any() and not raw.steps[0, 1].any()
    # 0.2 is not above half of 0.4, so the first pixel alone is restricted.
    assert raw.restricted[0, 0].tolist() == [[[1, 0]]] and not raw.restricted[0, 1].any()
    free = localize(TWO, batch, AdvCam(**options, restrict_weight=0))
    assert free.restricted is None and free.steps is not None
    # Normalised: 1 + 1 and 0.5 + 0.25/0.45.
    maps = localize(TWO, batch, AdvCam(**options)).maps
    expected = torch.tensor([1, (0.5 + 0.25 / 0.45) / 2])
    torch.testing.assert_close(maps[0, 0, 0], expected, atol=5e-5, rtol=0)


def test_sums_and_units_of_steps_by_hand():
    steps = torch.tensor([[[2.0, 1]], [[4, 4]]])
    normal, raw = torch.tensor([[1, 0.75]]), torch.tensor([[1, 5 / 6]])
    torch.testing.assert_close(sum_of_steps(steps, "normalized"), normal, atol=1e-5, rtol=0)
    torch.testing.assert_close(sum_of_steps(steps, "raw"), raw, atol=1e-5, rtol=0)
    units = torch.tensor([[[1, 0.5]], [[2, 2]]])
    torch.testing.assert_close(in_units_of_first(steps), units, atol=2e-5, rtol=0)
    assert in_units_of_first(torch.tensor([[[0.0]], [[9]]])).tolist() == [[[0]], [[65504]]]


@pytest.fixture(scope="module")
def network():
    """A small network with random weights, in float64, where rounding changes no mask."""
    torch.manual_seed(3)
    made = Classifier(Backbone(name="test_resnet", output_stride=8), 3).eval()
    return made.double().requires_grad_(False)


def plain_climb(network, image, number, spec):
    """The maps of one class of one image at each step, written down plainly."""
    height, width = image.shape[-2:]
    size = (-(-height // spec.stride), -(-width // spec.stride))
    total = torch.zeros(spec.steps + 1, *size, dtype=torch.float64)
    masks = torch.zeros(spec.steps, *size, dtype=torch.float64)
    for scale in spec.scales:
        sides = (round(height * scale), round(width * scale))
        scaled = F.interpolate(image[None], sides, mode="bilinear", align_corners=False)
        views = [scaled, scaled.flip(-1)] if spec.flip else [scaled]
        views = [(view - network.normalize.mean) / network.normalize.std for view in views]
        steps = spec.steps
        if scale < 1 and spec.steps_below_one is not None:
            steps = spec.steps_below_one
        for step in range(steps + 1):
            views = [view.detach().requires_grad_() for view in views]
            gain, now, counts = 0, 0, []
            for place, view in enumerate(views):
                pixels = view * network.normalize.std + network.normalize.mean
                maps = network.score_maps(network.features(pixels))[0]
                logits = (maps.relu() if spec.logit == "rectified" else maps).mean((1, 2))
                gain = gain + logits[number] - (logits.sum() - logits[number])
                seen = maps[number].relu()
                now = now + (seen.flip(-1) if place else seen)
                # Grad-CAM's weights: w_c at as many places as count, over all positive gradients.
                count = (maps[number] > 0).sum() if spec.logit == "rectified" else seen.numel()
                counts.append((count, seen.flip(-1) if place else seen))
            positive = (network.head.weight[number] > 0).sum() * sum(n for n, _ in counts)
            gradcam = sum(n * seen for n, seen in counts) / max(positive, 1)
            upsampled = F.interpolate(now[None, None].detach(), size, mode="bilinear")
            total[step] += upsampled[0, 0]
            now = now / (now.max() + 1e-5) if spec.restrict_map == "normalized" else gradcam
            if step == 0:
                first = now.detach()
            mask = (now > spec.restrict_above * now.max()).double()
            if step < steps:
                masks[step] += F.interpolate(mask[None, None], size, mode="bilinear")[0, 0]
            change = (now - first).abs()
            gain = gain - spec.restrict_weight * (mask * change).sum()
            gradients = torch.autograd.grad(gain, views)
            if spec.step == "scaled":
                largest = max(gradient.abs().max() for gradient in gradients)
                gradients = [gradient / (largest + 1e-12) for gradient in gradients]
            lowest = min(view.min() for view in views).item()
            highest = max(view.max() for view in views).item()
            views = [view + spec.step_size * g for view, g in zip(views, gradients, strict=True)]
            if spec.step == "scaled":
                views = [view.clamp(lowest, highest) for view in views]
    if spec.step_map == "normalized":
        total_map = sum(part / (part.max() + 1e-5) for part in total)
    else:
        total_map = total.sum(0)
    steps = total / (total[0].max() + 1e-5)
    return total_map / (total_map.max() + 1e-5), steps, masks / len(spec.scales)


PUBLIC_CODE = {
    "step": "scaled",
    "step_size": 0.08,
    "steps_below_one": 1,
    "logit": "rectified",
    "step_map": "raw",
}


@pytest.mark.parametrize(
    "options",
    [
        {"step_size": 2.0},
        {"step_size": 2.0, "restrict_map": "normalized"},
        PUBLIC_CODE | {"restrict_weight": 70},
        {"flip": False},
    ],
)
def test_batched_pairs_equal_one_pair_at_a_time(network, options):
    torch.manual_seed(0)
    images = torch.rand(3, 3, 25, 34, dtype=torch.float64)
    tagged = torch.tensor([[True, False, True], [False, False, False], [True, True, True]])
    spec = AdvCam(**({"steps": 3, "keep_steps": True, "pairs_per_pass": 3} | options))
    found = localize(network, Batch(images, tagged, [0, 1, 2]), spec)
    assert found.maps.shape == (3, 3, 7, 9) and found.steps.shape == (3, 3, 4, 7, 9)
    assert not found.maps[~tagged].any()
    plain = cam.localize(network, Batch(images, tagged, [0, 1, 2]), Cam(flip=spec.flip))
    close = {"atol": 1e-5, "rtol": 1e-5, "check_dtype": False}
    for row, number in tagged.nonzero().tolist():
        maps, steps, masks = plain_climb(network, images[row], number, spec)
        torch.testing.assert_close(found.maps[row, number], maps, **close)
        torch.testing.assert_close(found.steps[row, number], steps, **close)
        torch.testing.assert_close(found.restricted[row, number], masks, **close)
        assert 0 < masks.mean() < 1
    if "step_size" in options:  # it is a climb, not the first map again
        assert (found.maps - plain)[tagged].abs().max() > 0.01


def test_no_step_is_plain_cam_and_single_pairs_are_no_other(network):
    images = torch.rand(2, 3, 24, 32, dtype=torch.float64)
    batch = Batch(images, torch.tensor([[True, True, False], [False, True, False]]), [0, 1])
    plain = cam.localize(network, batch, Cam())
    still = localize(network, batch, AdvCam(steps=0))
    torch.testing.assert_close(
        still[batch.tagged], plain[batch.tagged], atol=3e-5, rtol=0, check_dtype=False
    )
    several = localize(network, batch, AdvCam(steps=2, step_size=2.0))
    single = localize(network, batch, AdvCam(steps=2, step_size=2.0, pairs_per_pass=1))
    torch.testing.assert_close(single, several, atol=1e-6, rtol=1e-6)


def test_under_no_grad_and_autocast_and_without_tags(network):
    small = Classifier(Backbone(name="test_resnet", output_stride=8), 3).eval()
    small.requires_grad_(False)
    batch = Batch(torch.rand(2, 3, 16, 16), torch.zeros(2, 3, dtype=torch.bool), [0, 1])
    assert not localize(small, batch, AdvCam(steps=1)).any()
    batch = batch._replace(tagged=~batch.tagged)
    with torch.no_grad():
        maps = localize(small, batch, AdvCam(steps=1))
        with torch.autocast("cpu", torch.bfloat16):
            half = localize(small, batch, AdvCam(steps=1))
    assert half.dtype == torch.float32
    assert 0 < (half - maps).abs().mean() < 0.05
