"""DeepLabV3+: its loss by hand, any image size, and whole images put together again."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from tags2masks.config.segmenters import DeepLabV3Plus, Test
from tags2masks.errors import UserError
from tags2masks.segmenters.deeplabv3plus import build, step
from tags2masks.segmenters.inference import predict

SPEC = DeepLabV3Plus(
    backbone={"name": "test_resnet", "output_stride": 8}, decoder_channels=8, epochs=1
)


class Fixed(nn.Module):
    """Gives the same logits whatever it sees: class 1 twice as likely as background."""

    def forward(self, images):
        shape = (len(images), 1, *images.shape[-2:])
        return torch.cat([torch.zeros(shape), torch.full(shape, math.log(2))], 1)


def test_loss_by_hand():
    labels = torch.tensor([[[0, 1, 1, 255]]], dtype=torch.uint8)
    images = torch.zeros(1, 3, 1, 4, dtype=torch.uint8)
    losses = step(Fixed(), [images, labels])
    # Probabilities 1/3 and 2/3; the ignored pixel does not count.
    expected = -(math.log(1 / 3) + 2 * math.log(2 / 3)) / 3
    assert losses["loss"].item() == pytest.approx(expected)
    assert losses["pixel_agreement"].item() == pytest.approx(2 / 3)


def test_pixels_that_are_all_ignored_teach_nothing():
    network = build(SPEC, 2)
    labels = torch.full((2, 16, 16), 255, dtype=torch.uint8)
    losses = step(network, [torch.zeros(2, 3, 16, 16, dtype=torch.uint8), labels])
    assert losses["loss"].item() == 0
    losses["loss"].backward()
    assert all((p.grad is None or not p.grad.any()) for p in network.parameters())


@pytest.mark.parametrize("size", [(16, 16), (33, 50), (1, 70), (3, 2)])
def test_images_of_any_size(size):
    network = build(SPEC, 4).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, *size)).shape == (1, 5, *size)
        assert predict(network, torch.rand(2, 3, *size), Test(scales=(0.5, 1))).shape == (2, *size)


class Reddest(nn.Module):
    """Class 1 where red exceeds one half."""

    def forward(self, images):
        red = images[:, :1]
        return torch.cat([torch.full_like(red, 0.5), red], 1) * 100


@pytest.mark.parametrize("test", [Test(), Test(flip=True), Test(scales=(1.0, 2.0), flip=True)])
def test_flips_and_scales_are_put_back_where_they_were(test):
    image = torch.zeros(1, 3, 4, 6)
    image[0, 0, :, :2] = 1
    expected = np.zeros((4, 6), np.uint8)
    expected[:, :2] = 1
    np.testing.assert_array_equal(predict(Reddest(), image, test)[0].numpy(), expected)


def test_head_and_backbone_share_out_the_parameters():
    network = build(SPEC, 2)
    head = {id(p) for p in network.head_parameters()}
    body = {id(p) for p in network.backbone.parameters()}
    assert not head & body
    assert head | body == {id(p) for p in network.parameters()}


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ({"name": "test_resnet", "output_stride": 32}, "output_stride 8 or 16"),
        ({"name": "no_such_net"}, "timm has no 'no_such_net'"),
        ({"name": "deit_tiny_patch16_224"}, "does not work as a DeepLabV3\\+ encoder"),
    ],
)
def test_encoders_that_cannot_serve(backbone, message):
    with pytest.raises(UserError, match=message):
        build(DeepLabV3Plus(backbone=backbone), 2)
