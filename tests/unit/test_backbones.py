"""Backbones on images of any size, those too whose maps of several strides have to fit together."""

import pytest
import torch

from tags2masks.config.training import Backbone
from tags2masks.nets.any_size import on_any_size
from tags2masks.nets.backbones import (
    create_backbone,
    feature_shape,
    load_initial_weights,
    stage_features,
)
from tags2masks.nets.checkpoint import save_model
from tags2masks.nets.classifier import Classifier


@pytest.mark.parametrize("name", ["dla34", "hrnet_w18_small", "tresnet_m"])
def test_networks_that_take_multiples_alone_get_them(name):
    backbone = create_backbone(Backbone(name=name, output_stride=32))
    assert backbone.training
    assert feature_shape(backbone, name)[1] == 32
    backbone.eval()
    with torch.no_grad():
        image = torch.randn(1, 3, 70, 90)
        features = backbone.forward_features(image)
        assert features.shape[-2:] == (3, 3)
        padded = torch.zeros(1, 3, 96, 96)
        padded[..., :70, :90] = image
        torch.testing.assert_close(features, backbone.forward_features(padded))


def test_a_classifier_on_such_a_network_learns_from_views_of_any_size():
    network = Classifier(Backbone(name="dla34", output_stride=32), 2)
    logits = network(torch.rand(2, 3, 70, 90))
    logits.sum().backward()
    assert logits.shape == (2, 2)
    assert all(p.grad is not None for p in network.parameters())
    names = Classifier(Backbone(name="dla34", output_stride=32), 2).state_dict().keys()
    assert network.state_dict().keys() == names
    assert not any("cell" in name for name in names)


def test_a_training_starts_from_a_trained_classifier(tmp_path):
    first = Classifier(Backbone(name="test_resnet", output_stride=8), 2)
    save_model(first, tmp_path / "model.safetensors")
    start = {"weights": str(tmp_path / "model.safetensors"), "weights_prefix": "backbone."}
    block = Backbone(name="test_resnet", output_stride=8, **start)
    second = Classifier(block, 3)
    load_initial_weights(second.backbone, block)
    old, new = first.state_dict(), second.state_dict()
    assert [n for n in new if n not in old or not torch.equal(new[n], old[n])] == ["head.weight"]


def test_other_networks_are_left_as_they_are():
    backbone = create_backbone(Backbone(name="test_resnet", output_stride=8))
    assert type(backbone) is type(on_any_size(backbone))
    assert type(backbone).__mro__[1] is torch.nn.Module
    with torch.no_grad():
        (deep,) = stage_features(backbone.eval(), torch.zeros(1, 3, 90, 70), 1)
    assert deep.shape[-2:] == (12, 9)
