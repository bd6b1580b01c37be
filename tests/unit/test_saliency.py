"""Saliency maps against numbers made by hand, captum, and one image and class at a time."""

import pytest
import torch
from captum.attr import Saliency as CaptumSaliency
from torch import nn

from tags2masks.config.saliency_maps import Saliency
from tags2masks.config.training import Backbone
from tags2masks.maps.batch import Batch, plain_batch
from tags2masks.maps.gradients import saliency_maps, stored
from tags2masks.maps.saliency import localize
from tags2masks.nets.classifier import Classifier


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = Classifier(Backbone(name="resnet10t", output_stride=8), 4)
    return network.eval().requires_grad_(False)


class Squares(nn.Module):
    """A logit is the weighted sum of all colours' squares over 2: its gradient is w·I."""

    weights = torch.tensor([[1.0, 0, -2], [0, 1, 0], [0, 0, 3]])

    def forward(self, images):
        return (images**2 / 2).sum((2, 3)) @ self.weights.T


def test_by_hand():
    # Two pixels: (1, 2, 3) and (4, 0, 0.5).
    image = torch.tensor([[1.0, 4], [2, 0], [3, 0.5]]).view(1, 3, 1, 2)
    maps, logits = saliency_maps(Squares(), image, torch.tensor([[0, 1]]))
    assert maps.tolist() == [[[[6, 4]], [[2, 0]]]]
    assert logits.tolist() == [[(1 + 16) / 2 - (9 + 0.25), (4 + 0) / 2]]
    tagged = torch.tensor([[True, True, False]])
    found = localize(Squares(), Batch(image, tagged, [0]), Saliency(stride=1))
    torch.testing.assert_close(found, torch.tensor([[1, 4 / 6], [1, 0], [0, 0]]).view(1, 3, 1, 2))


def test_a_stored_cell_is_the_mean_of_its_pixels():
    rows = torch.tensor([1.0, 3, 0, 0, 2, 6, 8, 0]).view(1, 1, 8)
    assert stored(rows, 4).tolist() == [[[0.25, 1]]]  # means 1 and 4
    # Five pixels, two cells of 2½: they share the middle one.
    five = torch.tensor([3.0, 6, 3, 0, 0]).view(1, 1, 5)
    assert stored(five, 4).tolist() == [[[1, 0.25]]]
    assert stored(five * 1e-30, 4).tolist() == [[[1, 0.25]]]  # however small the gradients are
    assert stored(torch.zeros(2, 5, 9), 4).tolist() == torch.zeros(2, 2, 3).tolist()


def test_equals_captum(network):
    images = torch.rand(2, 3, 33, 41).requires_grad_()
    found = localize(network, plain_batch(images, 4), Saliency(stride=1))
    for class_ in range(4):
        theirs = CaptumSaliency(network).attribute(images, target=class_).amax(1)
        expected = theirs / theirs.amax((1, 2), keepdim=True)
        torch.testing.assert_close(found[:, class_], expected, atol=1e-6, rtol=1e-5)


def test_images_with_other_numbers_of_tags_equal_one_image_and_class_at_a_time(network):
    images = torch.rand(5, 3, 24, 37)
    tagged = torch.tensor(
        [[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1]]
    ).bool()
    found = localize(network, Batch(images, tagged, range(5)), Saliency())
    assert found.shape == (5, 4, 6, 10) and not found[~tagged].any()
    for number, class_ in tagged.nonzero().tolist():
        image = images[number : number + 1].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(network(image)[0, class_], image)
        expected = stored(gradient[0].abs().amax(0)[None], 4)[0]
        torch.testing.assert_close(found[number, class_], expected, atol=1e-6, rtol=1e-5)


class Counted(nn.Module):
    """Counts the images that go forward through it and the gradients that come back."""

    def __init__(self):
        super().__init__()
        self.forward_images, self.backward_images = [], []

    def forward(self, images):
        self.forward_images.append(len(images))
        logits = Squares()(images)
        logits.register_hook(lambda gradient: self.backward_images.append(len(gradient)))
        return logits


def test_an_image_takes_one_forward_pass_and_a_backward_one_per_tag():
    tagged = torch.tensor([[1, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 0]]).bool()
    network = Counted()
    localize(network, Batch(torch.rand(4, 3, 8, 8), tagged, range(4)), Saliency())
    assert network.forward_images == [2, 1]
    assert network.backward_images == [2, 1, 1, 1]


class Faint(nn.Module):
    """A network whose gradients are below what float16 can hold."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 1, bias=False).requires_grad_(False)
        self.layer.weight[:] = 2.0**-10

    def forward(self, images):
        return self.layer(images).float().mean((2, 3)) * 2.0**-10


def test_half_precision_does_not_lose_small_gradients():
    images = torch.rand(1, 3, 8, 8)
    with torch.autocast("cpu", torch.float16):
        maps, _ = saliency_maps(Faint(), images, torch.tensor([[0]]))
    # 2⁻²⁶: less than the smallest number of float16, 2⁻²⁴.
    assert maps.unique().tolist() == [2.0**-26]


@pytest.mark.parametrize("size", [(1, 40), (1, 1), (300, 2)])
def test_images_of_any_shape(network, size):
    found = localize(network, plain_batch(torch.rand(1, 3, *size), 4), Saliency())
    assert found.shape[-2:] == (-(-size[0] // 4), -(-size[1] // 4))
    assert torch.isfinite(found).all() and found.amax((2, 3)).tolist() == [[1, 1, 1, 1]]
