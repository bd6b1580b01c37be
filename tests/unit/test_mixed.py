"""True masks beside pseudo-masks: which images a batch has, with which labels, and the loss."""

import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from tags2masks.config.base import ConfigError
from tags2masks.config.project import parse_config
from tags2masks.config.segmenters import Mixed
from tags2masks.config.training import Augment
from tags2masks.data.index import images_sha
from tags2masks.data.labelled import TrueMasks
from tags2masks.data.mixed import MixedViews, PairedViews
from tags2masks.data.truth import plain_table
from tags2masks.errors import UserError
from tags2masks.machine import Machine
from tags2masks.palette import voc_palette, write_palette_png
from tags2masks.segmenters import cct, mixed
from tags2masks.store import write_shard
from tags2masks.task import Task
from tags2masks.training import Moment, epoch_batches
from tags2masks.workflow.building import build_experiments

ID = "crf-01234567"
VIEWS = Augment(resize=(8, 8), crop=8, flip=0)
TRUE, PSEUDO = 2, 1  # the labels of all pixels of either


def views_of(folder, kind, labelled, with_pseudo_mask=range(6), true=TRUE):
    """Views of six images of 8 × 8 whose grey is their number; labelled: those with a true mask."""
    names = list("abcdef")
    for number, name in enumerate(names):
        write_palette_png(folder / f"{name}.png", np.full((8, 8), number, np.uint8))
        write_palette_png(folder / f"{name}-mask.png", np.full((8, 8), true, np.uint8))
    rows = pd.DataFrame(
        {"image": names, "path": [f"{name}.png" for name in names], "shard": 0, "split": "train",
         "height": 8, "width": 8, "sha": names}
    )  # fmt: skip
    pseudo = np.full((8, 8), PSEUDO, np.uint8)
    entries = [(names[number], pseudo, {"size": [8, 8]}) for number in with_pseudo_mask]
    shard = folder / "0.zarr.zip"
    write_shard(shard, {"id": ID, "partial": True}, images_sha(rows), entries)
    files = {names[number]: folder / f"{names[number]}-mask.png" for number in labelled}
    masks = TrueMasks(files, plain_table(2))
    return kind(masks, rows, folder, [shard], ID, VIEWS, (0, 0, 0))


@pytest.fixture
def greys():
    """The number of the image that a view shows, by the colour that its number has as a PNG."""
    colours = [tuple(colour) for colour in voc_palette()[:6].tolist()]
    return lambda view: colours.index(tuple(view[:, 0, 0].tolist()))


@pytest.mark.parametrize("ranks", [1, 2])
def test_half_of_every_batch_has_true_masks(tmp_path, greys, ranks):
    views = views_of(tmp_path, MixedViews, [1, 4])
    assert len(views) == 6
    seen = Counter()
    for epoch in range(4):
        for rank in range(ranks):
            for draws in epoch_batches(len(views), 4 * ranks, 3, epoch, rank, ranks):
                labels = [int(views[draw][1].unique()) for draw in draws]
                assert len(labels) % 2 or Counter(labels) == {
                    TRUE: len(labels) / 2, PSEUDO: len(labels) / 2
                }  # fmt: skip
                for draw in draws:
                    image, label = views[draw]
                    number = greys(image)
                    assert int(label.unique()) == (TRUE if number in (1, 4) else PSEUDO)
                    seen[number] += 1
    # 12 of each half: 2 labelled images six times each, 4 others three times each.
    if ranks == 1:
        assert seen == {1: 6, 4: 6, 0: 3, 2: 3, 3: 3, 5: 3}
    else:
        assert set(seen) == set(range(6))


def test_pairs_are_a_pass_over_the_unlabelled(tmp_path, greys):
    views = views_of(tmp_path, PairedViews, [1, 4], with_pseudo_mask=[0, 1, 2])
    assert len(views) == 4
    labelled = []
    for epoch in range(2):
        (draws,) = epoch_batches(len(views), 4, 3, epoch, 0, 1)
        pairs = [views[draw] for draw in draws]
        assert sorted(greys(image) for _, _, image, _ in pairs) == [0, 2, 3, 5]
        for image, mask, other, pseudo in pairs:
            labelled.append(greys(image))
            assert (mask == TRUE).all()
            assert (pseudo == (PSEUDO if greys(other) in (0, 2) else 255)).all()
    assert Counter(labelled) == {1: 4, 4: 4}
    assert Counter(labelled[:2]) == {1: 1, 4: 1}  # each pass has every labelled image once


