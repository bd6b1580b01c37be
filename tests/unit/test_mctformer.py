"""MCTformer: class tokens, attention times patch maps, affinity; by hand and in plain loops."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed

from tags2masks.classifiers.mctformer import build, step
from tags2masks.classifiers.vanilla import tag_loss
from tags2masks.config.base import ConfigError
from tags2masks.config.hosts import MctFormer
from tags2masks.config.maps import Lpcam, MctFormerMaps
from tags2masks.config.project import parse_config
from tags2masks.config.training import Augment, Backbone
from tags2masks.errors import UserError
from tags2masks.maps import likeness as likeness_of
from tags2masks.maps import lpcam, mctformer
from tags2masks.maps.batch import plain_batch
from tags2masks.nets.backbones import create_backbone, load_initial_weights
from tags2masks.nets.class_tokens import attention_shown, repeat_class_token
from tags2masks.nets.resize import resized
from tags2masks.prototypes.kmeans import class_scores
from tags2masks.prototypes.store import ClassPrototypes
from tags2masks.training import Moment
from tags2masks.workflow.building import build_experiments
from tests.unit.learning import localized, resumed

SIZED = {"depth": 4, "embed_dim": 12, "num_heads": 2}
VIT = Backbone(name="vit_tiny_patch16_224", args={**SIZED, "img_size": 48})
FAMILIES = [
    "vit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "deit3_small_patch16_224",
    "vit_small_patch14_dinov2",
    "vit_small_patch14_reg4_dinov2",
    "vit_small_patch16_dinov3",
    "eva02_tiny_patch14_224",
    "vit_base_patch32_clip_224",
]


def of_chance(backbone=VIT, classes=3, **changes):
    """A network in evaluation mode whose class tokens, positions and norms are random."""
    torch.manual_seed(0)
    network = build(MctFormer(backbone=backbone, **changes), classes).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.normal_(std=0.3)
    return network


# -- by hand ---------------------------------------------------------------------------------------


def test_fusion_and_refinement_by_hand():
    # Two classes, 2 × 2 patches. Attention of the class tokens and patch maps, as given:
    attended = torch.tensor([[[[0.1, 0.2], [0.3, 0.4]], [[0.5, 0.0], [0.25, 0.25]]]])
    patches = torch.tensor([[[[10.0, 0], [2, 1]], [[4, 8], [0, 2]]]])
    product = torch.tensor([[[[1.0, 0], [0.6, 0.4]], [[2, 0], [0, 0.5]]]])
    torch.testing.assert_close(mctformer.fused(attended, patches), product)
    # Patches that attend to themselves alone, in two blocks: twice the map, the same in 0 to 1.
    torch.testing.assert_close(mctformer.refined(product, 2 * torch.eye(4)[None]), 2 * product)
    # The first patch takes half of itself and half of the third; the last is taken by none but
    # itself; rows are who takes: [1, .6] → .8, [2, 0] → 1.
    between = torch.eye(4)[None].clone()
    between[0, 0] = torch.tensor([0.5, 0, 0.5, 0])
    expected = torch.tensor([[[[0.8, 0], [0.6, 0.4]], [[1, 0], [0, 0.5]]]])
    torch.testing.assert_close(mctformer.refined(product, between), expected)


def test_a_class_logit_is_the_mean_of_its_token_and_a_patch_logit_that_of_its_map():
    network = of_chance()
    tokens = torch.arange(2 * 3 * 12).view(2, 3, 12).float()
    features = torch.rand(2, 12, 3, 4)
    network.backbone.forward_tokens = lambda images: (tokens, features)
    of_tokens, of_patches = network.token_logits(torch.rand(2, 3, 48, 64))
    # Token c of image b has 12·(3b + c) + 0, 1, …, 11: the mean is 12·(3b + c) + 5.5.
    assert of_tokens.tolist() == [[5.5, 17.5, 29.5], [41.5, 53.5, 65.5]]
    scores = F.conv2d(features, network.head.weight, network.head.bias, padding=1)
    torch.testing.assert_close(of_patches, scores.mean((2, 3)))
    assert torch.equal(network(torch.rand(2, 3, 48, 64)), of_tokens)


def test_the_loss_is_the_sum_of_both():
    network, spec = of_chance(), MctFormer(backbone=VIT, label_smoothing=0.1)
    images, tags = torch.randint(256, (2, 3, 48, 48)), torch.tensor([[1.0, 0, 1], [0, 0, 0]])
    figures = step(network, [images, tags], Moment(0, 0, (0, 0, 0)), spec)
    of_tokens, of_patches = network.token_logits(images / 255)
    torch.testing.assert_close(figures["token_loss"], tag_loss(of_tokens, tags, 0.1))
    torch.testing.assert_close(figures["patch_loss"], tag_loss(of_patches, tags, 0.1))
    torch.testing.assert_close(figures["loss"], figures["token_loss"] + figures["patch_loss"])


def test_a_prototype_is_judged_by_all_taps_of_the_head():
    network = of_chance()
    vectors = np.random.default_rng(0).random((4, 12), np.float32)
    inside = network.score_maps(torch.from_numpy(vectors)[..., None, None].expand(-1, -1, 3, 3))
    torch.testing.assert_close(network.vector_scores(torch.from_numpy(vectors)), inside[..., 1, 1])
    shares = inside[..., 1, 1].double().softmax(1)
    found = class_scores(network, vectors, 2)
    np.testing.assert_allclose(found, shares[:, 2].numpy(), atol=1e-5)


# -- class tokens and weights ----------------------------------------------------------------------


def test_pretrained_class_tokens_are_copies_with_their_position(tmp_path):
    torch.manual_seed(1)
    plain = create_backbone(VIT)
    file = str(tmp_path / "vit.safetensors")
    save_file(plain.state_dict(), file)
    larger = VIT.model_copy(update={"weights": file, "args": {**SIZED, "img_size": 64}})
    network = build(MctFormer(backbone=larger), 3).backbone
    load_initial_weights(network, larger)
    assert network.cls_token.shape == (1, 3, 12) and network.num_prefix_tokens == 3
    for number in range(3):
        assert torch.equal(network.cls_token[:, number], plain.cls_token[:, 0])
        assert torch.equal(network.pos_embed[:, number], plain.pos_embed[:, 0])
    # Nine positions become sixteen, as timm resizes them.
    sixteen = resample_abs_pos_embed(plain.pos_embed, new_size=(4, 4), num_prefix_tokens=1)
    assert network.pos_embed.shape == (1, 3 + 16, 12)
    torch.testing.assert_close(network.pos_embed[:, 3:], sixteen[:, 1:])
    others = {"cls_token", "pos_embed"}
    for name, tensor in plain.state_dict().items():
        assert name in others or torch.equal(network.state_dict()[name], tensor), name


def test_weights_of_another_network_are_refused_as_for_any_backbone(tmp_path):
    file = str(tmp_path / "wide.safetensors")
    save_file(create_backbone(Backbone(name="test_vit")).state_dict(), file)
    named = VIT.model_copy(update={"weights": file})
    with pytest.raises(UserError, match=r"wide\.safetensors.* for another network"):
        load_initial_weights(build(MctFormer(backbone=named), 3).backbone, named)


def test_one_class_is_the_plain_network():
    torch.manual_seed(0)
    plain, other = create_backbone(VIT).eval(), create_backbone(VIT).eval()
    other.load_state_dict(plain.state_dict())
    repeat_class_token(other, 1, "vit")
    images = torch.rand(1, 3, 48, 80)
    assert torch.equal(plain.forward_features(images), other.forward_features(images))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_of_plain_vision_transformers(name):
    patch = Backbone(name=name).patch
    backbone = Backbone(name=name, args={**SIZED, "embed_dim": 24, "img_size": 4 * patch})
    network = of_chance(backbone)
    images = torch.rand(2, 3, 3 * patch, 4 * patch)
    tokens, features = network.backbone.forward_tokens(images)
    extra = {"deit_tiny_distilled_patch16_224": 1, "vit_small_patch14_reg4_dinov2": 4}
    extra["vit_small_patch16_dinov3"] = 4
    assert tokens.shape == (2, 3 + extra.get(name, 0), 24) and features.shape == (2, 24, 3, 4)
    again, attended, between = mctformer.seen(network, images, 3)
    torch.testing.assert_close(again, network.features(images), atol=1e-4, rtol=1e-4)
    assert attended.shape == (2, 3, 3, 4) and between.shape == (2, 12, 12)
    assert (attended > 0).all() and (attended.sum((2, 3)) < 3).all()
    assert not torch.equal(*network.token_logits(images)[0].chunk(2))
    spec = MctFormerMaps(stride=patch)
    maps = mctformer.localize(network, plain_batch(images, 3), spec)
    assert maps.shape == (2, 3, 3, 4) and maps.amax((2, 3)).min() > 0.99


def test_a_network_without_a_class_token_is_refused():
    backbone = Backbone(name="vit_base_patch16_siglip_224", args=SIZED)
    with pytest.raises(UserError, match="siglip_224 has no class token, which the method repeats"):
        build(MctFormer(backbone=backbone), 3)


def test_without_the_final_norm_tokens_are_those_of_the_last_block():
    images = torch.rand(2, 3, 48, 48)
    torch.manual_seed(0)
    with_norm = build(MctFormer(backbone=VIT), 3).eval()
    without = build(MctFormer(backbone=VIT, final_norm=False), 3).eval()
    state = with_norm.state_dict()
    unexpected = without.load_state_dict(state, strict=False).unexpected_keys
    assert unexpected == ["backbone.norm.weight", "backbone.norm.bias"]
    with torch.no_grad():
        tokens, features = without.backbone.forward_tokens(without.normalize(images))
        normed, maps = with_norm.backbone.forward_tokens(with_norm.normalize(images))
        torch.testing.assert_close(with_norm.backbone.norm(tokens), normed)
        patches = with_norm.backbone.norm(features.permute(0, 2, 3, 1))
        torch.testing.assert_close(patches.permute(0, 3, 1, 2), maps)
        # A norm that has not learned has zero mean, whatever the token says.
        assert with_norm(images).abs().max() < 1e-6 < without(images).abs().max()


# -- maps ------------------------------------------------------------------------------------------


def forward_in_plain_steps(network, view):
    """Tokens [T, C] and attention of each block and head [L, heads, T, T] of one image, by hand."""
    vit = network.backbone
    x = vit.patch_embed(network.normalize(view[None]))
    x = vit._pos_embed(x)
    matrices = []
    for block in vit.blocks:
        attention, heads = block.attn, block.attn.num_heads
        length, channels = x.shape[1:]
        q, k, v = attention.qkv(block.norm1(x))[0].view(length, 3, heads, -1).permute(1, 2, 0, 3)
        weights = torch.zeros(heads, length, length)
        for head in range(heads):
            for one in range(length):
                scores = (k[head] @ q[head, one]) / (channels / heads) ** 0.5
                weights[head, one] = scores.exp() / scores.exp().sum()
        taken = torch.cat([weights[head] @ v[head] for head in range(heads)], 1)
        x = x + attention.proj(taken)[None]
        x = x + block.mlp(block.norm2(x))
        matrices.append(weights)
    return vit.norm(x)[0], torch.stack(matrices)


def map_in_loops(network, image, class_, spec, size):
    """The map of a class of one image, at one scale, patch by patch."""
    total = 0
    for mirrored in (False, True):
        view = image.flip(-1) if mirrored else image
        tokens, attention = forward_in_plain_steps(network, view)
        height, width = (side // 16 for side in image.shape[-2:])
        features = tokens[3:].T.view(1, -1, height, width)
        patches = F.conv2d(features, network.head.weight, network.head.bias, padding=1)
        patches = patches[0, class_].flatten()
        own = torch.zeros(height * width)
        for patch in range(height * width):
            attended = 0
            for layer in range(len(attention) - spec.layers, len(attention)):
                attended += attention[layer, :, class_, 3 + patch].mean()
            positive = max(0, patches[patch])
            parts = {"fused": attended * positive, "patch": positive, "attention": attended}
            own[patch] = parts[spec.kind]
        if spec.refine:
            taken = torch.zeros(height * width)
            for one in range(height * width):
                for other in range(height * width):
                    weight = attention[:, :, 3 + one, 3 + other].mean(1).sum()
                    taken[one] += weight * own[other]
            own = taken
        own = own.view(height, width).flip(-1) if mirrored else own.view(height, width)
        total = total + resized(own[None, None], size)[0, 0]
    return (total - total.min()) / (total.max() - total.min() + 1e-8)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kind": "attention"},
        {"kind": "patch"},
        {"refine": False},
        {"kind": "attention", "refine": False, "layers": 1},
        {"layers": 4},
    ],
    ids=str,
)
def test_maps_are_those_of_loops(options):
    network, spec = of_chance(), MctFormerMaps(stride=8, **options)
    images = torch.rand(2, 3, 32, 48)
    found = mctformer.localize(network, plain_batch(images, 3), spec)
    for row, image in enumerate(images):
        for class_ in range(3):
            expected = map_in_loops(network, image, class_, spec, (4, 6))
            torch.testing.assert_close(found[row, class_], expected, atol=1e-4, rtol=1e-4)
    assert (found[:, 0] - found[:, 1]).abs().max() > 0.01  # not one map for all


def test_attention_is_shown_within_the_context_alone():
    network, shown = of_chance(), []
    with attention_shown(network.backbone, lambda number, part: shown.append((number, part))):
        network(torch.rand(1, 3, 32, 48))
    assert [number for number, _ in shown] == [0, 1, 2, 3]
    for _, attention in shown:
        assert attention.shape == (1, 2, 9, 9)  # three class tokens and six patches
        torch.testing.assert_close(attention.sum(3), torch.ones(1, 2, 9))
    network(torch.rand(1, 3, 32, 48))
    assert len(shown) == 4
    assert all(block.attn.fused_attn for block in network.backbone.blocks)


def test_lpcam_is_in_the_place_of_patchcam():
    network, images = of_chance(), torch.rand(2, 3, 32, 48)
    vectors = np.random.default_rng(0).standard_normal((2, 12)).astype(np.float32)
    vectors[0] = network.features(images).mean((0, 2, 3))  # so that no map is negative all over
    chosen = np.array([True, True])
    context = np.array([False, True])
    one = ClassPrototypes(vectors, context, np.ones(2), chosen, np.ones(2, int), [[], []])
    batch, prototypes = plain_batch(images, 3), [one] * 3
    options = {"scales": (1,), "flip": False, "stride": 16}
    alone = MctFormerMaps(**options, kind="patch", refine=False, patch_map="lpcam")
    found = mctformer.localize(network, batch, alone, prototypes=prototypes)
    likeness = lpcam.localize(network, batch, Lpcam(**options), prototypes=prototypes)
    likeness = likeness - likeness.amin((2, 3), keepdim=True)
    expected = likeness / likeness.amax((2, 3), keepdim=True)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    # Attention and refinement stay.
    whole = MctFormerMaps(**options, patch_map="lpcam")
    found = mctformer.localize(network, batch, whole, prototypes=prototypes)
    features, attended, between = mctformer.seen(network, images, 3)
    folded = likeness_of.fold(prototypes, context=True)
    product = attended * likeness_of.likeness(features, folded).relu()
    product = (between @ product.flatten(2).transpose(1, 2)).transpose(1, 2).view_as(product)
    product = product - product.amin((2, 3), keepdim=True)
    expected = product / product.amax((2, 3), keepdim=True)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_more_layers_than_blocks_are_told():
    batch = plain_batch(torch.rand(1, 3, 32, 32), 3)
    with pytest.raises(UserError, match="layers is 5, but the classifier's backbone has 4 blocks"):
        mctformer.localize(of_chance(), batch, MctFormerMaps(layers=5))


# -- training and config ---------------------------------------------------------------------------


def test_its_tokens_learn_what_an_image_shows():
    torch.manual_seed(0)
    wider = VIT.model_copy(update={"args": VIT.args | {"embed_dim": 24}})
    spec = MctFormer(backbone=wider, final_norm=False)
    network = build(spec, 2).train()
    images = torch.zeros(4, 3, 48, 48, dtype=torch.uint8)
    tags = torch.tensor([[1.0, 0], [0, 1], [1, 1], [0, 0]])
    images[tags[:, 0] > 0, 0, :16] = 255  # the first class is red above, the second blue below
    images[tags[:, 1] > 0, 2, 32:] = 255
    optimizer, rows = torch.optim.AdamW(network.parameters(), 4e-3), []
    for number in range(120):
        optimizer.param_groups[0]["lr"] = 4e-3 * (1 - number / 120)
        figures = step(network, [images, tags], Moment(0, number, (0, 0, number)), spec)
        optimizer.zero_grad()
        figures["loss"].backward()
        optimizer.step()
        rows.append({name: value.item() for name, value in figures.items()})
    # Of five seeds the worst ended at 0.2, with a patch loss below 0.001.
    assert rows[0]["token_loss"] > 0.6 and rows[-1]["token_loss"] < 0.3
    assert rows[0]["patch_loss"] > 0.6 and rows[-1]["patch_loss"] < 0.01


def test_it_learns_resumes_and_other_map_methods_can_use_it(tmp_path):
    spec = MctFormer(
        backbone=VIT,
        epochs=3,
        batch_size=2,
        augment=Augment(resize=(32, 40), crop=32).model_dump(),
    )
    rows = resumed(tmp_path, spec)
    assert len(rows) == 3 and rows[0]["loss"] > 0
    localized(tmp_path, spec)


CONFIG = {
    "datasets": {"d": {"kind": "digits"}},
    "classifiers": {"v": {"method": "vanilla"}, "m": {"method": "mctformer"}},
    "maps": {
        "own": {"method": "mctformer"},
        "lpcam": {"method": "mctformer", "patch_map": "lpcam"},
    },
    "masks": {"t": {"method": "threshold"}},
    "experiments": ["d / m / {own,lpcam} / t"],
}


def test_what_it_follows_and_what_is_made_for_it():
    own, of_prototypes = build_experiments(parse_config(CONFIG))
    assert set(own.artifacts["maps"].upstream) == {"classifier"}
    assert set(of_prototypes.artifacts["maps"].upstream) == {"classifier", "prototypes"}
    with pytest.raises(ConfigError, match="mctformer needs a classifier with class tokens"):
        build_experiments(parse_config(CONFIG | {"experiments": ["d / v / own"]}))


def test_a_network_with_one_class_token_does_not_start_from_it():
    vit = {"name": "test_vit", "args": {"drop_path_rate": 0.1}}
    config = CONFIG | {
        "classifiers": {"m": {"method": "mctformer", "backbone": vit}},
        "segmenters": {"s": {"method": "dpt", "backbone": vit, "init_from_classifier": True}},
        "experiments": ["d / m / own / t / s"],
    }
    told = (
        r"segmenters\.s\.init_from_classifier: the classifier's test_vit has a class token for each"
        r" class \(mctformer\), and this network one; start from another classifier, or set"
    )
    with pytest.raises(ConfigError, match=told):
        build_experiments(parse_config(config))


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"backbone": {"name": "resnet50"}}, "resnet50 is no plain vision transformer, which the"),
        (
            {"backbone": {"name": "vit_small_patch14_dinov2"}, "augment": {"crop": 200}},
            r"augment\.crop: 200 is no multiple of the 14 × 14 patches .* take 196 or 210",
        ),
    ],
)
def test_mistakes_are_told_when_the_config_is_read(entry, told):
    config = CONFIG | {"classifiers": {"m": {"method": "mctformer", **entry}}}
    with pytest.raises(ConfigError, match=told) as error:
        parse_config(config)
    assert "\n" not in str(error.value).strip()
