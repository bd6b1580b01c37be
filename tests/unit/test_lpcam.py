"""LPCAM: clustering, choice, folding and maps against numbers by hand and plain loops."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from tags2masks.config.maps import Lpcam, Prototypes
from tags2masks.config.training import Backbone
from tags2masks.data.index import build_index, images_sha, read_index, rows_of, write_index
from tags2masks.errors import UserError
from tags2masks.maps.batch import plain_batch
from tags2masks.maps.lpcam import fold, likeness, localize
from tags2masks.nets.checkpoint import save_model, write_spec
from tags2masks.nets.classifier import Classifier
from tags2masks.prototypes import kmeans
from tags2masks.prototypes.kmeans import (
    Sample,
    centres_of,
    choose,
    choose_context,
    class_scores,
    cluster,
    nearest_places,
    prototypes_of_class,
    sample_features,
)
from tags2masks.prototypes.store import (
    ClassPrototypes,
    Patch,
    read_prototypes,
    write_prototypes,
)
from tags2masks.store import Shard
from tags2masks.training import Machine
from tags2masks.workflow.ids import artifact_id
from workflow_scripts import find_prototypes
from workflow_scripts import localize as localize_program


class Colours(nn.Module):
    """Features are the colours; class 0 is red, class 1 green, class 2 blue, each times ten."""

    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, 3, 1, bias=False).requires_grad_(False)
        self.head.weight[:] = 10 * torch.eye(3)[..., None, None]

    def features(self, images):
        return images

    def score_maps(self, features):
        return self.head(features)


def made_of(own, context, chosen=None):
    """Prototypes with these vectors, all chosen unless told."""
    vectors = np.array([*own, *context], np.float32)
    count = len(vectors)
    is_context = np.arange(count) >= len(own)
    chosen = np.ones(count, bool) if chosen is None else np.array(chosen, bool)
    return ClassPrototypes(
        vectors, is_context, np.zeros(count), chosen, np.ones(count, int), [[]] * count
    )


def random_prototypes(rng, channels, counts):
    return [made_of(rng.random((a, channels)), rng.random((b, channels))) for a, b in counts]


# -- clustering ------------------------------------------------------------------------------------


def test_clusters_are_of_directions_and_centres_means_of_the_features_themselves():
    # Two directions, lengths far apart: by distance 8 and 9 would be together, and 1 with 2.
    features = np.array([[1, 0], [9, 0], [0, 2], [0, 8], [5, 0.1]], np.float32)
    labels = cluster(features, 2, 100, 0)
    assert labels[0] == labels[1] == labels[4] != labels[2] == labels[3]
    centres = centres_of(features, labels)
    np.testing.assert_allclose(centres[labels[0]], [5, 0.1 / 3], rtol=1e-6)
    np.testing.assert_allclose(centres[labels[2]], [0, 5], rtol=1e-6)


@pytest.mark.parametrize(
    ("features", "found"),
    [
        ([], 0),
        ([[1, 2]], 1),
        ([[1, 0], [0, 1], [1, 1]], 3),
        ([[1, 0], [2, 0], [0, 3], [0, 1], [4, 0]], 2),  # two directions alone
    ],
)
def test_there_are_no_more_clusters_than_directions(features, found):
    features = np.array(features, np.float32).reshape(-1, 2)
    labels = cluster(features, 12, 100, 0)
    assert sorted(set(labels)) == list(range(found))
    centres = centres_of(features, labels)
    assert centres.shape == (found, 2) and np.isfinite(centres).all()


def test_the_same_seed_gives_the_same_clusters():
    features = np.random.default_rng(0).random((300, 8), np.float32)
    assert (cluster(features, 5, 100, 3) == cluster(features, 5, 100, 3)).all()
    # One iteration is not enough for these: the cap is heeded.
    assert (cluster(features, 5, 1, 3) != cluster(features, 5, 100, 3)).any()


def test_a_sample_is_of_the_smallest_keys_in_whatever_batches_they_come():
    rng = np.random.default_rng(0)
    keys, features = rng.random(50), rng.random((50, 3), np.float32)
    places = np.arange(100).reshape(50, 2)
    expected = np.argsort(keys)[:7]
    for sizes in ([50], [1] * 50, [3, 0, 20, 27], [7, 43]):
        sample, start = Sample(7), 0
        for size in sizes:
            part = slice(start, start + size)
            sample.offer(keys[part], features[part], places[part])
            start += size
        found, where = sample.taken()
        np.testing.assert_array_equal(found, features[expected])
        np.testing.assert_array_equal(where, places[expected])
    few = Sample(99)
    few.offer(keys, features, places)
    assert few.taken()[0].shape == (50, 3)
    assert Sample(5).taken()[0].shape == (0, 0)


def test_scores_are_the_classifiers_softmax():
    scores = class_scores(Colours(), np.array([[0.1, 0, 0], [0, 0, 0]], np.float32), 0)
    np.testing.assert_allclose(scores, [np.e / (np.e + 2), 1 / 3])


def test_prototypes_are_chosen_by_their_scores():
    spec = Prototypes(min_class_score=0.9, max_context_score=0.5)
    assert choose(np.array([0.91, 0.9, 0.2]), spec).tolist() == [True, False, False]
    assert choose(np.array([0.1, 0.9, 0.2]), spec).tolist() == [False, True, False]  # the best
    assert choose(np.empty(0), spec).tolist() == []
    scores = np.array([0.5, 0.49, 0.05, 0.0])
    assert choose_context(scores, spec).tolist() == [False, True, True, True]
    as_code = Prototypes(max_context_score=0.5, min_context_score=0.05)
    assert choose_context(scores, as_code).tolist() == [False, True, True, False]
    assert choose_context(np.array([0.99]), spec).tolist() == [False]  # none will do


def test_nearest_are_the_most_alike_one_an_image():
    features = np.array([[1, 0], [2, 0.2], [0, 3], [1, 1], [1, 0.9]], np.float32)
    images = np.array([0, 0, 1, 1, 2])
    (right, up) = nearest_places(features, np.array([[5, 0], [0, 1]], np.float32), images)
    assert [at for at, _ in right] == [0, 4, 3]
    assert [cosine for _, cosine in right] == pytest.approx([1, 1 / np.sqrt(1.81), np.sqrt(0.5)])
    assert [at for at, _ in up] == [2, 4, 1]


# -- from images to prototypes ---------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path):
    """Three training images of 2 × 4 pixels and their index: the training rows and the root."""
    root = tmp_path / "photos"
    root.mkdir()
    red, dark, grey, blue = (255, 0, 0), (51, 0, 0), (51, 51, 51), (0, 0, 255)
    pictures = {
        "a": [[red, red, blue, blue], [red, dark, blue, blue]],
        "b": [[blue, blue, grey, red], [blue, blue, blue, red]],
        "c": [[(0, 255, 0)] * 4, [(0, 0, 0)] * 4],
        "d": [[blue] * 4] * 2,
    }
    rows = []
    tags = {"a": ("red",), "b": ("red", "blue"), "c": ("green",), "d": ("blue",)}
    for name, pixels in pictures.items():
        Image.fromarray(np.array(pixels, np.uint8)).save(root / f"{name}.png")
        rows.append((name, f"{name}.png", "val" if name == "d" else "train", tags[name]))
    listing = pd.DataFrame(rows, columns=["image", "path", "split", "tags"])
    index = build_index(listing, root, ["red", "green", "blue"], 1, 1)
    write_index(tmp_path / "index.csv", index)
    return rows_of(read_index(tmp_path / "index.csv"), "train"), root


def tagged(rows, name):
    return rows[[name in tags for tags in rows["tags"]]].reset_index(drop=True)


def test_prototypes_of_a_class_by_hand(photos):
    rows, root = photos
    spec = Prototypes(clusters=2, foreground_score=0.3)
    found = prototypes_of_class(
        Colours(), tagged(rows, "red"), root, 0, spec, 0, Machine(threads=1)
    )
    # CAM of red, divided by its maximum 10: red 1, dark 0.2 and grey 0.2 (below 0.3), blue 0.
    # Own: five red pixels, one direction. Context: dark red, grey and nine blue pixels in two
    # clusters, where blue is one of them or with the grey.
    assert found.vectors.shape == (3, 3)
    assert found.context.tolist() == [False, True, True]
    np.testing.assert_allclose(found.vectors[0], [1, 0, 0])
    assert found.sizes.tolist()[0] == 5 and sum(found.sizes[1:]) == 11
    assert found.scores[0] == pytest.approx(np.exp(10) / (np.exp(10) + 2))
    assert found.chosen[0]
    best = {patch.image: patch for patch in found.nearest[0]}
    assert set(best) == {"a", "b"}
    assert best["b"].cell in ((0, 3), (1, 3))
    assert best["b"].similarity == pytest.approx(1)
    down, right = best["b"].cell
    assert best["b"].box == (right, down, right + 1, down + 1)


def test_features_of_zeros_and_other_images_are_not_sampled(photos):
    rows, root = photos
    own, context = sample_features(
        Colours(), tagged(rows, "green"), root, 1, Prototypes(), 0, Machine(threads=1), "green"
    )
    assert len(own.taken()[0]) == 4 and len(context.taken()[0]) == 0  # black has no direction
    found = prototypes_of_class(
        Colours(), tagged(rows, "green"), root, 1, Prototypes(), 0, Machine(threads=1)
    )
    assert found.context.tolist() == [False]


def test_a_class_without_images_has_no_prototypes_and_a_zero_map(photos):
    rows, root = photos
    nothing = prototypes_of_class(
        Colours(), rows.iloc[:0], root, 2, Prototypes(), 0, Machine(threads=1)
    )
    assert len(nothing.vectors) == len(nothing.nearest) == 0
    folded = fold([made_of([[1, 0, 0]], []), nothing], True)
    assert folded.tolist() == [[1, 0, 0], [0, 0, 0]]
    maps = localize(
        Colours(),
        plain_batch(torch.rand(1, 3, 8, 8), 2),
        Lpcam(),
        prototypes=[made_of([[1, 0, 0]], []), nothing],
    )
    assert maps[0, 0].max() > 0.99 and not maps[0, 1].any()


def test_a_class_of_context_alone_has_a_zero_map():
    folded = fold([made_of([], [[0, 1]]), made_of([[1, 0]], [[0, 2]])], True)
    assert folded.tolist() == [[0, 0], [1, -1]]


def test_the_same_whatever_the_batch_size_and_fewer_images_if_asked(photos):
    rows, root = photos
    rows = tagged(rows, "red")

    def find(**values):
        spec = Prototypes(clusters=3, samples=4, **values)
        return prototypes_of_class(Colours(), rows, root, 0, spec, 5, Machine(threads=1))

    one, two = find(batch_size=1), find(batch_size=2)
    np.testing.assert_array_equal(one.vectors, two.vectors)
    assert one.nearest == two.nearest
    assert one.sizes[one.context].sum() == one.sizes[~one.context].sum() == 4
    single = find(images=1)
    assert len({patch.image for patches in single.nearest for patch in patches}) == 1


def test_boxes_cover_the_image_where_cells_do_not_divide_it():
    rows = pd.DataFrame({"image": ["x"], "height": [10], "width": [7]})
    boxes = [kmeans._patch(rows, (0, y, x, 3, 2), 0.5).box for y in range(3) for x in range(2)]
    assert boxes[0] == (0, 0, 4, 4) and boxes[-1] == (3, 6, 7, 10)


def test_stored_prototypes_come_back(tmp_path):
    path = tmp_path / "prototypes.zarr.zip"
    patch = Patch("a/b", (1, 2), (3, 4, 5, 6), 0.5)
    full = ClassPrototypes(
        np.arange(6, dtype=np.float32).reshape(3, 2),
        np.array([False, False, True]),
        np.array([0.95, 0.1, 0.3]),
        np.array([True, False, True]),
        np.array([5, 1, 2]),
        [[patch], [], [patch, patch]],
    )
    empty = made_of([], [])
    write_prototypes(path, {"id": "kmeans-0"}, "sha", [("über cat", full), ("dog", empty)])
    none, back = read_prototypes(path, "kmeans-0", "sha", ["dog", "über cat"])
    assert len(none.vectors) == 0 and none.nearest == []
    for before, after in zip(full[:5], back[:5], strict=True):
        np.testing.assert_array_equal(before, after)
    assert back.nearest == full.nearest
    with pytest.raises(UserError, match=r"prototypes\.zarr\.zip: its images_sha is sha"):
        read_prototypes(path, "kmeans-0", "other", ["dog"])


# -- maps ------------------------------------------------------------------------------------------


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
    }
    torch.manual_seed(0)
    network = Classifier(Backbone(name="test_resnet", output_stride=8), 2)
    folder = tmp_path / "classifier"
    save_model(network, folder / "model.safetensors")
    write_spec(folder / "spec.json", {"recipe": recipe, "classes": ["cat", "dog"]})
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
    centres = {"stage": "prototypes", "method": "kmeans", "spec": spec, "seed": 0, "upstream": {}}
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
    upstream = {"prototypes": artifact_id(centres)}
    recipe = {"stage": "maps", "method": "lpcam", "spec": spec, "seed": 0, "upstream": upstream}
    output = tmp_path / "maps.zarr.zip"
    call(localize_program, recipe, output, "--shard", "0", "--prototypes", path)
    with Shard(output, artifact_id(recipe), images_sha(train)) as shard:
        maps, about = shard.read("1")
    assert maps.shape == (2, 8, 10) and about["classes"] == ["cat", "dog"]
    assert 0.99 < maps.max() <= 1
    with pytest.raises(ValueError, match="the method needs --prototypes"):
        call(localize_program, recipe, output, "--shard", "0")
