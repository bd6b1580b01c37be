"""Saliency over random versions of an image: by hand, plainly, against captum, in any order."""

import pytest
import torch
import torch.nn.functional as F
from captum.attr import NoiseTunnel
from captum.attr import Saliency as CaptumSaliency
from torch import nn

from tags2masks.config import maps as config
from tags2masks.config.training import Backbone
from tags2masks.maps import (
    binarymask,
    crops,
    disccrop,
    discpatch,
    patches,
    randomcrop,
    randompatch,
    saliency,
    smoothgrad,
)
from tags2masks.maps.batch import Batch, plain_batch
from tags2masks.maps.crops import Box
from tags2masks.maps.gradients import stored
from tags2masks.nets.classifier import Classifier

METHODS = {
    "smoothgrad": smoothgrad,
    "binarymask": binarymask,
    "randompatch": randompatch,
    "discpatch": discpatch,
    "randomcrop": randomcrop,
    "disccrop": disccrop,
}


def block(name: str, **values):
    """The config block of a method."""
    return config.METHODS[name](**values)


@pytest.fixture(autouse=True)
def same_images():
    torch.manual_seed(0)


@pytest.fixture
def network():
    network = Classifier(Backbone(name="test_resnet", output_stride=8), 3)
    return network.eval().requires_grad_(False)


class Squares(nn.Module):
    """A logit is the weighted sum of all colours' squares over 2: its gradient is w·I."""

    weights = torch.tensor([[1.0, 0, -2], [0, 1, 0]])

    def features(self, images):
        return images**2 / 2

    def score_maps(self, features):
        return torch.einsum("nchw,kc->nkhw", features, self.weights)

    def forward(self, images):
        return self.score_maps(self.features(images)).sum((2, 3))


def plain_saliency(network, image, class_):
    """|dS_c/dI| of one image [3, H, W] and class, largest over the colours, and S_c."""
    image = image.clone().requires_grad_()
    logit = network(image[None])[0, class_]
    (gradient,) = torch.autograd.grad(logit, image)
    return gradient.abs().amax(0), logit.item()


# -- any aggregation -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_neither_order_nor_batch_size_changes_a_bit(network, name):
    images = torch.rand(3, 3, 21, 34)
    tagged = torch.tensor([[1, 0, 1], [0, 1, 0], [1, 1, 0]]).bool()
    # The CAMs of a network from chance are high everywhere: beta 0.7 would keep no crop.
    kept = {"beta": 1.3} if name == "disccrop" else {}
    seeds, spec = [11, 22, 33], block(name, samples=7, samples_per_pass=4, **kept)

    def found(*members):
        picked = list(members)
        batch = Batch(images[picked], tagged[picked], [seeds[number] for number in picked])
        return METHODS[name].localize(network, batch, spec).to(torch.float16)

    together = found(0, 1, 2)
    assert together.shape == (3, 3, 6, 9)
    assert torch.equal(found(2, 0, 1), together[[2, 0, 1]])
    for number in range(3):
        assert torch.equal(found(number), together[number : number + 1])
    assert not together[~tagged].any() and together[tagged].amax((1, 2)).tolist() == [1] * 5
    seeds[1] = 23
    again = found(0, 1, 2)
    assert torch.equal(again[0], together[0]) and not torch.equal(again[1], together[1])


