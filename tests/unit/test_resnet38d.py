"""ResNet-38d: its size by hand, the features of its stages, published weights under our names."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from tags2masks.config.training import Backbone
from tags2masks.errors import UserError
from tags2masks.nets.backbones import (
    create_backbone,
    load_initial_weights,
    stage_channels,
    stage_features,
)
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.resnet38d import ResNet38d, from_published

TINY = Backbone(name="resnet38d", output_stride=8, args={"width": 8})

# The residual blocks as the public code names them: stride, then the channels in and between and
# out, kernels and dilations of the convolutions, one after another.
BLOCKS = {
    "b2": (2, (64, 128, 128), (3, 3), (1, 1)),
    "b2_1": (1, (128, 128, 128), (3, 3), (1, 1)),
    "b2_2": (1, (128, 128, 128), (3, 3), (1, 1)),
    "b3": (2, (128, 256, 256), (3, 3), (1, 1)),
    "b3_1": (1, (256, 256, 256), (3, 3), (1, 1)),
    "b3_2": (1, (256, 256, 256), (3, 3), (1, 1)),
    "b4": (2, (256, 512, 512), (3, 3), (1, 1)),
    **{f"b4_{n}": (1, (512, 512, 512), (3, 3), (1, 1)) for n in range(1, 6)},
    "b5": (1, (512, 512, 1024), (3, 3), (1, 2)),
    "b5_1": (1, (1024, 512, 1024), (3, 3), (2, 2)),
    "b5_2": (1, (1024, 512, 1024), (3, 3), (2, 2)),
    "b6": (1, (1024, 512, 1024, 2048), (1, 3, 1), (1, 4, 1)),
    "b7": (1, (2048, 1024, 2048, 4096), (1, 3, 1), (1, 4, 1)),
}
BRANCHES = ("2a", "2b1", "2b2")
PROJECTED = ("b2", "b3", "b4", "b5", "b6", "b7")


def published(width, generator):
    """A state dict as AffinityNet's code would save it, with random numbers and a head."""
    part = 64 // width

    def norm(name, channels):
        draw = torch.rand(4, channels // part, generator=generator)
        keys = ("weight", "bias", "running_mean", "running_var")
        return {f"{name}.{key}": row + 0.5 for key, row in zip(keys, draw, strict=True)}

    def convolution(name, before, after, kernel):
        shape = (after // part, before // part, kernel, kernel)
        weight = torch.randn(shape, generator=generator) / (before // part * kernel**2) ** 0.5
        return {f"{name}.weight": weight}

    first = torch.randn((width, 3, 3, 3), generator=generator) / 27**0.5
    state = {"conv1a.weight": first}
    for name, (_, channels, kernels, _) in BLOCKS.items():
        for place, branch in enumerate(BRANCHES[: len(kernels)]):
            state |= norm(f"{name}.bn_branch{branch}", channels[place])
            state |= convolution(
                f"{name}.conv_branch{branch}", *channels[place : place + 2], kernels[place]
            )
        if name in PROJECTED:
            state |= convolution(f"{name}.conv_branch1", channels[0], channels[-1], 1)
    fc8 = torch.rand((20, 4096 // part, 1, 1), generator=generator)
    return state | norm("bn7", 4096) | {"fc8.weight": fc8}


def plain_forward(state, images):
    """The network written out on the published names, evaluation mode: conv4, conv5, conv6."""

    def normed(name, x):
        values = [state[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")]
        return F.relu(F.batch_norm(x, *values))

    x, taken = F.conv2d(images, state["conv1a.weight"], padding=1), {}
    for name, (stride, channels, kernels, dilations) in BLOCKS.items():
        y = within = normed(f"{name}.bn_branch2a", x)
        taken[name] = within
        for place in range(len(channels) - 1):
            if place:
                y = normed(f"{name}.bn_branch{BRANCHES[place]}", y)
            y = F.conv2d(
                y,
                state[f"{name}.conv_branch{BRANCHES[place]}.weight"],
                stride=stride if place == 0 else 1,
                padding=dilations[place] * (kernels[place] // 2),
                dilation=dilations[place],
            )
        weight = state.get(f"{name}.conv_branch1.weight")
        x = y + (x if weight is None else F.conv2d(within, weight, stride=stride))
    return [taken["b5"], taken["b6"], normed("bn7", x)]


def test_size_by_hand():
    """105.07 million parameters and 37 layers; with a linear layer of 1000 it is the A1 of 38."""
    network = ResNet38d()
    expected = 3 * 64 * 9 + 2 * 4096
    for name, (_, channels, kernels, _) in BLOCKS.items():
        for before, after, kernel in zip(channels, channels[1:], kernels, strict=False):
            expected += 2 * before + before * after * kernel**2
        expected += channels[0] * channels[-1] if name in PROJECTED else 0
    assert sum(p.numel() for p in network.parameters()) == expected == 105_070_912
    layers = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(layers) - len(PROJECTED) == 37
    assert stage_channels(network, 3) == [512, 1024, 4096]


@pytest.mark.parametrize("size", [(64, 64), (33, 50), (1, 7)])
def test_output_stride_8_on_any_size(size):
    backbone = create_backbone(TINY).eval()
    eighth = [-(-side // 8) for side in size]
    with torch.no_grad():
        conv4, conv5, conv6 = stage_features(backbone, torch.rand(1, 3, *size), 3)
        assert backbone.forward_features(torch.rand(1, 3, *size)).shape == (1, 512, *eighth)
    assert [f.shape for f in (conv4, conv5, conv6)] == [(1, c, *eighth) for c in (64, 128, 512)]


def test_published_weights_give_the_published_networks_features(tmp_path):
    state = published(8, torch.Generator().manual_seed(0))
    images = torch.rand(2, 3, 33, 41, generator=torch.Generator().manual_seed(1))
    expected = plain_forward(state, images)
    save_file(state, tmp_path / "net.safetensors")
    torch.save(state, tmp_path / "net.pth")
    torch.save({f"module.{k}": v for k, v in state.items()}, tmp_path / "parallel.pth")
    torch.save({f"backbone.{k}": v for k, v in state.items()}, tmp_path / "deeplab.pth")
    for file in ("net.safetensors", "net.pth", "parallel.pth", "deeplab.pth"):
        network = create_backbone(TINY).eval()
        load_initial_weights(network, TINY.model_copy(update={"weights": str(tmp_path / file)}))
        with torch.no_grad():
            found = stage_features(network, images, 3)
            last, five = network.forward_intermediates(images)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other)
        assert torch.equal(last, five[-1]) and len(five) == 5
        assert [f.shape[1] for f in five] == stage_channels(network, 5)


def test_our_own_names_stay():
    state = ResNet38d(width=8).state_dict()
    assert list(from_published(state)) == list(state)
    assert list(from_published({"fc8.weight": 0, "b9.x.weight": 0})) == [
        "fc8.weight",
        "b9.x.weight",
    ]


def test_weights_that_do_not_fit(tmp_path):
    network = create_backbone(TINY)
    state = published(8, torch.Generator().manual_seed(0))
    del state["b6.conv_branch2b2.weight"]
    torch.save(state, tmp_path / "part.pth")
    (tmp_path / "ilsvrc-cls_rna-a1_cls1000_ep-0001.params").write_bytes(b"\x12\x01")
    for file, message in (
        ("part.pth", r"part.pth: has no 'stages\.4\.0\.convolutions\.2\.weight'"),
        ("ilsvrc-cls_rna-a1_cls1000_ep-0001.params", "MXNet's format is not read; convert it"),
        ("absent.pth", "no such weights file"),
    ):
        with pytest.raises(UserError, match=message):
            weights = str(tmp_path / file)
            load_initial_weights(network, TINY.model_copy(update={"weights": weights}))
    with pytest.raises(UserError, match="hub gave no weights for resnet38d"):
        load_initial_weights(network, TINY.model_copy(update={"weights": "pretrained"}))


def test_batch_norm_sees_each_batch_once():
    """Features for other uses must not be computed twice: the statistics would move twice."""
    network = ResNet38d(width=8).train()
    network.forward_intermediates(torch.rand(2, 3, 16, 16))
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {int(m.num_batches_tracked) for m in norms} == {1}


def test_classifiers_can_have_it():
    classifier = Classifier(TINY, 3)
    logits = classifier(torch.rand(2, 3, 20, 30))
    assert logits.shape == (2, 3)
    logits.sum().backward()
    assert all(p.grad.isfinite().all() for p in classifier.parameters())


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "resnet10t"])
def test_stages_of_timm(name):
    backbone = create_backbone(Backbone(name=name, output_stride=32)).eval()
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        found = stage_features(backbone, images, 3)
        torch.testing.assert_close(found[-1], backbone.forward_features(images))
    assert [f.shape[1] for f in found] == stage_channels(backbone, 3)
    assert [f.shape[-2:] for f in found] == [(8, 12), (4, 6), (2, 3)]


def test_a_network_without_stages():
    backbone = create_backbone(Backbone(name="convnet"))
    with pytest.raises(UserError, match="ConvNet does not give the features of 2 stages"):
        stage_channels(backbone, 2)
