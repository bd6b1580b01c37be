"""CLIP-ES: softmax Grad-CAM, Sinkhorn's rounds and spreading by hand, and against the plain way."""

import copy
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tags2masks.classifiers import clip
from tags2masks.config.clip import Clip as Spec
from tags2masks.config.maps import ClipEs
from tags2masks.maps.batch import Batch
from tags2masks.maps.clip_es import (
    affinity,
    in_boxes,
    localize,
    log_odds,
    softmax_gradcam,
    spread,
)
from tests.unit.tiny import small

TOWERS = {
    "CLIP": {"name": "test_vit", "args": {"num_classes": 8}},
    "SigLIP": {"name": "test_vit", "args": {"num_classes": 0, "global_pool": "map"}},
    "EVA-CLIP": {
        "name": "eva02_base_patch16_clip_224",
        "args": {"depth": 4, "embed_dim": 24, "num_heads": 2, "num_classes": 6},
    },
}


class Linear:
    """Four patches of two channels and a prefix token; an embedding is the mean of the patches."""

    texts = torch.tensor([[1.0, 0], [0, 5], [0, 1]])  # a class, one without a tag, a background
    backbone = SimpleNamespace(num_prefix_tokens=1)

    @contextmanager
    def observed(self, layers):
        tokens = torch.tensor([[[9.0, 9], [1, 0], [2, 0], [0, 1], [3, 1]]], requires_grad=True)
        self.seen = SimpleNamespace(tokens=tokens, attention=[torch.eye(5)[None]] * layers)
        yield self.seen

    def features(self, images):
        return self.seen.tokens[:, 1:].transpose(1, 2).unflatten(2, (2, 2))

    def compared(self, features):
        return features.mean((2, 3)) @ self.texts.T


def test_softmax_gradcam_by_hand():
    # The mean is (1.5, 0.5), logits of what is asked for 1.5 and 0.5; the gradient of the first's
    # share p is p(1 − p)·(1, −1): it counts against a patch to look like the background.
    tagged = torch.tensor([[True, False]])
    maps, attention = softmax_gradcam(Linear(), torch.zeros(1, 3, 2, 2), tagged, 8)
    torch.testing.assert_close(maps[0, 0], torch.tensor([[0.5, 1], [0, 1]]))
    assert not maps[0, 1].any() and attention[0].equal(torch.eye(4))
    # With both tags the other class counts too, by its share: logits 1.5, 2.5 and 0.5, and the
    # gradient is p·((1, 0) − Σ q_j t_j). Without a ReLU's zero it would be 1, 2, −x, 3 − x.
    maps, _ = softmax_gradcam(Linear(), torch.zeros(1, 3, 2, 2), torch.tensor([[True, True]]), 8)
    shares = np.exp([1.5, 2.5, 0.5]) / np.exp([1.5, 2.5, 0.5]).sum()
    weights = np.array([1.0, 0]) - shares @ Linear.texts.numpy()
    found = np.maximum(np.array([[1, 0], [2, 0], [0, 1], [3, 1]]) @ weights, 0)
    np.testing.assert_allclose(maps[0, 0].flatten(), found / found.max(), atol=1e-6)


def test_log_odds_point_where_a_share_has_no_gradient_left():
    # Shares of 0.6, 0.3 and 0.1: log(0.6/0.4), and a share's gradient is p(1 − p) times as large.
    logits = torch.tensor([[0.6, 0.3, 0.1, 5]]).log().requires_grad_()
    asked = torch.tensor([[True, True, True, False]])
    odds = log_odds(logits, asked)
    torch.testing.assert_close(odds[0, :3], torch.tensor([1.5, 3 / 7, 1 / 9]).log())
    (gradient,) = torch.autograd.grad(odds[0, 0], logits)
    torch.testing.assert_close(gradient, torch.tensor([[1.0, -0.75, -0.25, 0]]))
    # A share of 1 to the last digit has none; its log-odds still have.
    sure = torch.tensor([[90.0, 0, 0]], requires_grad=True)
    everything = torch.ones(1, 3, dtype=torch.bool)
    assert not torch.autograd.grad(sure.softmax(1)[0, 0], sure)[0].gt(1e-30).any()
    (gradient,) = torch.autograd.grad(log_odds(sure, everything)[0, 0], sure)
    torch.testing.assert_close(gradient, torch.tensor([[1.0, -0.5, -0.5]]))
    # Alone a share is always 1.
    alone = log_odds(sure, torch.tensor([[True, False, False]]))
    assert alone[0, 0] == 0 and not torch.autograd.grad(alone[0, 0], sure)[0].any()


