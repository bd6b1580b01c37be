"""The network of contribution windows."""

import pytest
import torch

from tags2masks.config.training import Backbone
from tags2masks.errors import UserError
from tags2masks.nets.backbones import create_backbone
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.convnet import ConvNet


def test_one_by_one_kernels_by_hand():
    network = ConvNet(kernel=1, channels=1, layers=2)
    with torch.no_grad():
        network.layers[0].weight.copy_(torch.tensor([1.0, -1, 2]).view(1, 3, 1, 1))
        network.layers[0].bias.fill_(-1)
        network.layers[2].weight.fill_(3)
        network.layers[2].bias.fill_(0.5)
    pixels = torch.tensor([[1.0, 0, 1], [0, 0, 0.25]]).T.view(1, 3, 1, 2)
    # Sums 3 and 0.5; less 1 and without negatives 2 and 0; times 3 and a half more.
    assert network.forward_features(pixels).tolist() == [[[[6.5, 0.5]]]]


@pytest.mark.parametrize(("kernel", "reach"), [(1, 0), (3, 5), (5, 10)])
def test_the_size_is_kept_and_the_window_is_as_wide_as_it_should_be(kernel, reach):
    """A feature in the middle depends on pixels up to layers · (F − 1) / 2 away and no others."""
    torch.manual_seed(0)
    network = ConvNet(kernel=kernel, channels=8)
    assert len([m for m in network.layers if isinstance(m, torch.nn.ReLU)]) == 5
    images = torch.rand(1, 3, 31, 33, requires_grad=True)
    features = network.forward_features(images)
    assert features.shape == (1, 8, 31, 33)
    features[0, :, 15, 16].sum().backward()
    rows, columns = torch.nonzero(images.grad[0].abs().sum(0), as_tuple=True)
    assert (rows.min(), rows.max()) == (15 - reach, 15 + reach)
    assert (columns.min(), columns.max()) == (16 - reach, 16 + reach)


def test_a_classifier_on_it():
    backbone = Backbone(name="convnet", args={"kernel": 3, "channels": 4}, mean=(0,) * 3)
    network = Classifier(backbone, 5)
    assert network.score_maps(network.features(torch.rand(2, 3, 9, 7))).shape == (2, 5, 9, 7)
    assert network(torch.rand(2, 3, 9, 7)).shape == (2, 5)


@pytest.mark.parametrize("args", [{"kernel": 4}, {"channels": 0}, {"kernal": 3}, {"kernel": "a"}])
def test_arguments_that_make_none(args):
    with pytest.raises(UserError, match=r"backbone\.args: .* make no convnet"):
        create_backbone(Backbone(name="convnet", args=args))
