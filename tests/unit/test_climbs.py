"""Features along climbs: which images, which are climbed, and where."""

import numpy as np
import pytest
import torch

from tags2masks.analyses.climbs import (
    COLUMNS,
    along_climb,
    climb_table,
    representative,
    taken_rightly,
)
from tags2masks.config.base import ConfigError
from tags2masks.config.climbing import AdvCam
from tags2masks.config.training import Backbone
from tags2masks.errors import UserError
from tags2masks.nets.classifier import Classifier
from tags2masks.workflow.cited import cited
from tags2masks.workflow.plan import Plan

CLASSES = ["bird", "cat", "cow"]


def test_the_highest_logit_above_zero_counts():
    logits = torch.tensor([[2.0, 1, 0], [1, 2, 0], [-1, -2, -3], [0.5, 0.1, 0.4]])
    assert taken_rightly(logits, 0).tolist() == [True, False, False, True]


def test_the_image_nearest_to_the_mean():
    # Of 0, 4 and 8 on a line with a mean of 4, and of a fourth point that moves it to 5.
    assert representative(torch.tensor([[0.0], [4], [8]])) == 1
    assert representative(torch.tensor([[0.0], [4], [8], [8.0]])) == 1
    assert representative(torch.tensor([[0.0], [7], [8], [8.0]])) == 1


@pytest.fixture
def linear():
    """f = (r, g, b) as they are, averaged over the image; y = (f_r − f_g, f_g − f_r, −1·f_b)."""
    backbone = Backbone(
        name="convnet",
        args={"kernel": 1, "channels": 3, "layers": 1},
        mean=(0, 0, 0),
        std=(1, 1, 1),
        weights=None,
    )
    network = Classifier(backbone, 3).double().eval()
    with torch.no_grad():
        network.backbone.layers[0].weight.copy_(torch.eye(3)[:, :, None, None])
        network.backbone.layers[0].bias.fill_(1)  # above what ReLU cuts off
        weights = torch.tensor([[1.0, -1, 0], [-1, 1, 0], [0, 0, -1]])
        network.head.weight.copy_(weights[:, :, None, None])
    return network.requires_grad_(False)


def flat(*colours):
    """Images of one colour each, [N, 3, 2, 2]."""
    return torch.tensor(colours, dtype=torch.float64)[:, :, None, None].expand(-1, -1, 2, 2).clone()


def test_a_climb_in_closed_form(linear):
    """Without the mask term: ∂(y_c − Σ others)/∂x of each of the 4 pixels is (2, −2, 1)/4."""
    spec = AdvCam(steps=3, step_size=0.04, restrict_weight=0, scales=(1.0,), flip=False)
    features = along_climb(linear, flat((0.5, 0.4, 0.3)), 0, spec, 3)
    steps = torch.arange(1.0, 4, dtype=torch.float64)[:, None]
    expected = torch.tensor([1.5, 1.4, 1.3]) + steps * 0.01 * torch.tensor([2, -2, 1])
    torch.testing.assert_close(features, expected)


def test_the_table_has_the_right_images_and_the_climbs(linear):
    spec = AdvCam(step_size=0.04, restrict_weight=0, scales=(1.0,), flip=False)
    images = {
        1: (
            ["c0", "c1", "c2", "c3"],
            flat((0.1, 0.9, 0), (0.9, 0.1, 0), (0.1, 0.7, 0), (0.1, 0.78, 0)),
        ),
        0: (["b0", "b1", "b2"], flat((0.9, 0, 0), (0.8, 0, 0), (0.2, 0, 0))),
    }
    given = []

    def first_two(features):
        given.append(features)
        return features[:, :2]

    table = climb_table(linear, images, CLASSES, spec, 2, first_two)
    assert tuple(table) == COLUMNS and len(given) == 1 and given[0].shape == (3 + 3 + 2 * 2, 3)
    # c1 is taken for a bird. b1 is nearest to the birds' mean, 0.633, c3 to the cats', 0.793.
    assert table.drop(columns=["x", "y"]).to_numpy().tolist() == [
        *[["climb", "b1", "bird", step] for step in range(3)],
        *[["climb", "c3", "cat", step] for step in range(3)],
        ["image", "b0", "bird", 0],
        ["image", "b1", "bird", 0],
        ["image", "b2", "bird", 0],
        ["image", "c0", "cat", 0],
        ["image", "c2", "cat", 0],
        ["image", "c3", "cat", 0],
    ]
    # In units of 0.01: (2, −2) each step for the bird, the other way for the cat.
    places = table[["x", "y"]].to_numpy()
    np.testing.assert_allclose(places[:3], [[1.8, 1], [1.82, 0.98], [1.84, 0.96]], atol=1e-6)
    np.testing.assert_allclose(places[3:6], [[1.1, 1.78], [1.08, 1.8], [1.06, 1.82]], atol=1e-6)


def test_logits_are_the_networks_own(linear):
    # A head that is more than a linear layer of the mean: the second class is taken from the first.
    linear.logits = lambda features: features.mean((2, 3))[:, [1, 0, 2]]
    spec = AdvCam(step_size=0.04, restrict_weight=0, scales=(1.0,), flip=False)
    images = {0: (["a", "b"], flat((0.9, 0.1, 0), (0.1, 0.9, 0)))}
    found = climb_table(linear, images, CLASSES, spec, 1, lambda features: features[:, :2])
    assert set(found.loc[found["kind"] == "image", "image"]) == {"b"}


def test_a_class_that_nothing_is_taken_for_is_named(linear):
    images = {2: (["w0"], flat((0.5, 0.5, 0.5)))}
    with pytest.raises(UserError) as error:
        climb_table(linear, images, CLASSES, AdvCam(), 2, lambda features: features)
    assert str(error.value) == (
        "evaluation.climbs.classes: the classifier takes no image of 'cow' for it; take another "
        "class, or train longer"
    )


RAW = {
    "datasets": {"digits": {"kind": "digits"}},
    "classifiers": {"vanilla": {"method": "vanilla"}},
    "maps": {"cam": {"method": "cam"}, "advcam": {"method": "advcam"}, "rib": {"method": "rib"}},
    "experiments": ["digits / vanilla / {cam,rib}"],
}


@pytest.mark.parametrize(
    ("name", "options", "missing"),
    [
        ("climbs", {"classes": ["zero", "one"]}, "maps of advcam"),
        ("gradients", {}, "maps of rib on a mnist data set with `planted`"),
    ],
)
def test_an_analysis_that_nothing_is_for_is_told(name, options, missing):
    plan = Plan(RAW | {"evaluation": {name: options}})
    with pytest.raises(ConfigError) as error:
        plan.analyses()
    assert str(error.value) == f"evaluation.{name}: no experiment has {missing}; add one"


def test_each_artifact_that_an_analysis_is_for_gets_a_table():
    wanted = {"climbs": {"classes": ["zero", "one"]}, "landscape": {}}
    plan = Plan(RAW | {"experiments": ["digits / vanilla / advcam"], "evaluation": wanted})
    classifier, climbs = plan.of_stage("classifier")[0], plan.of_stage("maps")[0]
    assert plan.analyses() == [
        f"{classifier.folder}/landscape.csv",
        f"{climbs.folder}/climbs.csv",
    ]
    assert set(plan.analyses()) <= set(plan.asked)
    assert "moosavi2019curvature" in cited(plan.config, plan.experiments)
