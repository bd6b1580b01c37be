"""Prototypes: sampling, clustering and choice against numbers by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_info, threadpool_limits

from tags2masks.config.maps import Lpcam
from tags2masks.config.prototypes import Prototypes
from tags2masks.data.index import build_index, read_index, rows_of, write_index
from tags2masks.errors import UserError
from tags2masks.machine import Machine
from tags2masks.maps.batch import plain_batch
from tags2masks.maps.likeness import fold
from tags2masks.maps.lpcam import localize
from tags2masks.prototypes import kmeans
from tags2masks.prototypes.kmeans import (
    Sample,
    centres_of,
    choose,
    choose_context,
    class_scores,
    cluster,
    cluster_raw,
    nearest_places,
    own_places,
    prototypes_of_class,
    sample_features,
)
from tags2masks.prototypes.store import ClassPrototypes, Patch, read_prototypes, write_prototypes
from tests.unit.colours import Colours, made_of


def test_clusters_are_of_directions_and_centres_means_of_the_features_themselves():
    # Two directions, lengths far apart: by distance 8 and 9 would be together, and 1 with 2.
    features = np.array([[1, 0], [9, 0], [0, 2], [0, 8], [5, 0.1]], np.float32)
    labels = cluster(features, 2, 100, 0)
    assert labels[0] == labels[1] == labels[4] != labels[2] == labels[3]
    centres = centres_of(features, labels)
    np.testing.assert_allclose(centres[labels[0]], [5, 0.1 / 3], rtol=1e-6)
    np.testing.assert_allclose(centres[labels[2]], [0, 5], rtol=1e-6)


def test_k_means_with_tol_stops_as_the_public_code_does():
    rng = np.random.default_rng(5)
    features = (rng.random((60, 4)) * rng.integers(1, 30, (60, 1))).astype(np.float32)

    def plain(tol, iterations):
        """The assignment of its last round: the choice by cosine, the centres raw means."""
        chosen = np.random.default_rng(3).choice(60, 4, replace=False)
        centres, rounds = features[chosen].astype(float), 0
        for _ in range(iterations):
            rounds += 1
            cosines = [
                [f @ c / np.linalg.norm(f) / np.linalg.norm(c) for c in centres] for f in features
            ]
            labels = np.argmax(cosines, 1)
            moved = np.array([features[labels == k].mean(0, dtype=float) for k in range(4)])
            shift = sum(np.linalg.norm(m - c) for m, c in zip(moved, centres, strict=True))
            centres = moved
            if shift**2 < tol:
                break
        return labels, rounds

    for tol in (1e-9, 5, 500):
        labels, rounds = plain(tol, 100)
        assert cluster_raw(features, 4, 100, tol, 3).tolist() == labels.tolist(), rounds
    # It ends early: a large tol after fewer rounds than a small one.
    assert plain(500, 100)[1] < plain(5, 100)[1] < plain(1e-9, 100)[1]
    assert cluster_raw(features, 4, 1, 1e-9, 3).tolist() == plain(1e-9, 1)[0].tolist()
    assert cluster_raw(features[:0], 4, 9, 5, 0).tolist() == []
    few = cluster_raw(np.array([[1, 0], [0, 2]], np.float32), 12, 9, 5, 0)
    assert sorted(few.tolist()) == [0, 1]


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
    maps = localize(
        Colours(), plain_batch(torch.rand(1, 3, 8, 8), 2), Lpcam(), prototypes=[nothing] * 2
    )
    assert maps.shape == (1, 2, 2, 2) and not maps.any()


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


def test_the_peak_of_a_map_always_counts_and_a_flat_one_has_none():
    """Divided by its maximum plus 1e-5, no map reaches a foreground_score of 1."""

    class Scores:
        def score_maps(self, features):
            return features

    maps = torch.tensor([[[[0.2, 0.5, 1e-7]]], [[[1e-7, 0, 0]]], [[[0, 0, -1.0]]]])
    found = own_places(Scores(), maps, 0, 1.0)[:, 0].tolist()
    assert found == [[False, True, False], [True, False, False], [False, False, False]]
    assert own_places(Scores(), maps, 0, 0.1)[0, 0].tolist() == [True, True, False]


def test_clusters_do_not_depend_on_the_order_in_which_threads_end(monkeypatch):
    """Sums of several threads are added in that order: K-Means runs with one."""
    seen = []

    class Watched(KMeans):
        def fit_predict(self, features):
            seen.extend(pool["num_threads"] for pool in threadpool_info())
            return super().fit_predict(features)

    monkeypatch.setattr(kmeans, "KMeans", Watched)
    with threadpool_limits(4):
        kmeans.cluster(np.random.default_rng(0).random((50, 3)).astype(np.float32), 4, 10, 0)
    assert seen and set(seen) == {1}
