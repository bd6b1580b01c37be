"""Views of images: where pixels go when an image is resized, cropped, padded and flipped."""

import os

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from tags2masks.config.tag_training import TagAugment
from tags2masks.config.training import Augment
from tags2masks.data.index import images_sha
from tags2masks.data.masked import MaskedViews
from tags2masks.data.training_images import TrainingImages
from tags2masks.data.views import (
    PlainViews,
    TaggedViews,
    WholeImages,
    batches_of_like_size,
    perturb,
    plain_view,
    random_view,
    size_by_size,
)
from tags2masks.errors import UserError
from tags2masks.store import write_shard

FILL = (0.0, 0.5, 1.0)


def gradient(height, width):
    """An image whose red value is the row and whose green value is the column."""
    rows, columns = np.indices((height, width))
    return np.stack([rows, columns, rows * 0], -1).astype(np.uint8)


def view(image, labels=None, seed=0, **augment):
    return random_view(image, labels, Augment(**augment), FILL, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(5))
def test_a_crop_is_a_window_of_image_and_labels_alike(seed):
    image = gradient(40, 40)
    labels = image[..., 0]
    out, out_labels = view(image, labels, seed, resize=(40, 40), crop=8, flip=0)
    assert out.shape == (8, 8, 3)
    np.testing.assert_array_equal(out[..., 0], out_labels)
    top, left = out[0, 0, :2]
    np.testing.assert_array_equal(out, image[top : top + 8, left : left + 8])


@pytest.mark.parametrize("seed", range(5))
def test_padding_has_the_fill_colour_and_ignored_labels(seed):
    image = np.full((8, 4, 3), 200, np.uint8)
    out, labels = view(image, np.ones((8, 4), np.uint8), seed, resize=(8, 8), crop=12, flip=0)
    inside = labels == 1
    assert inside.sum() == 32
    assert set(np.unique(labels)) == {1, 255}
    assert (out[inside] == 200).all()
    assert (out[~inside] == [0, 128, 255]).all()


def test_flip_mirrors_both():
    image = gradient(8, 8)
    out, labels = view(image, image[..., 1], resize=(8, 8), crop=8, flip=1)
    np.testing.assert_array_equal(out, image[:, ::-1])
    np.testing.assert_array_equal(labels, image[:, ::-1, 1])


def test_the_long_side_stays_in_range_and_labels_stay_ids():
    labels = np.zeros((20, 10), np.uint8)
    labels[:10] = 7
    seen = set()
    for seed in range(40):
        _, out = view(gradient(20, 10), labels, seed, resize=(30, 33), crop=40, flip=0)
        seen.add(int((out != 255).any(1).sum()))
        assert set(np.unique(out)) == {0, 7, 255}
    assert seen == {30, 31, 32, 33}


def test_one_pixel_wide():
    out, labels = view(
        gradient(50, 1), np.ones((50, 1), np.uint8), resize=(16, 16), crop=16, flip=0
    )
    assert out.shape == (16, 16, 3)
    assert (labels == 1).sum() == 16


CHANGES = [{"jitter": (0.3, 0.3, 0.3, 0.1)}, {"randaugment": 2}]
PLACE = {"resize": (40, 40), "crop": 40, "flip": 0}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_colours_are_of_the_draw_alone(change):
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)

    def draw(seed):
        augment = TagAugment(**PLACE, **change)
        return random_view(image, None, augment, FILL, np.random.default_rng(seed))[0]

    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = draw(3)
    assert torch.equal(torch.get_rng_state(), state)  # the training's own draws go on as before
    torch.manual_seed(2)
    np.testing.assert_array_equal(first, draw(3))
    others = [draw(seed) for seed in range(4, 9)]
    assert sum((other != first).any() for other in others) >= 4
    assert first.shape == image.shape and first.dtype == np.uint8


