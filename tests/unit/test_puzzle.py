"""Puzzle-CAM: quarters and their places, its losses and its ramp by hand."""

import math

import pytest
import torch

from tags2masks.classifiers import vanilla
from tags2masks.classifiers.puzzle import merge, puzzle_losses, step, tile
from tags2masks.classifiers.vanilla import tag_loss
from tags2masks.config.base import ConfigError
from tags2masks.config.classifiers import METHODS, Puzzle, Vanilla
from tags2masks.config.project import parse_config
from tags2masks.config.tag_training import TagAugment
from tags2masks.config.training import Backbone, Ramp
from tags2masks.errors import UserError
from tags2masks.nets.classifier import Classifier
from tags2masks.training import Moment
from tests.unit.learning import TINY, trained

QUARTER = Moment(0.25, 0, (0, 0, 0))
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
    assert [ramp.at(p, 0, 15) for p in (0, 0.125, 0.25, 0.5, 0.75, 1)] == [0, 1, 2, 4, 4, 4]
    assert Ramp(start=0.3, end=1).at(0.5, 0, 15) == pytest.approx(0.65)
    assert Ramp(start=1, end=0).at(0.75, 0, 15) == 0.25
    assert Puzzle().lambda_re == ramp
    assert Puzzle(lambda_re={"end": 2}).lambda_re.at(0.25, 0, 15) == 1


def test_a_ramp_in_steps_or_epochs_is_as_long_in_a_shorter_training():
    # The paper's: 15 epochs of 330 steps, λ = 4 after half of them. Four epochs of 28 steps see its
    # first 112 steps.
    steps = Puzzle(lambda_re={"until": 2475, "unit": "steps"}).lambda_re
    assert [steps.at(n / 4950, n, 15) for n in (0, 619, 2475, 4949)] == [0, 619 / 2475 * 4, 4, 4]
    assert steps.at(111 / 112, 111, 4) == pytest.approx(0.179, abs=1e-3)
    epochs = Puzzle(lambda_re={"until": 7.5, "unit": "epochs"}).lambda_re
    assert [epochs.at(n / 4950, n, 15) for n in (0, 1238, 2475)] == pytest.approx(
        [0, 2, 4], abs=2e-3
    )
    assert epochs.at(0.5, 56, 4) == pytest.approx(2 / 7.5 * 4)
    step_of = Moment(56 / 112, 56, (0, 2, 0))
    assert step_of.weight(steps, Puzzle(epochs=4)) == pytest.approx(56 / 2475 * 4)
    assert step_of.weight(epochs, Puzzle(epochs=4)) == pytest.approx(2 / 7.5 * 4)


def test_a_share_above_one_is_refused():
    with pytest.raises(ValueError) as error:
        Puzzle(lambda_re={"until": 2475})
    assert (
        "until: 2475 is a share of the training, 1 at most; for a number of steps or epochs add "
        "unit: steps or unit: epochs" in str(error.value)
    )


def test_a_new_option_is_in_the_key_only_where_it_is_set():
    plain, counted = Puzzle().key(), Puzzle(lambda_re={"until": 9, "unit": "steps"}).key()
    assert plain["lambda_re"] == {"start": 0, "end": 4, "until": 0.5}
    assert counted["lambda_re"] == {"start": 0, "end": 4, "until": 9, "unit": "steps"}
    assert Puzzle(**plain) == Puzzle() and Puzzle(**counted).lambda_re.unit == "steps"


@pytest.mark.parametrize("method", ["puzzle", "poc", "pnoc"])
def test_batch_norm_is_live_by_default(tmp_path, method):
    changes = {"backbone": TINY, "augment": TagAugment(crop=32), "epochs": 1, "batch_size": 2}
    start = Classifier(TINY, 3).state_dict()
    names = [name for name in start if "running_mean" in name]
    live = trained(tmp_path / "live", METHODS[method](**changes))[0]
    assert all((live[f"f.{name}"] - start[name]).abs().max() > 1e-3 for name in names)
    still = trained(tmp_path / "still", METHODS[method](**changes, freeze_bn=True))[0]
    assert all(torch.equal(still[f"f.{name}"], start[name]) for name in names)
    assert [METHODS[name]().freeze_bn for name in ("vanilla", "occse")] == [True, True]


def test_batch_norm_sees_the_image_and_its_quarters():
    # Before the backbone: batch norm of a black and a white image, then of their quarters.
    network = Classifier(
        Backbone(name="convnet", args={"kernel": 1, "channels": 1, "layers": 1}), 1
    )
    network.backbone, network.normalize = Counted(network.backbone), torch.nn.Identity()
    image = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    image[1] = 255
    spec = Puzzle(backbone={"name": "convnet"}, augment={"crop": 8})
    step(network.train(), [image, torch.ones(2, 1)], Moment(0, 0, (0, 0, 0)), spec)
    assert network.backbone.seen == [(2, 8), (8, 4)]
    # A mean of 0.5 each time, at momentum 0.1: 0.05, and 0.9 · 0.05 + 0.05.
    mean = network.backbone.norm.running_mean
    torch.testing.assert_close(mean, torch.full((3,), 0.05 * 0.9 + 0.05))


class Counted(torch.nn.Module):
    """Batch norm before a backbone; keeps the sizes of what it sees."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone, self.norm = backbone, torch.nn.BatchNorm2d(3)
        self.seen = []

    def forward_features(self, images):
        self.seen.append((len(images), images.shape[-1]))
        return self.backbone.forward_features(self.norm(images))


@pytest.mark.parametrize(
    ("which", "difference"), [("all", (2 * LN3 + 1) / 2), ("tagged", 2 * LN3 / 2)]
)
def test_losses_by_hand(which, difference):
    maps = torch.stack([torch.full((2, 2), LN3), torch.zeros(2, 2)])[None]
    merged = torch.stack([torch.full((2, 2), -LN3), torch.tensor([[1.0, -1.0], [1.0, -1.0]])])
    spec = Puzzle(re_classes=which)
    losses = puzzle_losses(maps, merged[None], torch.tensor([[1.0, 0.0]]), spec, QUARTER)
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
    with pytest.raises(
        UserError,
        match=r"map has \(3, 3\) cells, but the merged maps of the quarters have \(4, 4\)",
    ):
        puzzle_losses(
            torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 4, 4), torch.ones(1, 2), Puzzle(), QUARTER
        )


def test_vanilla_smooths_its_targets():
    spec = Vanilla(label_smoothing=0.2)
    network = torch.nn.Flatten()  # logits that are the values of the image
    images = torch.full((1, 2, 1, 1), 255 * LN3)
    losses = vanilla.step(network, [images, torch.ones(1, 2)], Moment(0, 0, (0, 0, 0)), spec)
    assert losses["loss"].item() == pytest.approx(0.9 * SURE + 0.1 * WRONG)
