"""Puzzle-CAM: quarters and their places, its losses and its ramp by hand."""

import math

import pytest
import torch

from tags2masks.classifiers import vanilla
from tags2masks.classifiers.puzzle import merge, puzzle_losses, step, tile
from tags2masks.classifiers.vanilla import tag_loss
from tags2masks.config.base import ConfigError
from tags2masks.config.classifiers import Puzzle, Ramp, TagAugment, Vanilla
from tags2masks.config.project import parse_config
from tags2masks.config.training import Backbone
from tags2masks.errors import UserError
from tags2masks.nets.classifier import Classifier
from tags2masks.training import Moment

LN2, LN3 = math.log(2), math.log(3)
SURE, WRONG = -math.log(0.75), -math.log(0.25)  # the losses of a logit of ln 3


def test_quarters_by_hand():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    quarters = tile(torch.cat([image, image + 100]))
    assert quarters[::2, 0].tolist() == [
        [[0, 1], [4, 5]],
        [[2, 3], [6, 7]],
        [[8, 9], [12, 13]],
        [[10, 11], [14, 15]],
    ]
    assert torch.equal(quarters[1::2], quarters[::2] + 100)
    assert torch.equal(merge(quarters), torch.cat([image, image + 100]))
    with pytest.raises(ValueError, match="no four equal quarters"):
        tile(torch.zeros(1, 3, 4, 5))


def test_smoothed_targets_by_hand():
    logits, tags = torch.tensor([[LN3, LN3]]), torch.tensor([[1.0, 0.0]])
    assert tag_loss(logits, tags, 0).item() == pytest.approx((SURE + WRONG) / 2)
    by_hand = (0.9 * SURE + 0.1 * WRONG + 0.1 * SURE + 0.9 * WRONG) / 2
    assert tag_loss(logits, tags, 0.2).item() == pytest.approx(by_hand)
    assert tag_loss(logits, tags * 0, 0.2).item() == pytest.approx(0.1 * SURE + 0.9 * WRONG)


def test_a_ramp_rises_evenly_then_stays():
    ramp = Ramp(start=0, end=4, until=0.5)
    assert [ramp.at(p) for p in (0, 0.125, 0.25, 0.5, 0.75, 1)] == [0, 1, 2, 4, 4, 4]
    assert Ramp(start=0.3, end=1).at(0.5) == pytest.approx(0.65)
    assert Ramp(start=1, end=0).at(0.75) == 0.25
    assert Puzzle().lambda_re == ramp
    assert Puzzle(lambda_re={"end": 2}).lambda_re.at(0.25) == 1


@pytest.mark.parametrize(
    ("which", "difference"), [("all", (2 * LN3 + 1) / 2), ("tagged", 2 * LN3 / 2)]
)
def test_losses_by_hand(which, difference):
    maps = torch.stack([torch.full((2, 2), LN3), torch.zeros(2, 2)])[None]
    merged = torch.stack([torch.full((2, 2), -LN3), torch.tensor([[1.0, -1.0], [1.0, -1.0]])])
    spec = Puzzle(re_classes=which)
    losses = puzzle_losses(maps, merged[None], torch.tensor([[1.0, 0.0]]), spec, 0.25)
    assert losses["cls"].item() == pytest.approx((SURE + LN2) / 2)
    assert losses["re_cls"].item() == pytest.approx((WRONG + LN2) / 2)
    assert losses["re"].item() == pytest.approx(difference)
    assert losses["lambda_re"] == 2
    assert losses["loss"].item() == pytest.approx((SURE + WRONG) / 2 + LN2 + 2 * difference)


def test_a_network_without_context_sees_no_difference_in_quarters():
    spec = Puzzle(
        backbone=Backbone(name="convnet", args={"kernel": 1, "channels": 4, "layers": 2}),
        augment=TagAugment(crop=8),
    )
    torch.manual_seed(0)
    network = Classifier(spec.backbone, 3)
    batch = [torch.randint(256, (2, 3, 8, 8), dtype=torch.uint8), torch.eye(3)[:2]]
    losses = step(network, batch, Moment(0.9, 0, (0, 0, 0)), spec)
    assert losses["re"].item() == pytest.approx(0, abs=1e-6)
    plain = tag_loss(network(batch[0] / 255), batch[1], 0).item()
    assert losses["cls"].item() == pytest.approx(plain, rel=1e-5)
    assert losses["loss"].item() == pytest.approx(2 * plain, rel=1e-4)
    seeing = spec.model_copy(
        update={"backbone": Backbone(name="convnet", args={"kernel": 3, "layers": 2})}
    )
    losses = step(Classifier(seeing.backbone, 3), batch, Moment(0, 0, (0, 0, 0)), seeing)
    assert losses["re"].item() > 1e-3


def test_crops_that_make_no_quarters_are_refused():
    Puzzle(augment={"crop": 480})
    Puzzle(augment={"crop": 24}, backbone={"name": "convnet"})
    raw = {
        "datasets": {"digits": {"kind": "digits"}},
        "classifiers": {"p": {"method": "puzzle", "augment": {"crop": 500}}},
        "experiments": ["digits / p"],
    }
    with pytest.raises(ConfigError) as error:
        parse_config(raw)
    assert str(error.value) == (
        "classifiers.p: augment.crop: 500 makes no four quarters of whole cells of 16 pixels "
        "(backbone.output_stride); take a multiple of 32, such as 480"
    )
    with pytest.raises(UserError, match=r"maps are of \(3, 3\) cells, and together \(4, 4\)"):
        puzzle_losses(
            torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 4, 4), torch.ones(1, 2), Puzzle(), 0
        )


def test_vanilla_smooths_its_targets():
    spec = Vanilla(label_smoothing=0.2)
    network = torch.nn.Flatten()  # logits that are the values of the image
    images = torch.full((1, 2, 1, 1), 255 * LN3)
    losses = vanilla.step(network, [images, torch.ones(1, 2)], Moment(0, 0, (0, 0, 0)), spec)
    assert losses["loss"].item() == pytest.approx(0.9 * SURE + 0.1 * WRONG)
