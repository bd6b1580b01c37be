"""Grad-CAM against CAM, the grad-cam package, and a head for which it is no CAM."""

import pytest
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from tags2masks.config.maps import Cam, GradCam
from tags2masks.config.training import Backbone
from tags2masks.maps import cam
from tags2masks.maps.batch import Batch, plain_batch
from tags2masks.maps.gradcam import gradcam, localize
from tags2masks.nets.classifier import Classifier


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = Classifier(Backbone(name="resnet10t", output_stride=8), 3)
    return network.eval().requires_grad_(False)


class SquaredMeans(nn.Module):
    """Features are the colours; the logits are weighted squares of their means."""

    weights = torch.tensor([[1.0, 0, 0], [0, 2, -1]])

    def features(self, images):
        return images

    def logits(self, features):
        return features.mean((2, 3)) ** 2 @ self.weights.T

    def forward(self, images):
        return self.logits(self.features(images))


def test_above_pooling_and_a_linear_head_it_is_cam_at_every_scale(network):
    batch = plain_batch(torch.rand(2, 3, 37, 50), 3)
    found = localize(network, batch, GradCam())
    torch.testing.assert_close(found, cam.localize(network, batch, Cam()), atol=1e-5, rtol=1e-4)


def test_by_hand_with_a_head_that_is_not_linear():
    # Means: red 0.5, green 1, blue 2. The gradient of w·mean² at each of 2 pixels is w·2·mean/2,
    # its sum over them 2·w·mean: 1 for red; 4 for green and −4 for blue.
    image = torch.tensor([[0.0, 1], [1, 1], [3, 1]]).view(1, 3, 1, 2)
    both = torch.tensor([[True, True]])
    maps = gradcam(SquaredMeans(), image, both)
    assert maps.tolist() == [[[[0, 1]], [[4 - 12, 4 - 4]]]]
    found = localize(
        SquaredMeans(), Batch(image, both, [0]), GradCam(scales=(1,), flip=False, stride=1)
    )
    torch.testing.assert_close(found[0, :, 0], torch.tensor([[0, 1 / 1.00001], [0, 0]]))


class OneLayer(nn.Module):
    """A layer whose output is the last feature map, and a head of two layers above its mean."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))

    def features(self, images):
        return self.layer(images)

    def logits(self, features):
        return self.head(features.mean((2, 3)))

    def forward(self, images):
        return self.logits(self.features(images))


@pytest.mark.parametrize("deep", [False, True])
def test_equals_the_grad_cam_package(network, deep):
    torch.manual_seed(1)
    network = OneLayer().eval() if deep else network
    images = torch.rand(2, 3, 32, 40)
    tagged = torch.zeros(2, 4 if deep else 3, dtype=torch.bool)
    tagged[0, [0, 2]] = tagged[1, 1] = True
    found = gradcam(network, images, tagged)
    layer = network.layer if deep else network.backbone.layer4
    theirs = GradCAM(network.requires_grad_(True), [layer])
    for number, class_ in tagged.nonzero().tolist():
        image, target = images[number : number + 1], [ClassifierOutputTarget(class_)]
        theirs(image, target)
        kept = theirs.activations_and_grads
        features, gradients = kept.activations[0].numpy(), kept.gradients[0].numpy()
        # Before its own normalisation, which also takes the minimum away.
        mean_weighted = theirs.get_cam_image(image, layer, target, features, gradients)[0]
        expected = torch.from_numpy(mean_weighted) * mean_weighted.size
        torch.testing.assert_close(found[number, class_], expected, atol=1e-5, rtol=1e-4)
    assert not found[~tagged].any() and found[tagged].abs().amax((1, 2)).min() > 0.01


def test_only_tags_are_looked_at_and_no_tags_give_zeros(network):
    images = torch.rand(3, 3, 24, 40)
    tagged = torch.tensor([[0, 1, 0], [1, 0, 1], [0, 0, 0]]).bool()
    spec = GradCam(scales=(1, 0.5))
    found = localize(network, Batch(images, tagged, range(3)), spec)
    whole = localize(network, plain_batch(images, 3), spec)
    torch.testing.assert_close(found[tagged], whole[tagged], atol=1e-6, rtol=1e-6)
    assert whole.amax((2, 3)).max() > 0.99 and not found[~tagged].any()
    none = Batch(images, torch.zeros_like(tagged), range(3))
    assert localize(network, none, spec).shape == (3, 3, 6, 10)
    assert not localize(network, none, spec).any()
