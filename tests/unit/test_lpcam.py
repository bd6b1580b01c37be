"""LPCAM: folded prototypes and maps against numbers by hand and plain loops."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from tags2masks.config.maps import Lpcam
from tags2masks.config.prototypes import Prototypes
from tags2masks.config.training import Backbone
from tags2masks.data.index import build_index, images_sha, read_index, rows_of, write_index
from tags2masks.maps.batch import plain_batch
from tags2masks.maps.likeness import fold, likeness
from tags2masks.maps.lpcam import localize
from tags2masks.nets.checkpoint import read_spec, save_model
from tags2masks.nets.classifier import Classifier
from tags2masks.prototypes.store import read_prototypes
from tags2masks.provenance import provenance, write_record
from tags2masks.store import Shard
from tags2masks.workflow.ids import artifact_id
from tests.unit.colours import Colours, made_of
from workflow_scripts import find_prototypes
from workflow_scripts import localize as localize_program


def random_prototypes(rng, channels, counts):
    return [made_of(rng.random((a, channels)), rng.random((b, channels))) for a, b in counts]


def looped(features, prototypes, context):
    """Eq. 5 and 6 as they stand: a cosine map for each prototype, and their means."""
    maps = []
    for one in prototypes:
        total = torch.zeros(len(features), *features.shape[2:], dtype=torch.float64)
        for is_context, sign in ((False, 1), (True, -1)):
            chosen = one.vectors[one.chosen & (one.context == is_context)]
            if is_context and not context:
                continue
            for vector in torch.from_numpy(chosen):
                cosine = F.cosine_similarity(
                    features.double(), vector.double().view(1, -1, 1, 1), dim=1
                )
                total += sign * cosine / len(chosen)
        maps.append(total)
    return torch.stack(maps, 1)


@pytest.mark.parametrize("context", [True, False])
def test_folded_prototypes_equal_the_loop_over_them(context):
    rng = np.random.default_rng(0)
    prototypes = random_prototypes(rng, 40, [(12, 12), (1, 5), (7, 0)])
    prototypes.append(made_of(rng.random((4, 40)), rng.random((3, 40)), [1, 0, 0, 1, 0, 1, 0]))
    features = torch.from_numpy(rng.random((2, 40, 5, 6), np.float32) * 100)
    found = likeness(features, fold(prototypes, context))
    expected = looped(features, prototypes, context)
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=0)
    assert (expected < 0).any() == context


def test_negative_scores_are_cut_off_in_each_scale_or_in_the_sum():
    # Red is the class, blue the context; a row of four pixels.
    prototypes = [made_of([[1, 0, 0]], [[0, 0, 1]])]
    mixed = torch.tensor([[1.0, 0, 0, 0], [0] * 4, [0, 1, 1, 1]]).view(1, 3, 1, 4)
    one = {"scales": (1, 0.25), "flip": False, "stride": 1}
    # At scale 1: 1, −1, −1, −1; at a quarter one pixel, the mean of the middle two: −1. The first
    # pixel is 1 where −1 is cut off before, and 0 where it is not.
    found = {
        relu: localize(
            Colours(), plain_batch(mixed, 1), Lpcam(**one, relu=relu), prototypes=prototypes
        )[0, 0, 0]
        for relu in ("scale", "sum")
    }
    torch.testing.assert_close(found["scale"], torch.tensor([1.0, 0, 0, 0]), atol=1e-4, rtol=0)
    assert found["sum"].tolist() == [0, 0, 0, 0]


def test_a_class_of_context_alone_has_a_zero_map():
    folded = fold([made_of([], [[0, 1]]), made_of([[1, 0]], [[0, 2]])], True)
    assert folded.tolist() == [[0, 0], [1, -1]]


def test_likeness_heeds_directions_alone_and_refuses_other_channels():
    folded = torch.tensor([[1.0, 0.0]])
    features = torch.tensor([[3.0, 0], [0, 0], [300, 400]]).T.view(1, 2, 1, 3)
    assert likeness(features, folded).flatten().tolist() == pytest.approx([1, 0, 0.6])
    with pytest.raises(ValueError, match="features of 3 channels, prototypes of 2"):
        likeness(torch.zeros(1, 3, 4, 4), folded)
    with pytest.raises(ValueError, match="features of 3 channels, prototypes of 2"):
        localize(
            Colours(), plain_batch(torch.rand(1, 3, 8, 8), 1), Lpcam(),
            prototypes=[made_of([[1, 0]], [])],
        )  # fmt: skip


def test_half_precision_is_kept_out_of_the_cosines():
    rng = np.random.default_rng(1)
    folded = fold(random_prototypes(rng, 64, [(12, 12)]), True)
    features = torch.from_numpy(rng.random((1, 64, 8, 8), np.float32))
    with torch.autocast("cpu", torch.bfloat16):
        found = likeness(features, folded)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, likeness(features, folded))


def test_lpcam_by_hand():
    # Pixels: red, half red, magenta, blue, black. To red less to blue: 1, 1, 0, −1, 0.
    image = torch.tensor([[1.0, 0.5, 0.5, 0, 0], [0] * 5, [0, 0, 0.5, 1, 0]]).view(1, 3, 1, 5)
    spec = Lpcam(scales=(1,), flip=False, stride=1)
    prototypes = [made_of([[4, 0, 0]], [[0, 0, 9]])]
    maps = localize(Colours(), plain_batch(image, 1), spec, prototypes=prototypes)
    expected = torch.tensor([1.0, 1, 0, 0, 0]).view(1, 1, 1, 5) / (1 + 1e-5)
    torch.testing.assert_close(maps, expected)
    # LPCAM-F: the cosine to red alone.
    spec = Lpcam(scales=(1,), flip=False, stride=1, context=False)
    maps = localize(Colours(), plain_batch(image, 1), spec, prototypes=prototypes)
    expected = torch.tensor([1, 1, 0.5**0.5, 0, 0]).view(1, 1, 1, 5) / (1 + 1e-5)
    torch.testing.assert_close(maps, expected)


class LeftHalf(Colours):
    """Sees the left half of what it is shown alone, so that flips matter."""

    def features(self, images):
        seen = images.clone()
        seen[..., images.shape[-1] // 2 :] = 0
        return seen


def test_flips_are_merged_as_maps_or_as_features():
    image = torch.tensor([[1.0, 3, 0, 0], [0, 4, 0, 0], [0, 0, 0, 2]]).view(1, 3, 1, 4)
    prototypes = [made_of([[1, 0, 0]], [])]
    maps = {
        flag: localize(
            LeftHalf(), plain_batch(image, 1), Lpcam(scales=(1,), stride=1, flip_features=flag),
            prototypes=prototypes,
        ).flatten()
        for flag in (False, True)
    }  # fmt: skip
    # Each pixel is seen by one of the two: cosines 1, 0.6, 0, 0 in both ways.
    torch.testing.assert_close(maps[False], torch.tensor([1, 0.6, 0, 0]) / (1 + 1e-5))
    torch.testing.assert_close(maps[True], maps[False])

    # Seen by both, the features differ: (1, 0, 0) straight and (0, 1, 0) mirrored.
    class Sided(Colours):
        def features(self, images):
            first = torch.zeros_like(images)
            for row, picture in zip(first, images, strict=True):
                row[0 if picture[0, 0, 0] > 0 else 1] = 1
            return first

    image = torch.tensor([1.0, 0]).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    both = [made_of([[1, 0, 0]], [[0, 0, 1]])]
    raw = {}
    for flag in (False, True):
        spec = Lpcam(scales=(1,), stride=1, flip_features=flag)
        raw[flag] = localize(Sided(), plain_batch(image, 1), spec, prototypes=both).max().item()
    # As maps: 1 + 0; as features: the cosine of (1, 1, 0) to red. The 1e-5 tells them apart.
    assert raw[False] == pytest.approx(1 / (1 + 1e-5), abs=1e-7)
    assert raw[True] == pytest.approx(0.5**0.5 / (0.5**0.5 + 1e-5), abs=1e-7)


def test_scales_and_flips_equal_one_view_at_a_time():
    torch.manual_seed(0)
    network = Classifier(Backbone(name="resnet10t", output_stride=8), 2).eval()
    network.requires_grad_(False)
    images = torch.rand(2, 3, 37, 50)
    prototypes = random_prototypes(np.random.default_rng(0), 512, [(3, 2), (2, 0)])
    spec = Lpcam()
    fast = localize(network, plain_batch(images, 2), spec, prototypes=prototypes)
    for image, found in zip(images, fast, strict=True):
        total = torch.zeros(2, 10, 13)
        for scale in spec.scales:
            size = [round(37 * scale), round(50 * scale)]
            scaled = F.interpolate(image[None], size, mode="bilinear", align_corners=False)
            for flipped in (False, True):
                one = scaled.flip(-1) if flipped else scaled
                maps = looped(network.features(one), prototypes, True).relu().float()
                maps = maps.flip(-1) if flipped else maps
                total += F.interpolate(maps, (10, 13), mode="bilinear")[0]
        expected = total / (total.amax((1, 2), keepdim=True) + 1e-5)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


# -- programs --------------------------------------------------------------------------------------


@pytest.fixture
def classifier(tmp_path):
    """A classifier's artifact: its folder."""
    recipe = {
        "stage": "classifier",
        "method": "vanilla",
        "spec": {"backbone": {"name": "test_resnet", "output_stride": 8}, "epochs": 1},
        "seed": 0,
        "upstream": {},
    }
    torch.manual_seed(0)
    network = Classifier(Backbone(name="test_resnet", output_stride=8), 2)
    folder = tmp_path / "classifier"
    save_model(network, folder / "model.safetensors")
    write_record(folder / "spec.json", provenance(recipe) | {"classes": ["cat", "dog"]})
    return folder


