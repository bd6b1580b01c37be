"""Vision transformers as backbones: maps over the image, tokens and positions as timm has them."""

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed
from torch import nn

from tags2masks.config.base import ConfigError
from tags2masks.config.classifiers import Puzzle, Vanilla
from tags2masks.config.maps import Cam
from tags2masks.config.project import parse_config
from tags2masks.config.saliency_networks import Refined
from tags2masks.config.segmenters import Cct, DeepLabV3Plus, Dpt, Mixed, UPerNet
from tags2masks.config.training import Backbone
from tags2masks.config.vision_transformers import near_multiples, patch_of
from tags2masks.errors import UserError
from tags2masks.maps.batch import plain_batch
from tags2masks.maps.cam import localize
from tags2masks.maps.scales import multi_scale
from tags2masks.nets.backbones import create_backbone, feature_shape, load_initial_weights
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.resize import resized

PLAIN = [name for m in ("vision_transformer", "deit", "eva") for name in timm.list_models(module=m)]
FAMILIES = [
    "test_vit3",
    "vit_tiny_patch16_224.augreg_in21k",
    "deit_tiny_distilled_patch16_224",
    "deit3_small_patch16_224",
    "vit_small_patch14_dinov2.lvd142m",
    "vit_small_patch14_reg4_dinov2",
    "vit_small_patch16_dinov3",
    "eva02_tiny_patch14_224",
    "vit_base_patch32_clip_224",
    "vit_base_patch16_siglip_224",
]
PLAIN_COLOURS = {"mean": (0, 0, 0), "std": (1, 1, 1)}
TINY14 = {
    "name": "vit_small_patch14_dinov2",
    "args": {"img_size": 56, "depth": 4, "embed_dim": 12, "num_heads": 2},
}


def test_names_tell_the_plain_vision_transformers_of_timm():
    assert {name for name in timm.list_models() if patch_of(name)} == set(PLAIN)
    assert patch_of("vit_huge_patch14_clip_378.dfn5b") == 14
    assert patch_of("flexivit_small.1200ep_in1k") == patch_of("test_vit2.r160_in1k") == 16
    assert patch_of("convnet") is patch_of("test_vit_relpos") is patch_of("resnet50") is None
    assert Backbone(name="vit_tiny_patch16_224", args={"patch_size": 8}).patch == 8
    assert [near_multiples(size, 14) for size in (512, 14, 10)] == [[504, 518], [14, 28], [14]]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_gives_maps(name):
    backbone = Backbone(name=name)
    with torch.device("meta"), torch.no_grad():
        network = create_backbone(backbone).eval()
        assert network.patch_embed.patch_size == (backbone.patch, backbone.patch)
        features = network.forward_features(torch.zeros(2, 3, 61, 90))
        cells = {14: (4, 6), 16: (4, 6), 32: (2, 3)}[backbone.patch]
        assert features.shape == (2, network.num_features, *cells)
        assert [
            stage.shape for stage in network.forward_intermediates(torch.zeros(2, 3, 61, 90))[1]
        ]
    assert isinstance(network.norm, nn.Module) and not isinstance(network.norm, nn.Identity)