def test_a_round_of_sinkhorn_by_hand():
    attention = torch.tensor([[1.0, 3], [1, 1]])
    # Columns sum to 2 and 4: 1/2 3/4; 1/2 1/4. Rows then to 5/4 and 3/4: 2/5 3/5; 2/3 1/3.
    found = affinity(attention, 1)
    torch.testing.assert_close(found, torch.tensor([[2 / 5, 19 / 30], [19 / 30, 1 / 3]]))
    many = affinity(attention, 200)  # doubly stochastic: [[a, 1 − a], [1 − a, a]], a/(1 − a) = 3^-½
    share = 3**-0.5 / (1 + 3**-0.5)
    torch.testing.assert_close(many, torch.tensor([[share, 1 - share], [1 - share, share]]))


def test_boxes_by_hand():
    map_ = torch.tensor(
        [
            [0.0, 0.9, 0.0, 0.0, 0.0],
            [0.5, 0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.4, 1.0],
            [0.0, 0.0, 0.0, 0.0, 0.0],
        ]
    )
    # Two parts above 0.4: the first is connected over a corner and its box is 2 × 2.
    inside = in_boxes(map_, 0.4).int().tolist()
    assert inside == [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]
    assert in_boxes(map_ / 2, 0.39).sum() == 6  # of the maximum
    assert not in_boxes(torch.zeros(3, 3), 0).any()


def test_a_map_is_spread_by_hand():
    along = torch.tensor([[0.5, 0.5, 0], [0.5, 0.25, 0.25], [0, 0.25, 0.75]])
    map_ = torch.tensor([[[1.0, 0.2, 0.3]]])  # 0.3 is in no box
    # Once: 0.5, 0.5, 0. Twice: 0.5, 0.375, 0.125. From minimum to maximum: 1, 2/3, 0.
    found = spread(map_, along, ClipEs())
    torch.testing.assert_close(found, torch.tensor([[[1, 2 / 3, 0]]]))
    once = spread(map_, along, ClipEs(steps=1))
    torch.testing.assert_close(once, torch.tensor([[[1.0, 1, 0]]]))


def built(tower, seed=0):
    torch.manual_seed(seed)
    spec = small(Spec, backbone={**TOWERS[tower], "weights": None})
    network = clip.build(spec, 3).eval().requires_grad_(False)
    for name, weight in network.backbone.named_parameters():
        if "attn" in name or "patch_embed" in name:
            weight.mul_(15)  # random weights attend to everything alike
    return network