def test_the_programs_find_prototypes_and_localize_with_them(tmp_path, classifier, monkeypatch):
    rng, root = np.random.default_rng(0), tmp_path / "images"
    root.mkdir()
    rows = []
    for number in range(5):
        pixels = rng.integers(0, 256, (32, 40 if number < 3 else 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.png")
        tags = [("cat",), ("cat", "dog"), ("dog",)][number % 3]
        rows.append((str(number), f"{number}.png", "val" if number == 4 else "train", tags))
    listing = pd.DataFrame(rows, columns=["image", "path", "split", "tags"])
    write_index(tmp_path / "index.csv", build_index(listing, root, ["cat", "dog"], 1, 1))
    train = rows_of(read_index(tmp_path / "index.csv"), "train")

    def call(program, recipe, output, *more):
        arguments = ["--recipe", json.dumps(recipe), "--threads", 1, "--root", root]
        arguments += ["--index", tmp_path / "index.csv", "--output", output]
        arguments += ["--model", classifier / "model.safetensors"]
        arguments += ["--spec", classifier / "spec.json", *more]
        monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments)])
        program.main()

    spec = Prototypes(clusters=3).key()
    made_from = {"classifier": artifact_id(read_spec(classifier / "spec.json")["recipe"])}
    centres = {
        "stage": "prototypes", "method": "kmeans", "spec": spec, "seed": 0, "upstream": made_from
    }  # fmt: skip
    path, again = tmp_path / "a/prototypes.zarr.zip", tmp_path / "b/prototypes.zarr.zip"
    call(find_prototypes, centres, path)
    call(find_prototypes, centres, again)
    assert path.read_bytes() == again.read_bytes()
    cat, dog = read_prototypes(path, artifact_id(centres), images_sha(train), ["cat", "dog"])
    for one, images in ((cat, {"0", "1", "3"}), (dog, {"1", "2"})):
        assert 2 <= len(one.vectors) <= 6 and one.chosen[~one.context].any()
        assert {patch.image for patches in one.nearest for patch in patches} <= images

    spec = Lpcam(scales=(1,)).key()
    del spec["prototypes"]
    upstream = made_from | {"prototypes": artifact_id(centres)}
    recipe = {"stage": "maps", "method": "lpcam", "spec": spec, "seed": 0, "upstream": upstream}
    output = tmp_path / "maps.zarr.zip"
    call(localize_program, recipe, output, "--split", "train", "--shard", "0", "--prototypes", path)
    with Shard(output, artifact_id(recipe), images_sha(train)) as shard:
        maps, about = shard.read("1")
    assert maps.shape == (2, 8, 10) and about["classes"] == ["cat", "dog"]
    assert 0.99 < maps.max() <= 1
    with pytest.raises(ValueError, match="the method needs --prototypes"):
        call(localize_program, recipe, output, "--split", "train", "--shard", "0")