@pytest.mark.parametrize("size", [(48, 64), (37, 53), (1, 40), (500, 333)])
def test_a_map_is_the_head_on_the_patches_tokens(size):
    torch.manual_seed(0)
    network = Classifier(Backbone(name="test_vit", **PLAIN_COLOURS), 3).eval()
    plain = timm.create_model("test_vit", num_classes=0).eval()
    plain.load_state_dict(network.backbone.state_dict())
    image = torch.rand(1, 3, *size)
    height, width = {37: (2, 3), 48: (3, 4), 1: (1, 3), 500: (31, 21)}[size[0]]
    with torch.no_grad():
        tokens = plain.forward_features(resized(image, (16 * height, 16 * width)))
        expected = torch.zeros(1, 3, height, width)
        for row in range(height):
            for column in range(width):
                token = tokens[0, 1 + row * width + column]  # after the class token
                expected[0, :, row, column] = network.head.weight[:, :, 0, 0] @ token
        maps = network.score_maps(network.features(image))
        torch.testing.assert_close(maps, expected)
        torch.testing.assert_close(network(image), expected.mean((2, 3)))
        spec = Cam(scales=(1.0,), flip=False)
        cam = localize(network, plain_batch(image, 3), spec)
        quarter = resized(expected.relu(), [-(-side // 4) for side in size])
        torch.testing.assert_close(cam, quarter / (quarter.amax((2, 3), keepdim=True) + 1e-5))


def seeing_patches(backbone: dict) -> Classifier:
    """A classifier of one class whose map is the mean red of each patch, without attention."""
    network = Classifier(Backbone(**backbone, **PLAIN_COLOURS), 1).eval()
    vit = network.backbone
    vit.blocks, vit.norm = nn.Sequential(), nn.Identity()
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        vit.patch_embed.proj.weight[0, 0] = 1 / vit.side**2
        network.head.weight[0, 0] = 1
    return network


@pytest.mark.parametrize("backbone", [{"name": "test_vit"}, TINY14], ids=["16", "14"])
@pytest.mark.parametrize("size", [(48, 64), (56, 42), (37, 53), (75, 100), (129, 71)])
def test_a_cell_shows_the_pixels_that_it_covers(backbone, size):
    network = seeing_patches(backbone)
    side = network.backbone.side
    height, width = (max(1, round(length / side)) for length in size)
    rows = torch.arange(size[0])[:, None].expand(size)
    columns = torch.arange(size[1]).expand(size)
    with torch.no_grad():
        for y, x in [(0, 0), (5, 20), (20, 30), (36, 41), (size[0] - 1, size[1] - 1)]:
            image = torch.zeros(1, 3, *size)
            image[0, 0, y, x] = 1
            seen = network.score_maps(network.features(image))[0, 0]
            assert seen.shape == (height, width)
            cell = divmod(int(seen.argmax()), width)
            assert cell == (int((y + 0.5) * height / size[0]), int((x + 0.5) * width / size[1]))
            if size == (size[0] // side * side, size[1] // side * side):
                assert (seen > 0).sum() == 1  # a multiple of the patch is not resized
        # In an image of its own coordinates a cell shows where its middle is.
        for axis, (coordinates, cells) in enumerate(((rows, height), (columns, width))):
            image = (coordinates + 0.5).expand(1, 3, *size).float()
            seen = network.score_maps(network.features(image))[0, 0]
            middles = (torch.arange(cells) + 0.5) * size[axis] / cells
            expected = middles[:, None].expand(height, width) if axis == 0 else middles
            torch.testing.assert_close(seen, expected.expand(height, width), atol=0.1, rtol=0)


@pytest.mark.parametrize("backbone", [{"name": "test_vit"}, TINY14], ids=["16", "14"])
@pytest.mark.parametrize("size", [(75, 100), (129, 71)])
def test_stored_maps_of_all_scales_lie_over_the_image(backbone, size):
    network = seeing_patches(backbone)
    image = (torch.arange(size[1]) + 0.5).expand(1, 3, *size).float()
    with torch.no_grad():
        maps = multi_scale(
            lambda scaled: network.score_maps(network.features(scaled)),
            image,
            scales=(1.0, 0.5, 1.5, 2.0),
            flip=True,
            stride=4,
        )
    across = maps[0, 0].mean(0) / 8  # the mean over four scales and two mirror images
    middles = (torch.arange(len(across)) + 0.5) * size[1] / len(across)
    inside = (middles > network.backbone.side) & (middles < size[1] - network.backbone.side)
    assert inside.sum() > 3
    torch.testing.assert_close(across[inside], middles[inside], atol=0.6, rtol=0)


@pytest.mark.parametrize("size", [(160, 160), (48, 64), (96, 32)])
def test_positions_are_interpolated_as_timm_does(size):
    torch.manual_seed(0)
    network = create_backbone(Backbone(name="test_vit")).eval()
    fixed = timm.create_model("test_vit", num_classes=0, dynamic_img_size=False, img_size=size)
    state = network.state_dict()
    grid = [side // 16 for side in size]
    state["pos_embed"] = resample_abs_pos_embed(state["pos_embed"], grid, num_prefix_tokens=1)
    fixed.load_state_dict(state)
    images = torch.rand(2, 3, *size)
    with torch.no_grad():
        tokens = fixed.eval().forward_features(images)[:, 1:]
        maps = network.forward_features(images)
    torch.testing.assert_close(maps.flatten(2).transpose(1, 2), tokens)


@pytest.mark.parametrize(
    ("name", "blocks"), [("test_vit", (0, 2, 3, 5)), ("test_vit2", (1, 3, 5, 7))]
)
def test_stages_are_four_blocks_under_the_last_norm(name, blocks):
    torch.manual_seed(0)
    network = create_backbone(Backbone(name=name)).eval()
    assert [stage["num_chs"] for stage in network.feature_info] == [64] * 4
    assert [stage["reduction"] for stage in network.feature_info] == [16] * 4
    outputs, images = [], torch.rand(1, 3, 37, 53)
    for block in network.blocks:
        block.register_forward_hook(lambda _, __, tokens: outputs.append(tokens))
    with torch.no_grad():
        last, stages = network.forward_intermediates(images)
        assert torch.equal(last, network.forward_features(images))
        assert torch.equal(last, stages[-1])
        for stage, block in zip(stages, blocks, strict=True):
            tokens = network.norm(outputs[block])[:, 1:]
            assert torch.equal(stage, tokens.transpose(1, 2).reshape(1, 64, 2, 3))
        (only,) = network.forward_intermediates(images, 1, intermediates_only=True)
        assert torch.equal(only, last)
    with pytest.raises(ValueError, match="there are 4 stages, not 5"):
        network.forward_intermediates(images, 5)


def loaded(path, **backbone) -> nn.Module:
    block = Backbone(**{"name": "test_vit2", "weights": str(path)} | backbone)
    network = create_backbone(block)
    load_initial_weights(network, block)
    return network


def saved(path, state, prefix=""):
    save_file({prefix + name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


def test_weights_that_pool_before_the_norm(tmp_path):
    torch.manual_seed(0)
    pooled = timm.create_model("test_vit2").eval()  # the mean of tokens, then a norm
    nn.init.uniform_(pooled.fc_norm.weight)
    state = pooled.state_dict()
    assert "norm.weight" not in state
    for prefix in ("", "teacher."):
        path = saved(tmp_path / "a.safetensors", state, prefix)
        network = loaded(path, weights_prefix=prefix).eval()
        image = torch.rand(1, 3, 32, 48)
        with torch.no_grad():
            tokens = pooled.fc_norm(pooled.forward_features(image))[:, 1:]
            found = network.forward_features(image)
        torch.testing.assert_close(found.flatten(2).transpose(1, 2), tokens)


def test_weights_of_another_image_size_and_of_the_authors_names(tmp_path):
    torch.manual_seed(0)
    state = timm.create_model("test_vit", num_classes=0).state_dict()
    path = saved(tmp_path / "a.safetensors", state)
    network = loaded(path, name="test_vit", args={"img_size": 64})
    wanted = resample_abs_pos_embed(state["pos_embed"], (4, 4), num_prefix_tokens=1)
    torch.testing.assert_close(network.pos_embed.data, wanted)
    # As in the files of DINOv2 and of DeiT III.
    vit = {"name": "vit_small_patch14_dinov2", "args": TINY14["args"]}
    state = timm.create_model(vit["name"], num_classes=0, **vit["args"]).state_dict()
    network = loaded(saved(path, state | {"mask_token": torch.zeros(1, 12)}), **vit)
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    deit = {"name": "deit3_small_patch16_224", "args": TINY14["args"]}
    state = timm.create_model(deit["name"], num_classes=0, **deit["args"]).state_dict()
    theirs = {name.replace("ls1.gamma", "gamma_1"): tensor for name, tensor in state.items()}
    theirs = {name.replace("ls2.gamma", "gamma_2"): tensor for name, tensor in theirs.items()}
    assert theirs.keys() != state.keys()
    network = loaded(saved(path, theirs), **deit)
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


def test_weights_of_another_network_are_told(tmp_path):
    state = timm.create_model("test_vit", num_classes=0).state_dict()
    path = saved(tmp_path / "a.safetensors", state)
    with pytest.raises(UserError, match=r"a\.safetensors: .* weights are for another network"):
        loaded(path, name="vit_tiny_patch16_224")
    broken = {"visual.class_embedding": torch.zeros(3)}  # CLIP's, without the rest
    with pytest.raises(UserError, match=r"b\.safetensors: .*for another network"):
        loaded(saved(tmp_path / "b.safetensors", broken))


def test_weights_of_the_hub_want_their_colours(monkeypatch):
    name, create = "vit_base_patch16_siglip_224.webli", timm.create_model
    small = {"args": {"depth": 4, "embed_dim": 12, "num_heads": 2}}
    block = Backbone(name=name, weights="pretrained", **small)
    network = create_backbone(block)
    message = r"backbone\.mean: \[0\.485, .* set backbone\.mean: \[0\.5, 0\.5, 0\.5\]"
    with pytest.raises(UserError, match=message):
        load_initial_weights(network, block)
    torch.manual_seed(1)
    hub = create(name, **small["args"])
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained, **args: hub)
    load_initial_weights(network, block.model_copy(update={"mean": (0.5,) * 3, "std": (0.5,) * 3}))
    state = hub.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


def test_arguments_that_cannot_be_are_told():
    with pytest.raises(UserError, match=r"backbone\.args: test_vit does not take \{'size': 3\}"):
        create_backbone(Backbone(name="test_vit", args={"size": 3}))
    with pytest.raises(UserError, match="patch_drop_rate leaves holes in maps"):
        create_backbone(Backbone(name="test_vit", args={"patch_drop_rate": 0.5}))
    with pytest.raises(UserError, match="depth 3 is too small; 4 blocks are needed"):
        create_backbone(Backbone(name="test_vit", args={"depth": 3}))
    with pytest.raises(UserError, match="timm has no 'vit_tinny_patch16_224'; did you mean"):
        create_backbone(Backbone(name="vit_tinny_patch16_224"))
    message = "timm has no weights 'x' of test_vit2; it has test_vit2.r160_in1k"
    with pytest.raises(UserError, match=message):
        create_backbone(Backbone(name="test_vit2.x"))


def test_shape_and_key():
    network = create_backbone(Backbone(**TINY14))
    assert feature_shape(network, "x") == (12, 14)
    keys = [Backbone(name="test_vit", output_stride=stride).key() for stride in (8, 32)]
    assert keys[0] == keys[1] and "output_stride" not in keys[0]
    assert Backbone().key()["output_stride"] == 16


VIT16, VIT14 = {"name": "test_vit"}, {"name": "vit_small_patch14_dinov2"}


@pytest.mark.parametrize(
    ("block", "values", "message"),
    [
        (Vanilla, {"backbone": VIT14}, "augment.crop: 512 is no multiple .* take 504 or 518"),
        (Vanilla, {"backbone": VIT16, "augment": {"crop": 8}}, "test_vit; take 16 "),
        (Puzzle, {"backbone": VIT16, "augment": {"crop": 48}}, "a multiple of 32, such as 32"),
        (DeepLabV3Plus, {"backbone": VIT16}, "features of one stride, and the method needs"),
        (Mixed, {"backbone": VIT16}, "features of one stride, and the method needs"),
        (UPerNet, {"backbone": VIT16}, "features of one stride, and the method needs"),
        (Refined, {"backbone": VIT16}, "features of one stride, and the method needs"),
        (Dpt, {"backbone": {"name": "resnet50"}}, "resnet50 is no plain vision transformer"),
        (Dpt, {"backbone": VIT14, "augment": {"crop": 518}}, "has patches of 14 pixels, which"),
        (Cct, {"backbone": VIT14, "augment": {"crop": 322}}, "has patches of 14 pixels, and"),
    ],
)
def test_what_a_vision_transformer_cannot_do_is_told_at_once(block, values, message):
    with pytest.raises(ValueError, match=message):
        block(**values)


def test_the_message_names_the_key():
    raw = {
        "datasets": {"d": {"kind": "digits"}},
        "classifiers": {"v": {"method": "vanilla", "backbone": VIT14}},
        "experiments": ["d/v"],
    }
    with pytest.raises(ConfigError) as told:
        parse_config(raw)
    (line,) = str(told.value).splitlines()
    assert line.startswith("classifiers.v")
    assert "augment.crop: 512 is no multiple of the 14 × 14 patches of vit_small_patch14" in line
