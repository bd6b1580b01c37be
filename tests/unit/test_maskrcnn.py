"""Mask R-CNN: the loss on masks and how labels grow by hand, views, pasting, and what it learns."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tags2masks.checkpoints import State
from tags2masks.config.base import ConfigError
from tags2masks.config.detectors import ShortSides
from tags2masks.config.inference import NetworkCrf
from tags2masks.config.maskrcnn import InstanceInference, MaskRcnn
from tags2masks.data.boxes import extent
from tags2masks.data.index import images_sha
from tags2masks.data.instance_views import InstanceViews
from tags2masks.errors import UserError
from tags2masks.instance_store import KIND, coded, decoded, entry, instance
from tags2masks.machine import Machine, prepare
from tags2masks.mask_ids import IGNORED
from tags2masks.metrics.instances import compared, precisions
from tags2masks.nets.mask_detector import RegionMasks, known_cells
from tags2masks.segmenters import maskrcnn
from tags2masks.segmenters.instance_applying import segmented
from tags2masks.segmenters.pasting import Found, corners, instances_of, pasted, semantic
from tags2masks.store import write_shard
from tags2masks.task import Task
from tags2masks.training import Moment, fit
from tags2masks.workflow.catalog import Catalog
from tests.unit.tiny import smaller

MACHINE = Machine(threads=1)


def logit(share):
    return torch.logit(torch.as_tensor(share, dtype=torch.float32))


def regions(shares, foreground=(), background=()):
    """One region of cells with these probabilities, and the places that are known."""
    known = torch.zeros(2, 1, *np.shape(shares), dtype=torch.bool)
    for part, places in zip(known, (foreground, background), strict=True):
        for place in places:
            part[0, place[0], place[1]] = True
    return RegionMasks(logit(shares)[None], *known)


def places(cells):
    return sorted(map(tuple, cells.nonzero()[:, 1:].tolist()))


def test_growing_by_hand():
    shares = np.full((4, 8), 0.5)
    shares[1, [1, 2, 4, 5, 7]] = 0.95  # (1, 7) has no sure neighbour
    shares[3, 3] = 0.9  # not above 0.9
    grown = maskrcnn.grown(regions(shares, [(1, 1)], [(3, 0)]))
    assert places(grown.foreground) == [(1, 1), (1, 2), (1, 4), (1, 5)]
    assert places(grown.background) == [(3, 0)]


def test_background_grows_alike_and_nothing_against_what_is_known():
    shares = np.full((3, 5), 0.5)
    shares[0, :3] = 0.05
    shares[2, 2:] = 0.95
    grown = maskrcnn.grown(regions(shares, [(0, 1)], [(2, 3)]))
    # (0, 0) and (0, 2) are sure background, but (0, 1) between them is known to be foreground.
    assert places(grown.background) == [(2, 3)] and places(grown.foreground) == [(0, 1)]
    grown = maskrcnn.grown(regions(shares, [(2, 2)], [(0, 0)]))
    assert places(grown.background) == [(0, 0), (0, 1), (0, 2)]
    assert places(grown.foreground) == [(2, 2), (2, 3), (2, 4)]


def slowly_grown(known, other, sure):
    """Cell by cell."""
    wanted = {place for place in np.ndindex(known.shape) if known[place]}
    wanted |= {p for p in np.ndindex(known.shape) if sure[p] and not other[p]}
    joined = {place for place in np.ndindex(known.shape) if known[place]}
    for row, column in wanted:
        around = [
            (row + down, column + right)
            for down in (-1, 0, 1)
            for right in (-1, 0, 1)
            if down or right
        ]
        if wanted & set(around):
            joined.add((row, column))
    return joined


@pytest.mark.parametrize("seed", range(4))
def test_growing_is_as_cell_by_cell(seed):
    rng = np.random.default_rng(seed)
    shares, drawn = rng.beta(0.3, 0.3, (2, 9, 11)), rng.random((2, 9, 11))
    foreground, background = torch.tensor(drawn < 0.05), torch.tensor(drawn > 0.95)
    given = RegionMasks(logit(shares), foreground, background)
    grown = maskrcnn.grown(given, 0.8)
    seen = given.logits.sigmoid().numpy()
    more = 0
    for number in range(2):
        known = foreground[number].numpy(), background[number].numpy()
        sure = seen[number] > 0.8, seen[number] < 1 - 0.8
        for part, own, other, sure_own in zip(grown[1:], known, known[::-1], sure, strict=True):
            expected = slowly_grown(own, other, sure_own)
            assert set(map(tuple, part[number].nonzero().tolist())) == expected
            more += len(expected) - own.sum()
    assert more > 50


def test_the_loss_by_hand():
    shares = [[0.8, 0.5], [0.5, 0.25]]
    known = regions(shares, [(0, 0), (0, 1)], [(1, 1)])
    foreground = -(np.log(0.8) + np.log(0.5)) / 2  # 0.4581
    background = -np.log(0.75)  # 0.2877
    assert maskrcnn.by_halves(known).item() == pytest.approx((foreground + background) / 2)
    expected = (2 * foreground + background) / 3
    assert maskrcnn.by_cells(known).item() == pytest.approx(expected, rel=1e-6)
    # All regions together: two with one foreground cell each are as one with both.
    apart = [regions(shares, [(0, 0)], [(1, 1)]), regions(shares, [(0, 1)])]
    together = RegionMasks(*map(torch.cat, zip(*apart, strict=True)))
    assert maskrcnn.by_halves(together).item() == pytest.approx((foreground + background) / 2)


@pytest.mark.parametrize("known", [{}, {"foreground": [(0, 0)]}, {"background": [(0, 1)]}])
def test_without_foreground_or_background_there_is_no_loss(known):
    given = regions([[0.8, 0.5]], **known)
    given.logits.requires_grad_(True)
    loss = maskrcnn.by_halves(given)
    loss.backward()
    assert loss.item() == 0 and (given.logits.grad == 0).all()
    expected = {(): 0, ("foreground",): -np.log(0.8), ("background",): np.log(2)}[tuple(known)]
    assert maskrcnn.by_cells(given).item() == pytest.approx(expected)


def test_nothing_is_learned_from_how_labels_grow():
    shares = [[0.95, 0.96, 0.5, 0.02]]
    given = regions(shares, [(0, 0)], [(0, 3)])
    given.logits.requires_grad_(True)
    maskrcnn.by_halves(maskrcnn.grown(given)).backward()
    # ½ · mean over (0, 0), (0, 1) of p − 1, and ½ · p of (0, 3).
    assert given.logits.grad[0, 0].tolist() == pytest.approx([-0.0125, -0.01, 0, 0.01], rel=1e-4)


def test_cells_of_a_box_by_hand():
    masks = torch.zeros(1, 4, 8, dtype=torch.uint8)
    masks[0, :, :2] = 1
    masks[0, :, 2:5] = IGNORED
    # Cells of 2 × 2 pixels: object, maybe, half maybe, not.
    foreground, background = known_cells(
        masks, torch.tensor([[0.0, 0, 8, 4]]), torch.tensor([0]), 4
    )
    columns = [part[0, 1].tolist() for part in (foreground, background)]
    assert columns == [[True, False, False, False], [False, False, False, True]]
    # Half of a cell or more: columns 1 to 2 are an object's pixel and one that is not known.
    shifted = known_cells(masks, torch.tensor([[1.0, 0, 7, 4]]), torch.tensor([0]), 3)
    assert [part[0, 0].tolist() for part in shifted] == [[True, False, False], [False, False, True]]
    nothing = known_cells(masks, torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), 4)
    assert [tuple(part.shape) for part in nothing] == [(0, 4, 4)] * 2


# -- views -----------------------------------------------------------------------------------------


def stored(folder, rows, instances):
    """The shard of the instances of each row."""
    sizes = zip(rows["height"], rows["width"], strict=True)
    entries = zip(rows["image"], instances, sizes, strict=True)
    path = folder / "0.zarr.zip"
    write_shard(path, {"id": "x"}, images_sha(rows), [entry(n, s, size) for n, s, size in entries])
    return path


def table(sizes, split="train"):
    rows = [
        {"image": str(n), "path": f"{n}.png", "split": split, "tags": ("cat",), "shard": 0}
        | {"height": size[0], "width": size[1], "sha": f"sha{n}"}
        for n, size in enumerate(sizes)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("flip", [0, 1])
def test_masks_go_with_their_image(tmp_path, flip):
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :10] = 255
    Image.fromarray(pixels).save(tmp_path / "0.png")
    rows, sure = table([(20, 40)]), np.zeros((20, 40), bool)
    sure[:, :10] = True
    possible = sure.copy()
    possible[:10, :20] = True
    own = [
        instance(2, sure, box=(0, 0, 19, 19), possible=possible),
        instance(1, ~sure, crowd=True),
        instance(1, np.zeros_like(sure)),  # its box has no pixel
    ]
    augment = ShortSides(short_sides=(40,), longest=80, flip=flip)
    views = InstanceViews(rows, tmp_path, [stored(tmp_path, rows, [own])], "x", augment, (0, 0, 0))
    image, boxes, classes, masks = views[(0, 1, 2, 3)]
    assert classes.tolist() == [2] and boxes.tolist() == [
        [40, 0, 80, 40] if flip else [0, 0, 40, 40]
    ]
    assert image.shape == (3, 40, 80) and masks.shape == (1, 40, 80) and masks.dtype == torch.uint8
    straight = masks[0].flip(1) if flip else masks[0]
    assert (straight[:, :20] == 1).all() and (straight[:20, 20:40] == IGNORED).all()
    assert (straight[20:, 20:] == 0).all() and (straight[:, 40:] == 0).all()
    bright = (image[0] > 250).flip(1) if flip else image[0] > 250
    assert bright[:, :18].all() and not bright[:, 22:].any()
    assert [len(part) for part in views.collate([views[(0, 1, 2, n)] for n in range(3)])] == [3] * 4


def test_instances_beside_masks(tmp_path):
    Image.new("RGB", (8, 6)).save(tmp_path / "0.png")
    rows, mask = table([(6, 8)]), np.zeros((6, 8), np.uint8)
    mask[1:3, 2:7] = 1
    codes, listed = coded([instance(1, mask == 1)])
    beside = ("0", mask, {"size": [6, 8], KIND: listed}, {KIND: codes})
    path = tmp_path / "0.zarr.zip"
    write_shard(path, {"id": "x"}, images_sha(rows), [beside])
    augment = ShortSides(short_sides=(16,), longest=32, flip=0)
    views = InstanceViews(rows, tmp_path, [path], "x", augment, (0, 0, 0))
    _, boxes, classes, masks = views[(0, 1, 2, 3)]
    assert boxes.tolist()[0] == pytest.approx([2 * 21 / 8, 16 / 6, 7 * 21 / 8, 3 * 16 / 6])
    assert classes.tolist() == [1] and masks.shape == (1, 16, 21)
    assert masks.sum() / masks.numel() == pytest.approx(10 / 48, abs=0.03)


# -- from cells to pixels --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "wanted"),
    [
        ((1, 2, 4, 5), (1, 2, 3, 4)),
        ((0.5, 0.2, 3.1, 2.0), (0, 0, 2, 1)),
        ((-3, -1, 90, 90), (0, 0, 7, 5)),
        ((8, 6, 8, 6), (7, 5, 7, 5)),  # as of a detection at the last corner
        ((3, 3, 3, 3), (3, 3, 3, 3)),
    ],
)
def test_the_pixels_of_a_box(box, wanted):
    assert corners(box, (6, 8)) == wanted


def test_pasting_by_hand():
    shares = np.array([[0.0, 1.0], [0.5, 0.5]])
    found, window = pasted(shares, (2, 1, 6, 3), (5, 8))
    assert window == (slice(1, 3), slice(2, 6))
    # Cells of two pixels across and one down: centres of cells at 1 and 3, of pixels at 0.5, 1.5, …
    expected = [[0, 0.25, 0.75, 1], [0.5, 0.5, 0.5, 0.5]]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    # A box that leaves the image: what is inside is as it was.
    part, window = pasted(shares, (2, 1, 6, 3), (5, 4))
    assert window == (slice(1, 3), slice(2, 4))
    np.testing.assert_allclose(part, np.array(expected)[:, :2], atol=1e-6)


def found(*each, size=(4, 6)):
    boxes, classes, scores, masks = zip(*each, strict=True)
    arrays = map(np.array, (boxes, classes, scores, masks))
    return Found(*arrays, np.zeros((*size, 3), np.uint8))


FULL, NONE = np.ones((2, 2)), np.zeros((2, 2))


def test_instances_are_sorted_and_those_without_a_pixel_left_out():
    seen = found(
        ((0, 0, 2, 2), 1, 0.25, FULL), ((1, 1, 4, 3), 2, 0.75, FULL), ((0, 0, 6, 4), 1, 0.9, NONE)
    )
    first, second = instances_of(seen, InstanceInference())
    assert (first.class_id, first.score, first.box) == (2, 0.75, (1, 1, 3, 2))
    assert first.mask.sum() == 6 and first.mask[1:3, 1:4].all()
    assert (second.class_id, second.box, second.mask.sum()) == (1, (0, 0, 1, 1), 4)
    mask = semantic((4, 6), [first, second], 0.5)
    assert mask.tolist()[1] == [0, 2, 2, 2, 0, 0] and mask.sum() == 12
    both = semantic((4, 6), [first, second], 0.25)
    # The instance with the higher score is on top.
    assert both.tolist()[:2] == [[1, 1, 0, 0, 0, 0], [1, 2, 2, 2, 0, 0]]


def test_a_crf_sees_colours_around_the_box():
    image = np.full((24, 24, 3), 40, np.uint8)
    image[6:18, 6:17] = 220
    shares = np.full((4, 4), 0.6)
    given = Found(np.array([[4.0, 4, 20, 20]]), np.array([1]), np.array([0.5]), shares[None], image)
    (plain,) = instances_of(given, InstanceInference())
    (refined,) = instances_of(given, InstanceInference(crf=NetworkCrf()))
    assert plain.mask.sum() == 256 and refined.box == plain.box == (4, 4, 19, 19)
    np.testing.assert_array_equal(refined.mask, image[..., 0] == 220)


# -- learning --------------------------------------------------------------------------------------


def tiny(**changes) -> MaskRcnn:
    """A small network for images of 64 pixels."""
    one_size = {"short_sides": (64,), "longest": 64}
    test = {"short_side": 64, "longest": 64}
    return MaskRcnn(**(smaller(MaskRcnn) | {"augment": one_size, "test": test} | changes))


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    """Six images of one or two discs, bright or dark, on noise; a table and the instances."""
    folder = tmp_path_factory.mktemp("discs")
    rng, instances = np.random.default_rng(0), []
    across, down = np.meshgrid(np.arange(64), np.arange(64))
    for number in range(6):
        pixels, own = rng.integers(90, 160, size=(64, 64, 3), dtype=np.uint8), []
        for half in range(1 + number % 2):
            radius, kind = int(rng.integers(8, 13)), (number + half) % 2
            x = 32 * half + int(rng.integers(radius, 32 - radius))
            y = int(rng.integers(radius, 64 - radius))
            mask = (across - x) ** 2 + (down - y) ** 2 <= radius**2
            pixels[mask] = (255, 0)[kind]
            own.append(instance(kind + 1, mask))
            assert own[-1].box == extent(mask)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        instances.append(own)
    return folder, table([(64, 64)] * 6), instances


def test_discs_are_learned(discs):
    folder, rows, instances = discs
    spec = tiny(
        epochs=6,
        freeze_bn=False,
        pyramid_channels=16,
        mask_channels=16,
        grow=False,
        regions={"channels": 64, "sampled": 32},
        optimizer={"name": "adamw", "lr": 5e-3, "warmup": 0.05, "drops": (0.8,)},
    )
    prepare(MACHINE, 0)
    views = InstanceViews(
        rows, folder, [stored(folder, rows, instances)], "x", spec.augment, (0, 0, 0)
    )
    views.masked = views.masked * 10
    views.paths = views.paths * 10  # the length
    network = maskrcnn.build(spec, 2)
    figures = fit(network, views, maskrcnn.step, spec, 0, MACHINE, State(folder / "s", "f"))
    names = ["objectness_loss", "proposal_loss", "class_loss", "box_loss", "mask_loss"]
    for row in figures:
        assert row["loss"] == pytest.approx(sum(row[name] for name in names), rel=1e-5)
    assert figures[-1]["mask_loss"] < figures[0]["mask_loss"] / 2
    assert figures[-1]["pixel_agreement"] > 0.9
    seen = {
        name: (mask, decoded(codes[KIND], about))
        for name, mask, about, codes in segmented(network, rows, folder, spec.test, MACHINE)
    }
    pairs = [(own, seen[name][1]) for name, own in zip(rows["image"], instances, strict=True)]
    assert (precisions(compared(pairs, 2), 2)[1, :, 0] > 0.6).all()  # at an IoU of 0.5
    union = np.array([np.any([each.mask for each in own], axis=0) for own in instances])
    drawn = np.array([seen[name][0] for name in rows["image"]]) > 0
    assert (drawn & union).sum() / (drawn | union).sum() > 0.5


def test_a_step_without_an_object_learns_no_mask():
    spec = tiny()
    prepare(MACHINE, 0)
    network = maskrcnn.build(spec, 2).train()
    nothing = [
        [torch.zeros(3, 64, 64, dtype=torch.uint8)],
        [torch.zeros(0, 4)],
        [torch.zeros(0, dtype=torch.long)],
        [torch.zeros(0, 64, 64, dtype=torch.uint8)],
    ]
    figures = maskrcnn.step(network, nothing, Moment(0, 0, (0, 0, 0)), spec)
    figures["loss"].backward()
    assert figures["mask_loss"].item() == 0 and figures["grown"].item() == 0
    gradients = [parameter.grad for parameter in network.mask_head.parameters()]
    assert all((gradient == 0).all() for gradient in gradients)  # there, for other processes


def test_the_defaults_are_the_published_settings():
    spec = MaskRcnn()
    epoch = -(-10_582 // spec.batch_size)  # VOC's images
    assert abs(spec.epochs * epoch - 20_000) < epoch and spec.optimizer.drops == (16_000 / 20_000,)
    assert (spec.backbone.name, spec.optimizer.lr, spec.batch_size) == ("resnet101", 0.008, 8)
    assert spec.augment.short_sides == (416, 440, 464, 488, 512)
    assert (spec.augment.longest, spec.test.short_side, spec.test.longest) == (800, 512, 800)
    assert spec.anchors.sizes == (21, 42, 84, 168, 332) and (spec.grow, spec.grow_above) == (
        True,
        0.9,
    )


def test_instances_are_asked_for(tmp_path):
    rows, spec = table([(8, 8)]), tiny()
    recipe = {"stage": "segmenter", "method": "maskrcnn", "spec": spec.key()}
    recipe |= {"upstream": {"instances": "x"}}
    mine = recipe, rows, ["cat"], tmp_path, MACHINE, tmp_path / "m.safetensors"
    with pytest.raises(UserError, match="is made from x; give its files as --instances"):
        maskrcnn.views(Task(*mine))
    crowd = instance(1, np.ones((8, 8), bool), crowd=True)
    files = {"instances": [stored(tmp_path, rows, [[crowd]])]}
    said = f"{tmp_path}: no training image has an instance to learn from; make the"
    with pytest.raises(UserError, match=said):
        maskrcnn.views(Task(*mine, files=files))


# -- chains ----------------------------------------------------------------------------------------


CONFIG = {
    "datasets": {"digits": {"kind": "digits", "labelled": "all"}},
    "classifiers": {"vanilla": {"method": "vanilla"}},
    "maps": {"cam": {"method": "cam"}},
    "instances": {"boxfill": {"method": "boxfill"}, "drawn": {"method": "full"}},
    "masks": {"irn": {"method": "irn", "instances": True}, "crf": {"method": "crf"}},
    "segmenters": {"rcnn": {"method": "maskrcnn"}},
}


def catalog(*paths, **more):
    return Catalog(CONFIG | {"experiments": list(paths)} | more)


@pytest.mark.parametrize(
    ("path", "upstream", "supervision"),
    [
        ("digits / boxfill / rcnn", {"instances": "boxfill"}, ("boxes",)),
        ("digits / drawn / rcnn", {"instances": "full"}, ("masks",)),
        ("digits / vanilla / cam / irn / rcnn", {"masks": "irn"}, ("tags",)),
    ],
)
def test_what_it_follows(path, upstream, supervision):
    made = catalog(path)
    (segmenter,), (predictions,) = made.of_stage("segmenter"), made.of_stage("predictions")
    assert {role: of.method for role, of in segmenter.upstream.items()} == upstream
    assert segmenter.supervision == predictions.supervision == supervision
    figures = f"{predictions.folder}/instances.csv", f"{predictions.folder}/metrics.csv"
    assert set(figures) <= set(made.figures())


def test_boxes_of_val_are_measured_at_the_largest_size_of_training(tmp_path, monkeypatch):
    sizes = {"augment": {"short_sides": [48, 32], "longest": 80}, "test": {"short_side": 16}}
    rcnn = {"method": "maskrcnn"} | sizes
    (made,) = catalog("digits / drawn / rcnn", segmenters={"rcnn": rcnn}).of_stage("segmenter")
    task = Task(made.recipe, table([(8, 8)]), ["cat"], tmp_path, MACHINE, tmp_path / "m")
    assert task.spec.test.short_side == 512  # the default: predictions' sizes are not in the recipe
    monkeypatch.setattr(maskrcnn, "measure_boxes", lambda task, sides: sides)
    assert maskrcnn.measure(task) == (48, 80)


def test_true_instances_are_a_reference():
    (experiment,) = catalog("digits / drawn / rcnn").experiments
    assert catalog("digits / drawn / rcnn").is_full(experiment)


@pytest.mark.parametrize(
    ("path", "more", "said"),
    [
        (
            "digits / vanilla / cam / crf / rcnn",
            {},
            r"segmenters\.rcnn: maskrcnn needs masks with instances, and masks\.crf \(crf\) has "
            "none; set instances: true in it",
        ),
        (
            "digits / drawn / rcnn",
            {"datasets": {"digits": {"kind": "digits"}}},
            r"instances\.drawn: full learns from masks, and datasets\.digits names none; set label",
        ),
        (
            "digits / self",
            {"masks": {"self": {"method": "predicted", "of": "boxfill/rcnn"}}},
            r"masks\.self\.of: 'boxfill/rcnn' ends in maskrcnn, which gives instances and no "
            "probabilities of each pixel; name a chain with another segmenter",
        ),
    ],
)
def test_what_it_cannot_follow(path, more, said):
    with pytest.raises(ConfigError, match=said):
        catalog(path, **more)


def test_a_data_set_without_true_instances(tmp_path):
    (tmp_path / "tags.csv").write_text("image,tags,split\na.png,cat,train\n")
    places = {"images": str(tmp_path), "masks": str(tmp_path), "tags": str(tmp_path / "tags.csv")}
    mine = {"mine": {"kind": "folder", "classes": ["cat"], "labelled": "all"} | places}
    said = (
        r"instances\.drawn: full learns from true instances, and data sets of kind folder have no"
    )
    with pytest.raises(ConfigError, match=said):
        catalog("mine / drawn", datasets=mine)