def test_changes_are_torchvisions_and_come_before_the_crop():
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    augment = TagAugment(**PLACE | {"crop": 48}, jitter=(0.5, 0, 0, 0), randaugment=3)
    view, _ = random_view(image, None, augment, FILL, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    rng.integers(40, 41)
    torch.manual_seed(int(rng.integers(2**63)))
    steps = [v2.ColorJitter(0.5, 0, 0, 0), v2.RandAugment(3, 9, fill=[0, 128, 255])]
    expected = np.asarray(v2.Compose(steps)(Image.fromarray(image)))
    down, right = (rng.random(2) * (np.array([48 - 30, 48 - 40]) + 1)).astype(int)
    np.testing.assert_array_equal(view[down : down + 30, right : right + 40], expected)
    view[down : down + 30, right : right + 40] = (0, 128, 255)
    assert (view == [0, 128, 255]).all()  # the padding is not changed


def test_brightness_by_hand():
    image = np.full((40, 40, 3), 100, np.uint8)
    augment = TagAugment(**PLACE, jitter=(0.3, 0, 0, 0))
    seen = [
        int(random_view(image, None, augment, FILL, np.random.default_rng(seed))[0][0, 0, 0])
        for seed in range(60)
    ]
    assert 70 <= min(seen) < 80 and 120 < max(seen) <= 130


def test_without_changes_the_view_is_that_of_a_plain_augment():
    image = gradient(20, 30)
    for seed in range(3):
        tagged = random_view(image, None, TagAugment(crop=16), FILL, np.random.default_rng(seed))
        plain = random_view(image, None, Augment(crop=16), FILL, np.random.default_rng(seed))
        np.testing.assert_array_equal(tagged[0], plain[0])


def test_colours_change_beside_labels_that_stay_and_randaugment_is_refused():
    labels = np.random.default_rng(0).integers(0, 2, (30, 30), np.uint8)
    image = np.stack([labels * 150] * 3, -1)
    jitter = TagAugment(resize=(30, 30), crop=20, jitter=(0.3, 0, 0, 0))
    out, seen = random_view(image, labels, jitter, FILL, np.random.default_rng(1))
    np.testing.assert_array_equal(out[..., 0] > 0, seen == 1)
    assert out.max() != 150
    with pytest.raises(ValueError, match="RandAugment moves what is in the image, but not its"):
        moved = TagAugment(randaugment=1)
        random_view(image, labels, moved, FILL, np.random.default_rng(0))


def test_perturbed_views():
    view = np.full((100, 100, 3), 200, np.uint8)
    rng = np.random.default_rng(0)
    noisy = perturb(view, TagAugment(perturb="gaussian", sigma=0.15), rng)
    assert noisy.dtype == np.float32
    assert noisy.mean() == pytest.approx(200, abs=1)
    assert noisy.std() == pytest.approx(0.15 * 255, rel=0.02)
    assert noisy.max() > 255  # not cut off
    switched = perturb(view, TagAugment(perturb="binary", keep=0.9), rng)
    assert switched.dtype == np.uint8
    off = (switched == 0).all(-1)
    assert ((switched == 200).all(-1) | off).all()  # all colours of a pixel alike
    assert off.mean() == pytest.approx(0.1, abs=0.015)
    assert perturb(view, TagAugment(), rng) is view


@pytest.mark.parametrize("kind", [None, "gaussian", "binary"])
def test_tagged_views_are_perturbed_by_their_draw(tmp_path, kind):
    Image.fromarray(gradient(20, 20)).save(tmp_path / "a.png")
    rows = pd.DataFrame({"path": ["a.png"], "height": [20], "width": [20]})
    augment = TagAugment(resize=(20, 20), crop=16, perturb=kind)
    views = TaggedViews(rows, tmp_path, np.ones((1, 2), np.float32), augment, FILL)
    (image, tags), again = views[0, 1, 2, 3], views[0, 1, 2, 3][0]
    assert image.shape == (3, 16, 16) and tags.tolist() == [1, 1]
    assert image.dtype == (torch.float32 if kind == "gaussian" else torch.uint8)
    assert torch.equal(image, again) and not torch.equal(image, views[0, 1, 2, 4][0])


def test_a_plain_view_is_centred():
    out = plain_view(np.full((8, 4, 3), 9, np.uint8), Augment(resize=(8, 8), crop=8), FILL)
    assert (out[:, 2:6] == 9).all()
    assert (out[:, [0, 1, 6, 7], 2] == 255).all()


def test_batches_hold_images_of_one_size_and_the_largest_comes_first():
    sizes = [(2, 3), (4, 4), (2, 3), (2, 3), (4, 4), (5, 7)]
    assert batches_of_like_size(sizes, 2) == [[5], [1, 4], [0, 2], [3]]
    # At most 16 pixels, or one image.
    assert batches_of_like_size(sizes, 3, 16) == [[5], [1], [4], [0, 2], [3]]


def test_freed_memory_is_given_back_before_batches_of_another_shape(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr("tags2masks.data.views.give_back", lambda: calls.append("give back"))
    sizes = [(4, 6), (4, 6), (8, 6), (4, 6), (4, 6), (4, 6)]  # height, width
    for number, (height, width) in enumerate(sizes):
        Image.new("RGB", (width, height)).save(tmp_path / f"{number}.png")
    paths = [f"{number}.png" for number in range(len(sizes))]
    heights, widths = zip(*sizes, strict=True)
    rows = pd.DataFrame({"image": paths, "path": paths, "height": heights, "width": widths})
    for numbers, pixels in size_by_size(WholeImages(rows, tmp_path, 2), 0):
        assert len(numbers) == len(pixels)
        calls.append(tuple(pixels.shape))
    assert calls == [
        *("give back", (2, 3, 4, 6), (2, 3, 4, 6)),
        *("give back", (1, 3, 8, 6)),
        *("give back", (1, 3, 4, 6)),
    ]


def test_an_image_replaced_by_one_of_another_size_is_refused_by_all_views(tmp_path):
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    rows = pd.DataFrame(
        {"image": ["a"], "path": ["a.png"], "height": [10], "width": [20], "shard": [0]}
    ).assign(tags=[("cat",)], sha="x")
    augment, targets = TagAugment(resize=(20, 20), crop=16), np.ones((1, 1), np.float32)
    masks = [("a", np.zeros((10, 20), np.uint8), {})]
    write_shard(tmp_path / "0.zarr.zip", {"id": "crf-01234567"}, images_sha(rows), masks)
    masked = (rows, tmp_path, [tmp_path / "0.zarr.zip"], "crf-01234567", augment, FILL)
    readers = [
        lambda: TaggedViews(rows, tmp_path, targets, augment, FILL)[0, 0, 0, 0],
        lambda: PlainViews(rows, tmp_path, targets, augment, FILL)[0],
        lambda: WholeImages(rows, tmp_path, 1)[0],
        lambda: MaskedViews(*masked)[0, 0, 0, 0],
        lambda: TrainingImages(rows, tmp_path, ["cat"]).image(0),
    ]
    for read in readers:
        read()
    Image.new("RGB", (20, 11)).save(tmp_path / "a.png")
    for read in readers:
        with pytest.raises(UserError, match=r"a\.png: 20 × 11 pixels.* but 20 × 10 when it was"):
            read()


def test_a_loading_process_opens_its_own_shard(tmp_path, monkeypatch):
    """Forked processes share an open file and the place in it, and read each other's bytes."""
    Image.new("RGB", (200, 200)).save(tmp_path / "a.png")
    rows = pd.DataFrame(
        {"image": ["a"], "path": ["a.png"], "height": [200], "width": [200], "shard": [0]}
    ).assign(tags=[("cat",)], sha="x")
    noise = np.random.default_rng(0).integers(0, 9, (200, 200), np.uint8)  # more than one buffer
    masks = [("a", noise, {}), ("b", noise, {})]
    write_shard(tmp_path / "0.zarr.zip", {"id": "x"}, images_sha(rows), masks)
    augment = TagAugment(resize=(200, 200), crop=200)
    views = MaskedViews(rows, tmp_path, [tmp_path / "0.zarr.zip"], "x", augment, FILL)
    file = views._shard(0)._archive.fp
    place = os.lseek(file.fileno(), 0, os.SEEK_CUR)
    with monkeypatch.context() as forked:
        forked.setattr("os.getpid", lambda: 1)
        loaded = views[0, 0, 0, 0]
    assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == place
    assert all(map(torch.equal, loaded, views[0, 0, 0, 0]))
    assert os.lseek(file.fileno(), 0, os.SEEK_CUR) != place