@pytest.mark.parametrize("name", METHODS)
def test_the_number_of_samples_in_a_pass_changes_nothing(network, name):
    batch = plain_batch(torch.rand(1, 3, 20, 20), 3)
    kept = {"beta": 1.3} if name == "disccrop" else {}
    several = [
        METHODS[name].localize(
            network, batch, block(name, samples=7, samples_per_pass=count, **kept)
        )
        for count in (1, 3, 7, 50)
    ]
    assert several[0].max() == 1
    for other in several[1:]:
        torch.testing.assert_close(other, several[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_images_without_tags_and_images_of_any_shape(network, name):
    spec = block(name, samples=2)
    none = Batch(torch.rand(2, 3, 9, 9), torch.zeros(2, 3, dtype=torch.bool), [0, 1])
    assert METHODS[name].localize(network, none, spec).tolist() == torch.zeros(2, 3, 3, 3).tolist()
    for size in ((1, 40), (1, 1), (90, 2)):
        found = METHODS[name].localize(network, plain_batch(torch.rand(1, 3, *size), 3), spec)
        assert found.shape[-2:] == (-(-size[0] // 4), -(-size[1] // 4))
        assert torch.isfinite(found).all() and found.min() >= 0 and found.max() <= 1


# -- noise -----------------------------------------------------------------------------------------


def test_smoothgrad_is_the_mean_over_noisy_images(network):
    image, spec = torch.rand(3, 13, 18), block("smoothgrad", samples=5, sigma=0.2, stride=1)
    found = smoothgrad.localize(network, plain_batch(image[None], 3)._replace(seeds=[77]), spec)
    for class_ in range(3):
        generator = torch.Generator().manual_seed(77)
        noisy = [image + 0.2 * torch.randn(3, 13, 18, generator=generator) for _ in range(5)]
        mean = sum(plain_saliency(network, one, class_)[0] for one in noisy) / 5
        torch.testing.assert_close(found[0, class_], mean / mean.max(), atol=1e-6, rtol=1e-5)


class Grey(nn.Module):
    """A network that sees no colours, so that every channel has the same gradient."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network(images.mean(1, keepdim=True).expand(-1, 3, -1, -1))


def test_smoothgrad_equals_captum_with_the_same_noise(network, monkeypatch):
    # captum takes the mean of every channel, the paper the channels' largest of every sample:
    # the same where the channels are equal.
    image, spec = torch.rand(1, 3, 16, 20), block("smoothgrad", samples=6, sigma=0.3, stride=1)
    batch = plain_batch(image, 3)._replace(seeds=[5])
    found = smoothgrad.localize(Grey(network), batch, spec)
    generator = torch.Generator().manual_seed(5)
    noise = torch.stack([torch.randn(3, 16, 20, generator=generator) for _ in range(6)])
    monkeypatch.setattr(torch, "normal", lambda mean, deviations: mean + noise * deviations)
    theirs = NoiseTunnel(CaptumSaliency(Grey(network))).attribute(
        image, nt_type="smoothgrad", nt_samples=6, stdevs=0.3, target=1
    )[0]
    expected = theirs.amax(0) / theirs.max()
    torch.testing.assert_close(found[0, 1], expected, atol=1e-6, rtol=1e-5)


def test_a_masked_pixel_counts_with_the_share_of_samples_that_kept_it():
    image, spec = torch.rand(3, 6, 7), block("binarymask", samples=8, keep=0.6, stride=1)
    batch = plain_batch(image[None], 2)._replace(seeds=[3])
    found = binarymask.localize(Squares(), batch, spec)[0, 1]
    generator = torch.Generator().manual_seed(3)
    kept = sum((torch.rand(1, 6, 7, generator=generator) < 0.6).float() for _ in range(8))[0] / 8
    assert 0.4 < kept.mean() < 0.8 and len(kept.unique()) > 3
    expected = image[1] * kept  # the gradient of class 1 is the green of a kept pixel
    torch.testing.assert_close(found, expected / expected.max())


# -- patches ---------------------------------------------------------------------------------------


def test_patches_that_are_off_are_black():
    off = torch.tensor([[[True, False], [False, False]], [[False, False], [True, True]]])
    found = patches.without_patches(torch.ones(3, 4, 5), off)
    assert found.shape == (2, 3, 4, 5)
    # Columns 0 to 2 belong to the first of two patches: floor(2·2/5) = 0.
    assert found[0, 0].tolist() == [[0, 0, 0, 1, 1]] * 2 + [[1] * 5] * 2
    assert found[1, 2].tolist() == [[1] * 5] * 2 + [[0] * 5] * 2


def test_patches_are_switched_off_with_their_chances():
    chances = torch.tensor([[0.0, 1.0], [0.5, 0.1]])
    shares = patches.draw_off(chances, 2000, torch.Generator().manual_seed(0)).float().mean(0)
    assert shares[0].tolist() == [0, 1]
    assert shares[1].tolist() == pytest.approx([0.5, 0.1], abs=0.03)


def test_random_patch_by_hand(monkeypatch):
    drawn = []

    def off(chances, count, generator):
        drawn.append(chances.tolist())
        return torch.tensor([[[True, False]], [[False, False]]])[:count].expand(-1, 2, 2)

    monkeypatch.setattr(randompatch, "draw_off", off)
    image = torch.tensor([2.0, 1]).view(1, 1, 1, 2).expand(1, 3, 2, 2)
    spec = block("randompatch", samples=2, grid=2, off=0.25, stride=1)
    found = randompatch.localize(Squares(), plain_batch(image, 2), spec)
    # Left column: 2 in one sample of two; right: 1 in both.
    assert found[0, 1].tolist() == [[1, 1], [1, 1]]
    assert drawn == [[[0.25, 0.25], [0.25, 0.25]]]


def test_disc_patch_takes_its_chances_from_the_cam(monkeypatch):
    drawn = []

    def off(chances, count, generator):
        drawn.append(chances)
        return torch.zeros(count, 2, 2, dtype=torch.bool)

    monkeypatch.setattr(discpatch, "draw_off", off)
    image = torch.zeros(1, 3, 2, 4)
    image[0, 0, :, :2] = torch.tensor([[2.0, 0], [0, 0]])  # class 0: 2 at one pixel
    image[0, 1, 1, 2:] = 2.0  # class 1: 2 at two pixels, bottom right
    image[0, 1, 0, 0] = 2**0.5  # and 1 at the first pixel
    spec = block("discpatch", samples=1, grid=2)
    discpatch.localize(Squares(), plain_batch(image, 2), spec)
    # Means over the patches of 1 × 2 pixels: class 0 ½ 0 / 0 0, class 1 ¼ 0 / 0 1.
    expected = 0.4 * torch.tensor([[0.5, 0], [0, 1]])
    torch.testing.assert_close(drawn[0], expected, atol=1e-5, rtol=0)
    # With the second tag alone, the first class's CAM has no say.
    tagged = torch.tensor([[False, True]])
    discpatch.localize(Squares(), Batch(image, tagged, [0]), spec)
    torch.testing.assert_close(drawn[1], 0.4 * torch.tensor([[0.25, 0], [0, 1]]), atol=1e-5, rtol=0)


# -- crops -----------------------------------------------------------------------------------------


def test_boxes_lie_inside_with_the_images_proportions_and_shares_in_the_range():
    spec = block("randomcrop", samples=3000, scale=(0.1, 0.5))
    boxes = crops.draw_boxes((60, 90), spec, torch.Generator().manual_seed(0))
    assert len(boxes) == 3000
    assert all(b.top >= 0 and b.left >= 0 for b in boxes)
    assert all(b.top + b.height <= 60 and b.left + b.width <= 90 for b in boxes)
    assert all(abs(b.width - 1.5 * b.height) < 1.5 for b in boxes)
    shares = torch.tensor([b.height * b.width / (60 * 90) for b in boxes])
    assert shares.min() < 0.11 and shares.max() > 0.49
    assert shares.mean().item() == pytest.approx(0.3, abs=0.01)
    # Every border is reached.
    assert min(b.top for b in boxes) == 0 == min(b.left for b in boxes)
    assert max(b.top + b.height for b in boxes) == 60
    assert max(b.left + b.width for b in boxes) == 90


def test_a_crop_of_everything_is_saliency_itself(network):
    batch = plain_batch(torch.rand(2, 3, 20, 30), 3)
    found = randomcrop.localize(network, batch, block("randomcrop", samples=3, scale=(1, 1)))
    expected = saliency.localize(network, batch, config.Saliency())
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_weights_and_places_of_crops_by_hand():
    # Left half 1, right half 0.5, of 2 × 4 pixels; enlarged halves are even.
    image = torch.tensor([1.0, 1, 0.5, 0.5]).expand(3, 2, 4)
    boxes = [Box(0, 0, 2, 2), Box(0, 2, 2, 2), Box(0, 0, 2, 4)]
    spec = block("randomcrop", samples=4, samples_per_pass=2)
    found = crops.crop_saliency(Squares(), image, torch.tensor([1, 0]), boxes, spec)
    # Class 1: S = 8 pixels · v²/2 and a gradient of v. Class 0: w = 1 and −2, so S is minus that
    # and the gradient 2·v at most. The last box is the whole image: S = 4 · (1 + 0.25)/2.
    for place, sign, factor in ((0, 1, 1), (1, -1, 2)):
        left, right, whole = torch.tensor([4.0, 1.0, 2.5]).mul(sign).sigmoid().tolist()
        columns = [factor * (left + whole) / 4] * 2 + [factor * 0.5 * (right + whole) / 4] * 2
        torch.testing.assert_close(found[place], torch.tensor([columns, columns]))


def test_crops_equal_one_crop_and_class_at_a_time(network):
    image, spec = torch.rand(3, 22, 31), block("randomcrop", samples=6, samples_per_pass=4)
    found = randomcrop.localize(network, plain_batch(image[None], 3)._replace(seeds=[9]), spec)
    boxes = crops.draw_boxes((22, 31), spec, torch.Generator().manual_seed(9))
    assert len(set(boxes)) == 6
    for class_ in range(3):
        total = torch.zeros(22, 31)
        for top, left, height, width in boxes:
            crop = image[:, top : top + height, left : left + width]
            enlarged = F.interpolate(crop[None], (22, 31), mode="bilinear")[0]
            map_, logit = plain_saliency(network, enlarged, class_)
            small = F.adaptive_avg_pool2d(map_[None], (height, width))[0]
            weight = torch.tensor(logit).sigmoid()
            total[top : top + height, left : left + width] += weight * small
        torch.testing.assert_close(
            found[0, class_], stored(total[None], 4)[0], atol=1e-6, rtol=1e-5
        )


def test_scores_of_crops_by_hand():
    maps = torch.tensor([[[1.0, 0, 0, 0]], [[0, 0, 0.5, 0.5]]])
    boxes = [Box(0, 0, 1, 1), Box(0, 0, 1, 4), Box(0, 2, 1, 2), Box(0, 1, 1, 1)]
    assert disccrop.crop_scores(maps, boxes).tolist() == [1, 0.25, 0.5, 0]


def test_disc_crop_keeps_crops_with_their_chances(network, monkeypatch):
    kept = {}

    def look(network, image, classes, boxes, spec):
        kept[spec.beta] = boxes
        return torch.zeros(len(classes), *image.shape[-2:])

    scores = torch.tensor([0.0, 0.3, 0.6, 0.7, 1.0] * 400)
    monkeypatch.setattr(disccrop, "crop_saliency", look)
    monkeypatch.setattr(disccrop, "crop_scores", lambda maps, boxes: scores)
    numbered = [Box(number, 0, 1, 1) for number in range(2000)]
    monkeypatch.setattr(disccrop, "draw_boxes", lambda size, spec, generator: numbered)
    batch = plain_batch(torch.rand(1, 3, 8, 8), 3)
    disccrop.localize(network, batch, block("disccrop", samples=2000))
    shares = [sum(b.top % 5 == place for b in kept[0.7]) / 400 for place in range(5)]
    assert shares[:3] == pytest.approx([0.7, 0.4, 0.1], abs=0.06)
    assert shares[3:] == [0, 0]


def test_disc_crop_that_keeps_all_is_random_crop_and_that_keeps_none_is_zero(network):
    batch = plain_batch(torch.rand(1, 3, 20, 20), 3)
    all_kept = disccrop.localize(network, batch, block("disccrop", samples=5, beta=2))
    expected = randomcrop.localize(network, batch, block("randomcrop", samples=5))
    assert torch.equal(all_kept, expected)
    none_kept = disccrop.localize(network, batch, block("disccrop", samples=5, beta=1e-6))
    assert none_kept.shape == expected.shape and not none_kept.any()


# -- config ----------------------------------------------------------------------------------------


def test_the_papers_numbers_are_the_defaults():
    defaults = {
        name: {
            k: v for k, v in block(name).key().items() if k not in ("images", "precision", "stride")
        }
        for name in METHODS
    }
    assert defaults == {
        "smoothgrad": {"method": "smoothgrad", "samples": 50, "sigma": 0.5},
        "binarymask": {"method": "binarymask", "samples": 50, "keep": 0.9},
        "randompatch": {"method": "randompatch", "samples": 50, "grid": 16, "off": 0.1},
        "discpatch": {"method": "discpatch", "samples": 50, "grid": 16, "alpha": 0.4},
        "randomcrop": {"method": "randomcrop", "samples": 140, "scale": [0.1, 1.0]},
        "disccrop": {"method": "disccrop", "samples": 140, "scale": [0.1, 1.0], "beta": 0.7},
    }


@pytest.mark.parametrize("scale", [(0, 1), (0.5, 0.2), (0.1, 1.5)])
def test_a_crops_share_is_a_range_within_0_to_1(scale):
    with pytest.raises(ValueError, match="smallest share first"):
        block("randomcrop", scale=scale)