def test_the_loss_is_the_mean_over_all_known_pixels():
    class Fixed(nn.Module):
        def forward(self, images):
            shape = (len(images), 1, *images.shape[-2:])
            return torch.cat([torch.zeros(shape), torch.full(shape, math.log(2))], 1)

    # A true mask of two pixels and a pseudo-mask of which one is ignored; p = 1/3 and 2/3.
    labels = torch.tensor([[[0, 1]], [[1, 255]]], dtype=torch.uint8)
    images = torch.zeros(2, 3, 1, 2, dtype=torch.uint8)
    loss = mixed.step(Fixed(), [images, labels], Moment(0, 0, (0, 0, 0)), Mixed())["loss"]
    assert loss.item() == pytest.approx(-(math.log(1 / 3) + 2 * math.log(2 / 3)) / 3)


def test_all_images_labelled_or_none_is_told(tmp_path):
    with pytest.raises(UserError, match="labelled: all 6 training images have true masks"):
        views_of(tmp_path, PairedViews, range(6))
    with pytest.raises(UserError, match="no training image has a true mask"):
        views_of(tmp_path, MixedViews, [])


def task_of(folder, monkeypatch, method, labelled, **more):
    """A task whose views are those of `views_of`."""
    views = views_of(folder, MixedViews, labelled, **more)
    rows = pd.DataFrame({"image": views.images, "path": [f"{name}.png" for name in views.images]})
    rows = rows.assign(shard=0, split="train", height=8, width=8, sha=views.images)
    module = {"mixed": mixed, "cct": cct}[method]
    monkeypatch.setattr(module, "true_masks", lambda task: views.true_masks)
    recipe = {"stage": "segmenter", "method": method, "spec": {}, "seed": 0}
    recipe["upstream"] = {"masks": ID}
    return Task(recipe, rows, ["x", "y"], folder, Machine(), folder, files={"masks": views.files})


def test_after_true_masks_mixed_has_nothing_to_mix_but_cct_learns(tmp_path, monkeypatch):
    task = task_of(tmp_path, monkeypatch, "mixed", [1, 4], with_pseudo_mask=[1, 4])
    with pytest.raises(UserError, match="it has masks of labelled images alone"):
        mixed.views(task)
    task = task_of(tmp_path, monkeypatch, "cct", [1, 4], with_pseudo_mask=[1, 4])
    assert all((cct.views(task)[row, 0, 0, row][3] == 255).all() for row in range(4))


@pytest.mark.parametrize("method", ["mixed", "cct"])
def test_true_masks_that_say_nothing_are_told(tmp_path, monkeypatch, method):
    task = task_of(tmp_path, monkeypatch, method, [1, 4], true=255)
    with pytest.raises(UserError, match="every pixel of every true mask is ignored"):
        {"mixed": mixed, "cct": cct}[method].views(task)


def test_without_the_table_of_masks_the_program_says_what_to_give(tmp_path):
    recipe = {"stage": "segmenter", "method": "mixed", "spec": {}, "seed": 0, "upstream": {}}
    task = Task(recipe, pd.DataFrame(), [], tmp_path, Machine(), tmp_path)
    with pytest.raises(UserError, match="mixed learns from true masks; give their table"):
        mixed.views(task)


@pytest.mark.parametrize("method", ["mixed", "cct"])
@pytest.mark.parametrize(
    ("labelled", "message"),
    [
        (None, "learns from masks, and datasets.few names none; set labelled in it: a number"),
        ("all", "also learns from images without a true mask, and datasets.few.labelled names all"),
    ],
)
def test_a_config_without_either_half_is_refused(method, labelled, message):
    config = {
        "datasets": {"few": {"kind": "digits", "labelled": labelled}},
        "classifiers": {"vanilla": {"method": "vanilla"}},
        "maps": {"cam": {"method": "cam"}},
        "masks": {"crf": {"method": "crf"}},
        "segmenters": {"net": {"method": method}},
        "experiments": ["few / vanilla / cam / crf / net"],
    }
    with pytest.raises(ConfigError) as raised:
        build_experiments(parse_config(config))
    assert str(raised.value).startswith(f"segmenters.net: {method} {message}")
    assert "\n" not in str(raised.value)


def test_an_odd_batch_has_no_halves():
    with pytest.raises(ValueError, match="multiple of 2"):
        Mixed(batch_size=5)
