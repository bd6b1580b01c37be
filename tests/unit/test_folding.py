"""Batch norm folded into convolutions: by hand, and on real networks, whose features stay."""

import pytest
import torch
from torch import nn

from tags2masks.config.maps import METHODS
from tags2masks.config.training import Backbone
from tags2masks.nets.backbones import create_backbone
from tags2masks.nets.folding import fold_batch_norm
from tags2masks.nets.pyramid import Pyramid


class Tiny(nn.Module):
    """A convolution that doubles, and batch norm: (2x - 1) / 2 * 3 + 5."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(1, eps=0)
        nn.init.constant_(self.conv.weight, 2)
        for tensor, value in zip(self.norm.state_dict().values(), (3, 5, 1, 4), strict=False):
            tensor.fill_(value)  # weight, bias, mean, variance
        self.eval().requires_grad_(False)

    def forward_features(self, images):
        return self.norm(self.conv(images))


class Shown(Tiny):
    """Shows what the convolution gives, too."""

    def forward_features(self, images):
        inner = self.conv(images)
        return self.norm(inner) + inner


class Twice(Tiny):
    """Uses the convolution twice, and normalises once."""

    def forward_features(self, images):
        return self.conv(self.norm(self.conv(images)))


class Depending(Tiny):
    """Looks at its input before it decides what to do."""

    def forward_features(self, images):
        return self.norm(self.conv(images)) if images.sum() > 0 else images


def test_a_folded_pair_by_hand():
    network = Tiny()
    assert fold_batch_norm(network) == 1
    assert (network.conv.weight.item(), network.conv.bias.item()) == (3, 3.5)
    assert isinstance(network.norm, nn.Identity)
    assert network.forward_features(torch.full((1, 1, 1, 1), 7.0)).item() == 24.5
    assert fold_batch_norm(network) == 0


@pytest.mark.parametrize("kind", [Shown, Twice, Depending])
def test_what_is_looked_at_elsewhere_or_cannot_be_followed_stays(kind):
    network = kind()
    images = torch.full((1, 1, 1, 1), 7.0)
    before = network.forward_features(images)
    assert fold_batch_norm(network) == 0
    assert network.conv.weight.item() == 2 and network.conv.bias is None
    torch.testing.assert_close(network.forward_features(images), before, atol=0, rtol=0)


def test_training_mode_is_refused():
    with pytest.raises(ValueError, match="batch norm is folded in evaluation mode only"):
        fold_batch_norm(Tiny().train())


@pytest.mark.parametrize(
    ("name", "stride", "args", "folded", "norms"),
    [
        ("mobilenetv2_100", 16, {"pad_type": "same"}, 52, 52),
        ("tf_efficientnet_lite0", 16, {}, 49, 49),
        ("resnet18", 16, {}, 20, 20),
        ("resnet38d", 8, {}, 20, 37),  # batch norm before the convolution, after a sum
        ("resnetv2_50d", 16, {}, 34, 51),
        ("test_vit", 16, {}, 0, 0),
    ],
)
def test_features_of_networks_stay(name, stride, args, folded, norms):
    torch.manual_seed(0)
    network = create_backbone(Backbone(name=name, output_stride=stride, args=args))
    network.eval().requires_grad_(False)
    found = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in found:
        norm.running_mean.uniform_(-0.1, 0.1)
        norm.running_var.uniform_(0.5, 1.5)
        norm.weight.uniform_(0.8, 1.2)
        norm.bias.uniform_(-0.1, 0.1)
    images = torch.rand(2, 3, 64, 96)

    def looked_through():
        stages = network.forward_intermediates(images, indices=2, intermediates_only=True)
        return [network.forward_features(images), *stages]

    before = looked_through()
    assert len(found) == norms
    assert fold_batch_norm(network) == folded
    for new, old in zip(looked_through(), before, strict=True):
        largest = old.abs().max()
        torch.testing.assert_close(new / largest, old / largest, atol=1e-4, rtol=0)


def test_a_pyramids_network_is_folded_and_gradients_to_the_images_stay():
    torch.manual_seed(0)
    network = Pyramid(Backbone(name="mobilenetv2_100", output_stride=32), 8)
    network.eval().requires_grad_(False)
    images = torch.rand(1, 3, 64, 128)

    def seen():
        pixels = images.clone().requires_grad_()
        levels = network(pixels)
        loss = sum((level * number).sum() for number, level in enumerate(levels.values(), 1))
        return [*levels.values(), *torch.autograd.grad(loss, pixels)]

    before = seen()
    assert fold_batch_norm(network.backbone) == 51
    for new, old in zip(seen(), before, strict=True):
        largest = old.abs().max()
        torch.testing.assert_close(new / largest, old / largest, atol=1e-4, rtol=0)


def test_a_method_that_trains_is_not_folded():
    assert {name for name, block in METHODS.items() if not block.folds} == {"rib"}
