"""CAM against numbers made by hand on a tiny network, and against one image and scale at a time."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tags2masks.config.maps import Cam
from tags2masks.config.training import Backbone
from tags2masks.data.randomness import image_seed
from tags2masks.errors import UserError
from tags2masks.maps.batch import plain_batch
from tags2masks.maps.cam import localize
from tags2masks.maps.scales import multi_scale
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.score_maps import normalize


class Colours(nn.Module):
    """Features are the colours; class 0 is red less green, class 1 is blue."""

    def features(self, images):
        return images

    def score_maps(self, features):
        red, green, blue = features.unbind(1)
        return torch.stack([red - green, blue], 1)


def test_cam_by_hand():
    # One row of four pixels: red, green, half blue, red and blue.
    image = torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0.5, 1]]).view(1, 3, 1, 4)
    maps = localize(Colours(), plain_batch(image, 2), Cam(scales=(1,), flip=False, stride=1))
    expected = torch.tensor([[1.0, 0, 0, 1], [0, 0, 0.5, 1]]).view(1, 2, 1, 4) / (1 + 1e-5)
    torch.testing.assert_close(maps, expected)
    # Mirroring and mirroring back adds the same scores once more: the same but for the 1e-5.
    mirrored = localize(Colours(), plain_batch(image, 2), Cam(scales=(1,), flip=True, stride=1))
    torch.testing.assert_close(mirrored, expected * (1 + 1e-5) * 2 / (2 + 1e-5))


def test_relu_comes_before_the_sum_over_scales():
    # Negative at one half and positive at the other: averaging first would cancel at scale 0.5.
    def score(images):
        return images[:, :1] - 0.5

    image = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2).expand(1, 3, 2, 2)
    total = multi_scale(score, image, (1, 0.5), False, 1)
    # Scale 1: 0, 0.5. Scale 0.5: one pixel of mean 0.5, score 0.
    torch.testing.assert_close(total, torch.tensor([[0.0, 0.5], [0.0, 0.5]]).view(1, 1, 2, 2))


def test_stored_size_is_rounded_up_and_maps_without_activation_stay_zero():
    maps = localize(Colours(), plain_batch(torch.zeros(2, 3, 9, 13), 2), Cam(stride=4))
    assert maps.shape == (2, 2, 3, 4)
    assert not maps.any()
    assert normalize(torch.tensor([[[2.0, 4.0]]])).tolist()[0][0] == pytest.approx(
        [2 / 4.00001, 4 / 4.00001]
    )


def test_batched_scales_and_flips_equal_one_image_one_scale_at_a_time():
    torch.manual_seed(0)
    backbone = Backbone(name="resnet10t", output_stride=8)
    network = Classifier(backbone, 3).eval().requires_grad_(False)
    images = torch.rand(3, 3, 37, 50)
    spec = Cam()
    fast = localize(network, plain_batch(images, 3), spec)
    for image, found in zip(images, fast, strict=True):
        total = torch.zeros(3, 10, 13)
        for scale in spec.scales:
            size = [round(37 * scale), round(50 * scale)]
            scaled = F.interpolate(image[None], size, mode="bilinear", align_corners=False)
            for flipped in (False, True):
                one = scaled.flip(-1) if flipped else scaled
                maps = torch.einsum(
                    "kc,chw->khw", network.head.weight[:, :, 0, 0], network.features(one)[0]
                ).relu()
                maps = maps.flip(-1) if flipped else maps
                total += F.interpolate(maps[None], (10, 13), mode="bilinear")[0]
        expected = total / (total.amax((1, 2), keepdim=True) + 1e-5)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_seeds_of_images_are_theirs_alone():
    assert image_seed(0, "a") != image_seed(0, "b") != image_seed(1, "b")
    assert image_seed(0, "a") == 0x4EF9E2FD5C77C7F3


def test_the_logit_is_the_mean_of_the_score_map():
    torch.manual_seed(0)
    network = Classifier(Backbone(name="resnet10t", output_stride=16), 4).eval()
    images = torch.rand(2, 3, 64, 48)
    with torch.no_grad():
        maps = network.score_maps(network.features(images))
        torch.testing.assert_close(network(images), maps.mean((2, 3)), atol=1e-5, rtol=1e-5)
    assert maps.shape == (2, 4, 4, 3)


@pytest.mark.parametrize("size", [(1, 40), (1, 1), (300, 2)])
def test_images_of_any_shape(size):
    network = Classifier(Backbone(name="resnet10t", output_stride=16), 2).eval()
    maps = localize(network.requires_grad_(False), plain_batch(torch.rand(1, 3, *size), 2), Cam())
    assert maps.shape[-2:] == (-(-size[0] // 4), -(-size[1] // 4))
    assert torch.isfinite(maps).all()


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ({"name": "resnet10x"}, "timm has no 'resnet10x'; did you mean resnet10t"),
        ({"name": "resnet10t", "args": {"no_such": 1}}, "takes no output_stride 16 or args"),
        ({"name": "xcit_nano_12_p16_224", "output_stride": 32}, "not a map"),
        ({"name": "gmlp_ti16_224", "output_stride": 32}, "takes no images of any size"),
    ],
)
def test_backbones_that_cannot_serve(backbone, message):
    with pytest.raises(UserError, match=message):
        Classifier(Backbone(**backbone), 2)