def plain(network, image, tags, spec):
    """Maps of an image's tags, [T, h, w], block by block, each class by itself; in float64, since a
    share that is nearly 0 or 1 has hardly a gradient.
    """
    network, image = copy.deepcopy(network).double(), image.double()
    tower = network.backbone
    images = tower._fitted(network.normalize(image[None]))
    size = [side // 16 for side in images.shape[-2:]]
    rope = None
    if hasattr(tower, "rope"):
        tokens, rope = tower._pos_embed(tower.patch_embed(images))
    else:
        tokens = tower.norm_pre(tower._pos_embed(tower.patch_embed(images)))
    known = {} if rope is None else {"rope": rope}
    weights = []
    for block in tower.blocks[:-1]:
        weights.append(attention_of(block.attn, block.norm1(tokens), rope))
        tokens = block(tokens, **known)
    last, prefix = tower.blocks[-1], tower.num_prefix_tokens
    seen = last.norm1(tokens).requires_grad_()
    weights.append(attention_of(last.attn, seen, rope).detach())
    after = tokens + scaled(last, 1, last.attn(seen, **known))
    after = tower.norm(after + scaled(last, 2, last.mlp(last.norm2(after))))[:, prefix:]
    if network.attention_pool is None:
        embedding = network.head(after.mean(1))[0]
    else:
        embedding = network.attention_pool(after)[0]
    texts = torch.cat([network.texts[tags], network.texts[3:]])
    shares = (100 * embedding / embedding.norm() @ texts.T).softmax(0)
    cell = torch.stack(weights[-spec.layers :]).mean(0)[prefix:, prefix:]
    for _ in range(3):
        cell = cell / cell.sum(0, keepdim=True)
        cell = cell / cell.sum(1, keepdim=True)
    power = torch.linalg.matrix_power((cell + cell.T) / 2, 2)
    maps = []
    for number in range(len(tags)):
        (gradient,) = torch.autograd.grad(shares[number], seen, retain_graph=True)
        cam = (seen.detach()[0, prefix:] @ gradient[0, prefix:].mean(0)).relu().unflatten(0, size)
        cam = (cam - cam.min()) / (cam - cam.min()).max().clamp_min(1e-38)
        limited = power * in_boxes(cam, 0.4).flatten()[None]
        cam = (limited @ cam.flatten()).unflatten(0, size)
        maps.append((cam - cam.min()) / (cam - cam.min()).max().clamp_min(1e-38))
    return torch.stack(maps)


def scaled(block, number, tokens):
    """By the block's layer scale, if it has one."""
    scale = getattr(block, f"ls{number}", None)
    return tokens if scale is None else scale(tokens)


def attention_of(attention, tokens, rope):
    """The mean attention of the heads, [N, N], computed from queries and keys."""
    from timm.layers import apply_rot_embed_cat

    if getattr(attention, "q_proj", None) is not None:
        queries, keys = attention.q_proj(tokens), attention.k_proj(tokens)
    else:
        bias = getattr(attention, "q_bias", None)
        mixed = attention.qkv(tokens)
        if bias is not None:
            mixed = mixed + torch.cat([bias, attention.k_bias, attention.v_bias])
        queries, keys, _ = mixed.chunk(3, -1)
    queries, keys = (
        part.unflatten(2, (attention.num_heads, -1)).transpose(1, 2) for part in (queries, keys)
    )
    if rope is not None:
        first = attention.num_prefix_tokens
        queries, keys = (
            torch.cat([part[:, :, :first], apply_rot_embed_cat(part[:, :, first:], rope)], 2)
            for part in (queries, keys)
        )
    scores = queries @ keys.transpose(2, 3) * attention.scale
    return scores.softmax(-1).mean(1)[0]


@pytest.mark.parametrize("tower", TOWERS)
def test_as_block_by_block(tower):
    # Weights that leave a share's gradient its digits.
    network = built(tower, {"CLIP": 2, "SigLIP": 3, "EVA-CLIP": 2}[tower])
    images = torch.rand(2, 3, 64, 80, generator=torch.Generator().manual_seed(2))
    tags = [[0, 2], [1]]
    tagged = torch.tensor([[True, False, True], [False, True, False]])
    spec = ClipEs(stride=16, layers=3)
    found = localize(network, Batch(images, tagged, [0, 1]), spec)
    assert found.shape == (2, 3, 4, 5)
    for image, own, maps in zip(images, tags, found, strict=True):
        expected = plain(network, image, own, spec).float()
        torch.testing.assert_close(maps[own], expected, atol=2e-4, rtol=1e-3)
        assert not maps[[c for c in range(3) if c not in own]].any()
    assert (found.amax((2, 3)) == 1).sum() >= 2  # most maps are not all zero


@pytest.mark.parametrize("tower", ["CLIP", "EVA-CLIP"])
def test_the_mean_of_the_score_map_is_the_logit(tower):
    network = built(tower)
    features = network.features(torch.rand(2, 3, 40, 50))
    logits = network.logits(features)
    torch.testing.assert_close(network.score_maps(features).mean((2, 3)), logits, atol=1e-4, rtol=0)
    assert logits.shape == (2, 3) and logits.abs().max() <= 100


def test_what_is_observed_is_left_as_it_was():
    network = built("CLIP")
    image = torch.rand(1, 3, 48, 48)
    before = network(image)
    with network.observed(2) as seen:
        network(image)
    assert [matrix.shape for matrix in seen.attention] == [(1, 10, 10)] * 2
    torch.testing.assert_close(seen.attention[0].sum(2), torch.ones(1, 10))
    assert all(block.attn.fused_attn for block in network.backbone.blocks)
    assert not network.backbone.blocks[-1].norm1._forward_hooks
    assert torch.equal(network(image), before)


def test_without_affinity_it_is_softmax_gradcam():
    network = built("CLIP")
    batch = Batch(torch.rand(1, 3, 48, 64), torch.tensor([[True, True, False]]), [0])
    found = localize(network, batch, ClipEs(affinity=False, stride=16))
    maps, _ = softmax_gradcam(network, batch.images, batch.tagged, 8)
    torch.testing.assert_close(found, maps)
