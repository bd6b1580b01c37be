"""EDAM: masks, the comparison of two images in plain loops, pairs, and the chain to its seeds."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from tags2masks.classifiers.edam import begin, build, sinusoids, step, views
from tags2masks.classifiers.vanilla import tag_loss
from tags2masks.config.base import ConfigError
from tags2masks.config.hosts import Edam
from tags2masks.config.maps import Cam
from tags2masks.config.masks import SaliencyCut
from tags2masks.config.project import parse_config
from tags2masks.config.tag_training import TagAugment
from tags2masks.config.training import Augment
from tags2masks.data.paired import PairedViews
from tags2masks.data.views import random_view
from tags2masks.machine import Machine
from tags2masks.maps import cam
from tags2masks.maps.batch import plain_batch
from tags2masks.masks.saliency_cut import make_mask
from tags2masks.nets.resize import at_scale, resized
from tags2masks.task import Task
from tags2masks.training import Moment, make_optimizer
from tags2masks.workflow.building import build_experiments
from tests.unit.learning import TINY, localized
from tests.unit.tiny import CLASSES, small, three_images

SMALL = {"backbone": TINY, "width": 8, "heads": 2}


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = build(Edam(**SMALL), 3).eval().requires_grad_(False)
    for parameter in network.blocks.parameters():
        parameter.normal_(std=0.5)
    return network


def test_masks_by_hand(network):
    # Two classes and one channel more, a single cell whose neighbours are 0: the middle taps.
    network = build(Edam(**SMALL), 2)
    channels = network.head.in_channels
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.weight[:, 0, 1, 1] = torch.tensor([3.0, -4, 12])
    features = torch.zeros(1, channels, 1, 2)
    features[0, 0] = torch.tensor([[2.0, 0]])
    # (6, −8, 24) is 26 long; a cell of zeros has no mask.
    torch.testing.assert_close(
        network.score_maps(features), torch.tensor([[[[6 / 26, 0]], [[8 / 26, 0]]]])
    )


def test_scores_of_a_feature_that_is_all_around(network):
    vectors = torch.randn(2, network.head.in_channels)
    spread = vectors[:, :, None, None].expand(-1, -1, 3, 3)
    scores = network.head(spread)[:, :, 1, 1].abs()
    found = network.vector_scores(vectors)
    torch.testing.assert_close(found, scores[:, :3], atol=1e-5, rtol=1e-4)
    masks = found / scores.square().sum(1, keepdim=True).sqrt()
    torch.testing.assert_close(masks, network.score_maps(spread)[:, :, 1, 1])


def test_positions_by_hand():
    found = sinusoids(3, 4)
    row = [math.sin(2), math.cos(2), math.sin(2 / 100), math.cos(2 / 100)]
    torch.testing.assert_close(found[0], torch.tensor([0.0, 1, 0, 1]))
    torch.testing.assert_close(found[2], torch.tensor(row))


def attended(block, x):
    """A transformer block of 2 heads on tokens [T, 8], head by head and token by token."""
    own = block.attn
    normed = F.layer_norm(x, (8,), block.norm1.weight, block.norm1.bias)
    q, k, v = (normed @ own.qkv.weight.T + own.qkv.bias).split(8, 1)
    taken = torch.zeros_like(x)
    for head in (slice(0, 4), slice(4, 8)):
        for one in range(len(x)):
            scores = torch.stack([q[one, head] @ k[other, head] / 2 for other in range(len(x))])
            weights = scores.exp() / scores.exp().sum()
            taken[one, head] = sum(weight * v[other, head] for other, weight in enumerate(weights))
    x = x + own.proj(taken)
    inner = F.gelu(block.mlp.fc1(F.layer_norm(x, (8,), block.norm2.weight, block.norm2.bias)))
    return x + block.mlp.fc2(inner)


def test_a_pairs_logits_are_those_of_loops(network):
    images = torch.rand(2, 2, 3, 16, 24)
    found = network.pair_logits(images)
    assert found.shape == (2, 2, 3)
    for pair, both in enumerate(images):
        features = network.features(both)
        height, width = features.shape[-2:]
        scores = F.conv2d(features, network.head.weight, padding=1)
        for class_ in range(3):
            cells = []
            for number in range(2):
                for place in range(height * width):
                    y, x = divmod(place, width)
                    vector = scores[number, :, y, x]
                    mask = (vector[class_] / vector.norm()).abs()
                    narrow = network.reduce.weight[:, :, 0, 0] @ features[number, :, y, x]
                    position = sinusoids(height * width, 8)[place]
                    cells.append(narrow * mask + position + network.image.weight[number])
            seen = attended(network.blocks[class_], torch.stack(cells))
            for number, part in enumerate(seen.split(height * width)):
                logit = part.mean(0) @ network.weights[class_]
                torch.testing.assert_close(found[pair, number, class_], logit, atol=1e-4, rtol=1e-4)
    # What the other image shows counts; alone an image is seen as the first one without a second.
    other = network.pair_logits(torch.stack([images[0], torch.stack([images[0, 0], images[1, 1]])]))
    assert not torch.allclose(other[0, 0], other[1, 0], atol=1e-5)
    assert network(images[:, 0]).shape == (2, 3)


def test_a_step_is_the_cross_entropy_of_both_images(network):
    images, tags = (
        torch.randint(256, (2, 2, 3, 16, 24)),
        torch.eye(3)[torch.tensor([[0, 1], [2, 2]])],
    )
    spec = Edam(**SMALL, label_smoothing=0.1)
    loss = step(network, [images, tags], Moment(0, 0, (0, 0, 0)), spec)["loss"]
    logits = network.pair_logits(images / 255)
    target = tags * 0.9 + 0.05
    plain = -(target * logits.sigmoid().log() + (1 - target) * (-logits).sigmoid().log()).mean()
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(loss, tag_loss(logits.view(4, 3), tags.view(4, 3), 0.1))


def test_new_convolutions_learn_faster_than_backbone_and_blocks():
    network = build(Edam(**SMALL), 3)
    slow, fast = make_optimizer(network, Edam().optimizer).param_groups
    assert (slow["lr"], fast["lr"]) == (pytest.approx(1e-3), pytest.approx(1e-2))
    names = {id(p): name for name, p in network.named_parameters()}
    found = {names[id(p)] for p in fast["params"]}
    assert found == {"head.weight", "reduce.weight", "weights"}


def test_maps_are_masks_summed_over_scales_and_mirrors(network):
    images, spec = torch.rand(1, 3, 32, 40), Cam(stride=4)
    total = 0
    for scale in (1.0, 0.5, 1.5, 2.0):
        for mirrored in (False, True):
            view = at_scale(images, scale)
            view = view.flip(-1) if mirrored else view
            maps = network.score_maps(network.features(view))
            maps = maps.flip(-1) if mirrored else maps
            total = total + resized(maps, (8, 10))
    expected = total / total.amax((2, 3), keepdim=True)
    found = cam.localize(network, plain_batch(images, 3), spec)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    # A map's peak is 1 in the store's float16, so that it stands without saliency.
    maps = found[0].to(torch.float16).numpy()
    peak = np.unravel_index(maps[1].argmax(), maps[1].shape)
    cut = SaliencyCut(saliency="c2am", background="cut")
    nothing = np.zeros((1, 8, 10), np.float16)
    labels = make_mask(np.zeros((8, 10, 3), np.uint8), maps[1:2], [7], cut, nothing)
    assert maps[1][peak] == 1 and labels[peak] == 7 and (labels == 7).sum() == 1


# -- pairs -----------------------------------------------------------------------------------------

# Images 0 and 1 share the first class, 1 and 2 the second; the third class is of 3 alone.
TAGS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], np.float32)


@pytest.fixture
def pairs(tmp_path):
    """Views of five images of one colour each."""
    for number in range(5):
        Image.new("RGB", (20, 20), (50 * number,) * 3).save(tmp_path / f"{number}.png")
    rows = pd.DataFrame({"path": [f"{n}.png" for n in range(5)], "width": 20, "height": 20})
    augment = TagAugment(resize=(20, 20), crop=20)
    return PairedViews(rows, tmp_path, TAGS, augment, (0.5, 0.5, 0.5))


def test_partners_share_a_class_and_who_has_none_is_paired_with_itself(pairs):
    rng = np.random.default_rng(0)
    drawn = [[pairs.partner(row, rng) for _ in range(2000)] for row in range(5)]
    assert [sorted(set(partners)) for partners in drawn] == [[1], [0, 2], [1], [3], [4]]
    # Both classes of image 1 are as likely.
    assert abs(np.mean(np.array(drawn[1]) == 0) - 0.5) < 3 * 0.5 / 2000**0.5
    assert pairs.alone().tolist() == [3, 4]


def test_a_pair_is_of_both_images_and_of_the_draw_alone(pairs):
    images, tags = pairs[0, 3, 0, 5]
    assert images.shape == (2, 3, 20, 20) and images.dtype == torch.uint8
    assert images[:, 0, 0, 0].tolist() == [0, 50]
    assert tags.tolist() == TAGS[[0, 1]].tolist()
    images, tags = pairs[3, 3, 0, 5]
    assert images[:, 0, 0, 0].tolist() == [150, 150] and tags.tolist() == TAGS[[3, 3]].tolist()
    seen = {pairs[1, 3, epoch, 5][0][1, 0, 0, 0].item() for epoch in range(20)}
    assert seen == {0, 100}
    for _ in range(2):
        assert pairs[1, 3, 7, 5][0][1, 0, 0, 0] == pairs[1, 3, 7, 5][0][1, 0, 0, 0]


def test_an_image_that_is_its_own_partner_is_seen_in_two_views(tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(30, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "0.png")
    rows = pd.DataFrame({"path": ["0.png"], "width": 30, "height": 30})
    augment = TagAugment(resize=(30, 30), crop=16)
    found = PairedViews(rows, tmp_path, TAGS[3:4], augment, (0.5,) * 3)[0, 1, 2, 3][0]
    assert not torch.equal(found[0], found[1])
    rng = np.random.default_rng([1, 2, 3])
    first, second = (random_view(pixels, None, augment, (0.5,) * 3, rng)[0] for _ in range(2))
    np.testing.assert_array_equal(found[0].permute(1, 2, 0).numpy(), first)
    np.testing.assert_array_equal(found[1].permute(1, 2, 0).numpy(), second)


def test_images_without_a_partner_are_told(tmp_path, capsys):
    data = three_images(tmp_path, [CLASSES[:1], CLASSES[1:2], ()], [0])
    spec = small(Edam)
    recipe = {"stage": "classifier", "method": "edam", "spec": spec.key(), "seed": 0}
    recipe |= {"upstream": {}, "dataset": data.dataset}
    task = Task(recipe, data.index, CLASSES, tmp_path, Machine(threads=1), tmp_path / "m")
    begin(task, None, views(task))
    assert capsys.readouterr().out == (
        "3 of 3 training images share no class with another and are paired with themselves: "
        "image 0, image 1, image 2\n"
    )


# -- training and config ---------------------------------------------------------------------------


def test_it_learns_which_classes_two_images_show():
    torch.manual_seed(0)
    spec = Edam(**SMALL, dropout=0)
    network = build(spec, 2).train()
    images = torch.zeros(2, 2, 3, 32, 32, dtype=torch.uint8)
    tags = torch.tensor([[[1.0, 0], [1, 1]], [[0, 1], [0, 1]]])
    images[tags[..., 0] > 0, 0, :16] = 255  # the first class is red above, the second blue below
    images[tags[..., 1] > 0, 2, 16:] = 255
    optimizer, losses = torch.optim.AdamW(network.parameters(), 5e-3), []
    for number in range(60):
        loss = step(network, [images, tags], Moment(0, number, (0, 0, number)), spec)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.4 and losses[-1] < 0.1


def test_other_map_methods_can_use_it(tmp_path):
    views = Augment(resize=(32, 40), crop=32).model_dump()
    localized(tmp_path, Edam(**SMALL, augment=views))


CONFIG = {
    "datasets": {"d": {"kind": "digits"}},
    "classifiers": {"v": {"method": "vanilla"}, "e": {"method": "edam"}},
    "maps": {"cam": {"method": "cam"}, "lpcam": {"method": "lpcam"}},
    "objectness": {"objects": {"method": "c2am_h", "network": {"hints": "v/cam"}}},
    "masks": {"cut": {"method": "saliency_cut", "saliency": "objects", "background": "cut"}},
    "experiments": ["d / e / cam / cut", "d / v / lpcam / cut"],
}


def test_its_seeds_need_no_label_but_tags():
    own, of_lpcam = build_experiments(parse_config(CONFIG))
    for experiment in (own, of_lpcam):
        masks = experiment.artifacts["masks"]
        assert set(masks.upstream) == {"maps", "objectness"}
        assert masks.supervision == ("tags",)
    assert (
        own.artifacts["masks"].upstream["objectness"]
        == (of_lpcam.artifacts["masks"].upstream["objectness"])
    )


def test_heads_that_do_not_divide_are_told():
    config = CONFIG | {"classifiers": {"e": {"method": "edam", "width": 8, "heads": 3}}}
    with pytest.raises(ConfigError, match="heads: 3 is no divisor of width, 8; take one"):
        parse_config(config | {"experiments": ["d / e"], "objectness": {}, "masks": {}})
