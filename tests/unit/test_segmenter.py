"""Segmentation networks: the loss by hand, any image size, and whole images put together again."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import TensorDataset

from tags2masks.checkpoints import State
from tags2masks.config import segmenters
from tags2masks.config.crf import Bilateral, Gaussian
from tags2masks.config.segmenters import (
    Cct,
    DeepLabV1,
    DeepLabV2,
    DeepLabV3Plus,
    Dpt,
    Mixed,
    UPerNet,
)
from tags2masks.errors import UserError
from tags2masks.machine import Machine
from tags2masks.methods import method_module
from tags2masks.nets.backbones import fill
from tags2masks.nets.classifier import Classifier
from tags2masks.segmenters import encoder_deeplab
from tags2masks.segmenters.deeplabv2 import Aspp
from tags2masks.segmenters.inference import predict
from tags2masks.segmenters.learning import cross_entropy, step
from tags2masks.training import Moment, fit

RESNET8 = {"name": "test_resnet", "output_stride": 8}
RESNET32 = {"name": "test_resnet", "output_stride": 32}
VIT = {"name": "test_vit"}
TINY38 = {"name": "resnet38d", "output_stride": 8, "args": {"width": 8}}
SPECS = {
    "deeplabv3plus": DeepLabV3Plus(backbone=RESNET8, decoder_channels=8),
    "deeplabv1": DeepLabV1(backbone=TINY38, head_channels=4),
    "deeplabv2": DeepLabV2(backbone=RESNET8),
    "upernet": UPerNet(backbone=RESNET32, decoder_channels=8),
    "dpt": Dpt(backbone=VIT, decoder_channels=8),
    "mixed": Mixed(backbone=RESNET8, decoder_channels=8),
    "cct": Cct(backbone=RESNET8),
}
PLAIN = {name: spec for name, spec in SPECS.items() if name != "cct"}  # see test_cct.py
MOMENT = Moment(0, 0, (0, 0, 0))
CLASSIFIERS_TOO = [
    DeepLabV2(backbone=TINY38),
    DeepLabV2(backbone={"name": "test_vit2"}, augment={"crop": 320}),
    UPerNet(backbone={"name": "test_convnext"}),
]


def build(spec, classes):
    return method_module("segmenters", {"method": spec.method}).build(spec, classes)


def test_every_method_is_tested():
    assert {*SPECS, "maskrcnn"} == set(segmenters.METHODS)  # see test_maskrcnn.py


class Fixed(nn.Module):
    """Gives the same logits whatever it sees: class 1 twice as likely as background."""

    def forward(self, images):
        shape = (len(images), 1, *images.shape[-2:])
        return torch.cat([torch.zeros(shape), torch.full(shape, math.log(2))], 1)


@pytest.mark.parametrize("method", PLAIN)
def test_loss_by_hand(method):
    labels = torch.tensor([[[0, 1, 1, 255]]], dtype=torch.uint8)
    images = torch.zeros(1, 3, 1, 4, dtype=torch.uint8)
    step = method_module("segmenters", {"method": method}).step
    losses = step(Fixed(), [images, labels], MOMENT, SPECS[method])
    # Probabilities 1/3 and 2/3; the ignored pixel does not count.
    expected = -(math.log(1 / 3) + 2 * math.log(2 / 3)) / 3
    assert losses["loss"].item() == pytest.approx(expected)
    assert losses["pixel_agreement"].item() == pytest.approx(2 / 3)


@pytest.mark.parametrize("spec", PLAIN.values(), ids=list(PLAIN))
def test_pixels_that_are_all_ignored_teach_nothing(spec):
    network = build(spec, 2)
    labels = torch.full((2, 16, 16), 255, dtype=torch.uint8)
    images = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    losses = step(network, [images, labels], MOMENT, spec)
    assert losses["loss"].item() == 0
    losses["loss"].backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert gradients and all(torch.equal(g, torch.zeros_like(g)) for g in gradients)


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
@pytest.mark.parametrize("size", [(16, 16), (33, 50), (1, 70), (3, 2)])
def test_images_of_any_size(spec, size):
    network = build(spec, 4).eval()
    test = segmenters.Inference(scales=(0.5, 1))
    with torch.no_grad():
        assert network(torch.rand(1, 3, *size)).shape == (1, 5, *size)
        shares = predict(network, torch.rand(2, 3, *size), test)
    assert shares.shape == (2, 5, *size)
    torch.testing.assert_close(shares.sum(1), torch.ones(2, *size))


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
def test_padding_is_of_the_mean_colour_and_cut_off_again(spec):
    torch.manual_seed(0)
    network = build(spec, 2).eval()
    image = torch.rand(1, 3, 40, 51)
    padded = torch.tensor(spec.backbone.mean).view(1, 3, 1, 1).expand(1, 3, 64, 64).clone()
    padded[..., :40, :51] = image
    sides = [-(-side // network.stride) * network.stride for side in (40, 51)]
    with torch.no_grad():
        expected = network(padded[..., : sides[0], : sides[1]])[..., :40, :51]
        torch.testing.assert_close(network(image), expected)


@pytest.mark.parametrize("spec", PLAIN.values(), ids=list(PLAIN))
def test_fewer_images_than_a_batch(spec, tmp_path):
    spec = spec.model_copy(update={"epochs": 1, "batch_size": 4})
    network = build(spec, 2)

    class OneImage(TensorDataset):
        def __getitem__(self, draw):
            return super().__getitem__(draw[0])

    torch.manual_seed(0)
    images = torch.randint(256, (1, 3, 24, 24), dtype=torch.uint8)
    before = [p.detach().clone() for p in network.head_parameters()]
    rows = fit(
        network,
        OneImage(images, images[:, 0] // 100),
        step,
        spec,
        0,
        Machine(threads=1),
        State(tmp_path / "state", "x"),
    )
    assert len(rows) == 1 and math.isfinite(rows[0]["loss"]) and rows[0]["loss"] > 0
    after = network.head_parameters()
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


class Reddest(nn.Module):
    """Class 1 where red exceeds one half."""

    def forward(self, images):
        red = images[:, :1]
        return torch.cat([torch.full_like(red, 0.5), red], 1) * 100


@pytest.mark.parametrize(
    "test",
    [
        segmenters.Inference(),
        segmenters.Inference(flip=True),
        segmenters.Inference(scales=(1.0, 2.0), flip=True),
    ],
)
def test_flips_and_scales_are_put_back_where_they_were(test):
    image = torch.zeros(1, 3, 4, 6)
    image[0, 0, :, :2] = 1
    expected = np.zeros((4, 6), np.uint8)
    expected[:, :2] = 1
    shares = predict(Reddest(), image, test)
    np.testing.assert_array_equal(shares.argmax(1)[0].numpy(), expected)


def test_probabilities_are_averaged_not_logits():
    class BySize(nn.Module):
        """Class 1 with 0.9 at full size, with 0.2 at half."""

        def forward(self, images):
            share = 0.9 if images.shape[-1] == 8 else 0.2
            odds = torch.full_like(images[:, :1], math.log(share / (1 - share)))
            return torch.cat([torch.zeros_like(odds), odds], 1)

    test = segmenters.Inference(scales=(1, 0.5), flip=True)
    shares = predict(BySize(), torch.zeros(1, 3, 8, 8), test)
    torch.testing.assert_close(shares[:, 1], torch.full((1, 8, 8), 0.55))


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
def test_head_and_backbone_share_out_the_parameters(spec):
    network = build(spec, 2)
    head = {id(p) for p in network.head_parameters()}
    body = {id(p) for p in network.backbone.parameters()}
    assert not head & body
    assert head | body == {id(p) for p in network.parameters()}


@pytest.mark.parametrize("spec", [*SPECS.values(), *CLASSIFIERS_TOO], ids=lambda s: s.method)
def test_the_encoder_starts_from_a_classifier(spec):
    torch.manual_seed(1)
    wanted = {"output_stride": 8 if spec.backbone.name == "resnet38d" else 32}
    classifier = Classifier(spec.backbone.model_copy(update=wanted), 3)
    state = {k.removeprefix("backbone."): v for k, v in classifier.state_dict().items()}
    network = build(spec, 2)
    fill(network.backbone, state, "here")
    found = {f"{v.flatten()[:3].tolist()}" for v in network.backbone.state_dict().values()}
    assert found <= {f"{v.flatten()[:3].tolist()}" for v in state.values()}


def test_aspp_is_the_sum_of_dilated_convolutions():
    torch.manual_seed(0)
    aspp, features = Aspp(2, 3, (1, 3)), torch.rand(1, 2, 9, 9)
    nn.init.constant_(aspp.branches[1].bias, 0.5)
    expected = torch.zeros(3)
    for branch, rate in zip(aspp.branches, (1, 3), strict=True):
        for i in range(3):
            for j in range(3):
                seen = features[0, :, 4 + (i - 1) * rate, 4 + (j - 1) * rate]
                expected += branch.weight[:, :, i, j] @ seen
        expected += branch.bias
    found = aspp(features)
    assert found.shape == (1, 3, 9, 9)
    torch.testing.assert_close(found[0, :, 4, 4], expected)


def test_deeplabv2_is_aspp_on_stride_8_upsampled():
    torch.manual_seed(0)
    network = build(SPECS["deeplabv2"], 2).eval()
    image = torch.rand(1, 3, 32, 40)
    with torch.no_grad():
        features = network.backbone.forward_features(network.normalize(image))
        assert features.shape[-2:] == (4, 5)
        assert [b.dilation for b in network.head.branches] == [(r, r) for r in (6, 12, 18, 24)]
        coarse = network.head(features)
        expected = F.interpolate(coarse, (32, 40), mode="bilinear", align_corners=False)
        torch.testing.assert_close(network(image), expected)


def test_deeplabv1_sees_12_features_to_each_side():
    network = build(SPECS["deeplabv1"], 2)
    layers = [m for m in network.head if isinstance(m, nn.Conv2d)]
    assert [tuple(m.weight.shape) for m in layers] == [(4, 512, 3, 3), (4, 4, 1, 1), (3, 4, 1, 1)]
    features = torch.zeros(1, 512, 33, 33, requires_grad=True)
    layers[0](features)[0, :, 16, 16].sum().backward()
    seen = features.grad.abs().sum((0, 1)).nonzero()
    assert sorted({(r - 16, c - 16) for r, c in seen.tolist()}) == [
        (r, c) for r in (-12, 0, 12) for c in (-12, 0, 12)
    ]


def test_the_defaults_are_the_published_schedules():
    found = {
        name: (s.backbone.name, s.batch_size, s.augment.crop, s.optimizer.lr, s.optimizer.momentum)
        for name, s in ((n, segmenters.METHODS[n]()) for n in SPECS)
    }
    assert found["deeplabv1"] == ("resnet38d", 10, 448, 1e-3, 0.9)
    assert found["deeplabv2"] == ("resnet101", 10, 321, 2.5e-4, 0.9)
    assert found["upernet"][:4] == ("swin_tiny_patch4_window7_224", 16, 512, 6e-5)
    for name, steps in (("deeplabv1", 20_000), ("deeplabv2", 20_000), ("upernet", 40_000)):
        spec = segmenters.METHODS[name]()
        epoch = -(-10_582 // spec.batch_size)
        assert abs(spec.epochs * epoch - steps) < epoch
    crf = DeepLabV2().test.crf
    assert (crf.iterations, crf.gaussian, crf.bilateral) == (
        10,
        Gaussian(sxy=1, compat=3),
        Bilateral(sxy=67, srgb=3, compat=4),
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (DeepLabV3Plus(backbone=RESNET32), "output_stride 8 or 16"),
        (DeepLabV3Plus(backbone={"name": "no_such_net"}), "timm has no 'no_such_net'"),
        (
            DeepLabV3Plus(backbone={"name": "pit_ti_224"}),
            "does not work as a DeepLabV3\\+ encoder",
        ),
        (DeepLabV3Plus(backbone=TINY38), "resnet38d is not of timm"),
        (DeepLabV1(backbone=TINY38 | {"output_stride": 16}), "resnet38d has 8 and no other"),
        (DeepLabV1(backbone=TINY38 | {"args": {"width": 7}}), "make no resnet38d"),
        (DeepLabV1(backbone=TINY38 | {"args": {"depth": 3}}), "make no resnet38d"),
        (DeepLabV2(backbone={"name": "pit_ti_224", "output_stride": 32}), "convolutional network"),
        (UPerNet(backbone=RESNET8), "UPerNet takes backbone.output_stride 32"),
        (UPerNet(backbone={"name": "pit_ti_224"}), "does not work as a UPerNet encoder"),
        (
            UPerNet(backbone={"name": "swin_tiny_patch4_window7_224"} | {
                "args": {"strict_img_size": True, "embed_dim": 24}
            }),
            "does not take images of any size as a UPerNet encoder",
        ),
    ],
)  # fmt: skip
def test_encoders_that_cannot_serve(spec, message):
    with pytest.raises(UserError, match=message):
        build(spec, 2)


def test_upernet_on_swin_takes_images_of_any_size():
    spec = UPerNet(backbone={"args": {"embed_dim": 24}}, decoder_channels=8)
    network = build(spec, 2).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 37, 70)).shape == (1, 3, 37, 70)


@pytest.mark.parametrize("name", ["test_vit", "test_vit2", "test_vit3"])
def test_dpt_decodes_the_tokens_of_four_blocks(name):
    torch.manual_seed(0)
    network = build(Dpt(backbone={"name": name}, decoder_channels=8), 2).eval()
    inner, vit, image = network.network, network.backbone, torch.rand(1, 3, 64, 96)
    outputs = []
    for block in vit.blocks:
        block.register_forward_hook(lambda _, __, tokens: outputs.append(tokens))
    with torch.no_grad():
        found = network(image)
        depth = len(vit.blocks)
        taken = [outputs[depth // 4 * 1 - 1], *(outputs[depth * part // 4 - 1] for part in (2, 3))]
        taken.append(outputs[-1])
        # 4 × 6 cells after one class or register token.
        maps = [tokens[:, 1:].transpose(1, 2).reshape(1, -1, 4, 6) for tokens in taken]
        decoded = inner.decoder(maps, [tokens[:, :1] for tokens in taken])
        assert decoded.shape == (1, 8, 32, 48)
        torch.testing.assert_close(found, inner.segmentation_head(decoded))
        # The further token is in the maps.
        without = inner.decoder(maps, [tokens[:, :1] * 0 for tokens in taken])
        assert not torch.allclose(without, decoded)


def test_dpt_without_further_tokens_is_of_the_patches_alone():
    backbone = VIT | {"args": {"class_token": False}}
    network = build(Dpt(backbone=backbone, decoder_channels=8), 2).eval()
    assert all(not list(block.parameters()) for block in network.network.decoder.projection_blocks)
    with torch.no_grad():
        assert network(torch.rand(1, 3, 37, 70)).shape == (1, 3, 37, 70)


def test_label_smoothing_by_hand():
    # One pixel of class 1 of two: p = (0.2, 0.8); half of 0.2 of the target is the other class's.
    logits = torch.tensor([0.2, 0.8]).log().reshape(1, 2, 1, 1).expand(1, 2, 1, 3)
    labels = torch.tensor([[[1, 255, 1]]])
    plain, smooth = -math.log(0.8), -0.9 * math.log(0.8) - 0.1 * math.log(0.2)
    assert cross_entropy(logits, labels).item() == pytest.approx(plain, abs=1e-6)
    assert cross_entropy(logits, labels, 0.2).item() == pytest.approx(smooth, abs=1e-6)


def test_a_decoder_with_group_norm():
    spec = DeepLabV3Plus(backbone=RESNET8, decoder_channels=8, decoder_groups=4)
    network = encoder_deeplab.build(spec, 2)
    inner = network.network
    norms = [m for m in inner.decoder.modules() if isinstance(m, nn.GroupNorm)]
    assert norms and all(norm.num_groups == 4 for norm in norms)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in inner.decoder.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in inner.encoder.modules())
    heads = {id(parameter) for parameter in network.head_parameters()}
    assert all(id(norm.weight) in heads for norm in norms)
    with pytest.raises(UserError, match="decoder_groups: 5 groups do not divide the decoder's"):
        encoder_deeplab.build(spec.model_copy(update={"decoder_groups": 5}), 2)


def test_growing_and_label_smoothing_exclude_each_other():
    with pytest.raises(ValueError, match="growing has losses of its own"):
        DeepLabV2(growing={}, label_smoothing=0.1)
