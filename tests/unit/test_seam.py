"""SEAM: its losses and PCM by hand, the network on several backbones, exact resume, map methods."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from tags2masks.classifiers.seam import (
    beside_background,
    build,
    largest,
    lowest,
    over_maximum,
    seam_losses,
    spread,
    step,
    stretched,
)
from tags2masks.config.classifiers import Seam
from tags2masks.config.tag_training import TagAugment
from tags2masks.config.training import Backbone, Optimizer
from tags2masks.errors import UserError
from tags2masks.nets.backbones import stage_features
from tags2masks.nets.resize import at_scale
from tags2masks.training import Moment
from tests.unit.learning import TINY, localized, resumed

MOMENT = Moment(0, 0, (0, 0, 0))


def spec_of(**changes):
    """A short run of a tiny network."""
    values = {"backbone": TINY, "epochs": 3, "batch_size": 2, "scale": 0.5}
    optimizer = Optimizer(lr=0.02, head_factor=2, momentum=0.9)
    return Seam(**values | {"augment": TagAugment(crop=32), "optimizer": optimizer} | changes)


def test_spreading_by_hand():
    """Cells 0 and 1 look the same, cell 2 is at 60° to them, cell 3 opposite to 0 and 1."""
    looks = torch.tensor([[2.0, 5, 0.5, -1], [0, 0, math.sqrt(0.75), 0]]).view(1, 2, 2, 2)
    maps = torch.tensor([[8.0, 4, 2, 7], [1, 1, 1, 1]]).view(1, 2, 2, 2)
    found = spread(maps, looks)
    expected = [(8 + 4 + 1) / 2.5, (8 + 4 + 1) / 2.5, (4 + 2 + 2) / 2, 7]
    assert found[0, 0].flatten().tolist() == pytest.approx(expected, rel=1e-4)
    assert found[0, 1].flatten().tolist() == pytest.approx([1] * 4, rel=1e-4)


def test_spreading_is_what_loops_give_and_a_blank_cell_keeps_nothing():
    torch.manual_seed(0)
    maps, looks = torch.rand(2, 3, 2, 3), torch.randn(2, 5, 2, 3)
    looks[1, :, 0, 0] = 0
    found = spread(maps, looks)
    for b in range(2):
        for j in range(6):
            weights = [
                max(0.0, F.cosine_similarity(*(looks[b].flatten(1)[:, n] for n in (i, j)), 0))
                for i in range(6)
            ]
            total = sum(w * maps[b].flatten(1)[:, i] for i, w in enumerate(weights))
            expected = total / (sum(weights) + 1e-5)
            torch.testing.assert_close(
                found[b].flatten(1)[:, j], torch.as_tensor(expected).expand(3), atol=1e-4, rtol=1e-4
            )
    assert found[1, :, 0, 0].tolist() == [0, 0, 0]


def test_maps_between_0_and_1_by_hand():
    maps = torch.tensor([[[[4.0, 2.0, -6.0]], [[3.0, 1.0, 2.0]]]])
    exact = partial(torch.testing.assert_close, atol=1e-4, rtol=0)
    exact(over_maximum(maps)[0, :, 0], torch.tensor([[1, 0.5, 0], [1, 1 / 3, 2 / 3]]))
    exact(stretched(maps)[0, :, 0], torch.tensor([[1, 0.5, 0], [1, 0, 0.5]]))
    assert over_maximum(-maps.abs()).abs().max() == stretched(maps * 0).abs().max() == 0


def test_the_highest_class_and_the_background_by_hand():
    maps = torch.tensor([[[[0.75, 0.25, 0.5, 0]], [[0.5, 0.5, 0.5, 0]]]])
    assert beside_background(maps)[0, :, 0].tolist() == [
        [0.25, 0.5, 0.5, 1],
        [0.75, 0, 0.5, 0],
        [0, 0.5, 0.5, 0],
    ]


def test_largest_and_lowest_shares_by_hand():
    apart = torch.arange(20.0).view(2, 1, 2, 5)
    assert largest(apart, 0.2).item() == (9 + 8 + 19 + 18) / 4
    assert largest(apart, 0.01).item() == (9 + 19) / 2  # one at least
    maps = torch.tensor([[[[3.0, 1, -2, 4]], [[0.0, 2, -1, 5]]]])  # highest: 3, 2, -1, 5
    assert lowest(maps, 0.5).item() == (2 + 0) / 2
    assert lowest(maps, 0.1).item() == 0
    assert lowest(maps + 2, 0.25).item() == 1


def test_losses_by_hand():
    """One image of classes 0 and 1 with the tag 0 alone; maps of 1 × 2 cells, both sizes alike."""
    large = torch.tensor([[[[2.0, 0.0]], [[5.0, 1.0]]]])
    small = torch.tensor([[[[0.0, 4.0]], [[-1.0, -1.0]]]])
    wide = torch.tensor([[[[0.0, 1.0]], [[0.5, 0.25]], [[0.9, 0.8]]]])
    narrow = torch.tensor([[[[1.0, 0.0]], [[0.75, 0.25]], [[0.1, 0.2]]]])
    spec = spec_of(ecr_share=1, min_share=0.5)
    found = seam_losses((large, wide), (small, narrow), torch.tensor([[1.0, 0]]), (1, 2), spec)

    def soft(logit, tag):
        return math.log(1 + math.exp(-logit if tag else logit))

    cls = [(soft(1, 1) + soft(3, 0)) / 2, (soft(2, 1) + soft(-1, 0)) / 2]
    low = [0.25, 0.25]
    # Stretched: class 0 of the large image [1, 0], of the small one [0, 1]; class 1 is not tagged.
    er = (1 + 1 + 0 + 0) / 4
    # The small one's background [1, 0] and class [0, 1] against wide's [0, 1] and [1, 0]; the large
    # one's [0, 1] and [1, 0] against narrow's [1, 0] and [1, 0].
    ecr = (4 + 0) / 6 + (2 + 0) / 6
    by_name = {"cls": sum(cls) / 2, "low": sum(low) / 2, "er": er, "ecr": ecr}
    for name, expected in by_name.items():
        assert found[name].item() == pytest.approx(expected, abs=1e-4), name
    assert found["loss"].item() == pytest.approx(sum(by_name.values()), abs=1e-4)
    half = seam_losses(
        (large, wide),
        (small, narrow),
        torch.tensor([[1.0, 0]]),
        (1, 2),
        spec.model_copy(update={"ecr_share": 0.5, "min_weight": 0}),
    )
    assert half["ecr"].item() == pytest.approx(3 / 3 + 2 / 3, abs=1e-4)
    assert (half["loss"] - half["cls"] - half["er"] - half["ecr"]).item() == pytest.approx(
        0, abs=1e-6
    )


def test_an_image_without_a_tag_is_background_in_all():
    torch.manual_seed(0)
    maps, refined = torch.rand(1, 2, 3, 3), torch.rand(1, 3, 3, 3)
    found = seam_losses((maps, refined), (maps, refined), torch.zeros(1, 2), (3, 3), spec_of())
    assert found["er"] == found["low"] == 0
    apart = (1 - stretched(refined)[:, :1]).flatten().sort(descending=True).values
    assert found["ecr"].item() == pytest.approx(2 * apart[:5].mean().item())  # 20 % of 27


# -- the network -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backbone", "taps"),
    [
        (TINY, (3, 2)),
        (TINY, (4, 1)),
        (Backbone(name="test_efficientnet", output_stride=16), (3, 2)),
        (Backbone(name="test_convnext", output_stride=32), (3, 2)),
        (Backbone(name="resnet38d", output_stride=8, args={"width": 8}), (3, 2)),
    ],
)
def test_the_network_on_several_backbones(backbone, taps):
    torch.manual_seed(0)
    network = build(spec_of(backbone=backbone, taps=taps), 3).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        (maps, refined), (small, _) = network.refine_all(images, at_scale(images, 0.5))
        torch.testing.assert_close(maps, network.score_maps(network.features(images)))
        torch.testing.assert_close(maps.mean((2, 3)), network(images), atol=1e-5, rtol=1e-4)
        stages = stage_features(network.backbone, network.normalize(images), max(taps))
        seen = [network.normalize(images)]
        for tap, branch in zip(taps, network.correlation.branches, strict=True):
            seen.append(branch(stages[-tap]).relu())
        seen = [F.interpolate(part, maps.shape[-2:], mode="bilinear") for part in seen]
        shown = beside_background(over_maximum(maps))
        torch.testing.assert_close(
            refined, spread(shown, network.correlation.merge(torch.cat(seen, 1)))
        )
    assert network.correlation.merge.weight.shape == (192, 195, 1, 1)
    assert refined.shape == (2, 4, *maps.shape[-2:]) and small.shape[1] == 3
    assert refined.min() >= 0 and refined.max() <= 1


def test_pcm_gives_the_trunk_no_gradient():
    torch.manual_seed(0)
    network = build(spec_of(), 3)
    _, refined = network.refine_all(torch.rand(2, 3, 32, 32))[0]
    refined.square().sum().backward()
    assert all(weight.grad is None for weight in network.backbone.parameters())
    assert network.head.weight.grad is None
    assert network.correlation.merge.weight.grad.abs().max() > 0
    assert all(branch.weight.grad.abs().max() > 0 for branch in network.correlation.branches)
    assert len(network.head_parameters()) == 4


def test_the_step_shows_both_sizes():
    torch.manual_seed(0)
    spec = spec_of(dropout=0)
    network = build(spec, 3).eval()
    batch = [torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8), torch.eye(3)[:2]]
    images = batch[0] / 255
    smaller = F.interpolate(images, (16, 16), mode="bilinear", align_corners=False)
    one, other = network.refine_all(images)[0], network.refine_all(smaller)[0]
    expected = seam_losses(one, other, batch[1], (16, 16), spec)
    found = step(network, batch, MOMENT, spec)
    assert set(found) == {"loss", "cls", "low", "er", "ecr"}
    for name in found:
        torch.testing.assert_close(found[name], expected[name])


def test_what_a_backbone_or_config_cannot_give_is_told():
    with pytest.raises(UserError, match="does not give the features of 3 stages"):
        build(spec_of(backbone=Backbone(name="convnet", args={"kernel": 3, "layers": 2})), 2)
    with pytest.raises(UserError, match="does not give the features of 9 stages"):
        build(spec_of(taps=(9, 2)), 2)
    for taps in ((2, 3), (2, 2), (2, 0)):
        with pytest.raises(ValueError, match="taps are two stages counted from the last"):
            spec_of(taps=taps)
    spec = Seam()
    assert (spec.optimizer.lr, spec.batch_size, spec.epochs, spec.scale) == (0.01, 8, 8, 0.3)
    assert (spec.augment.resize, spec.augment.crop) == ((448, 768), 448)


# -- training and maps -----------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_killed_run_resumes_to_the_same_bytes(tmp_path, precision):
    rows = resumed(tmp_path, spec_of(precision=precision))
    assert all(math.isfinite(row[name]) for row in rows for name in ("cls", "low", "er", "ecr"))


def test_a_trained_network_gives_maps(tmp_path):
    localized(tmp_path, spec_of())
