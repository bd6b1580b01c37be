"""The benchmarks: that both sides give the same on tiny inputs, and that tables say what is so."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import __main__ as program
from benchmarks import (
    bbam,
    cam,
    climbing,
    clip,
    crf,
    curve,
    ficklenet,
    instances,
    mctformer,
    objects,
    prototypes,
    saliency,
    store,
    training,
    walk,
)
from benchmarks.material import smooth_maps, smooth_mask
from benchmarks.table import describe_machine, page, quantity, three_digits
from benchmarks.timing import Row, alternate, compared, counted
from tags2masks.config.climbing import AdvCam, Rib
from tags2masks.config.maps import METHODS as MAPS
from tags2masks.config.maps import Cam
from tags2masks.config.object_maps import Bbam
from tags2masks.maps import advcam, rib

pytestmark = pytest.mark.slow

# -- times and tables ------------------------------------------------------------------------------


def test_functions_take_turns_and_every_other_round_goes_backwards(monkeypatch):
    calls, clock = [], SimpleNamespace(now=0)

    def taking(seconds):
        def function():
            calls.append(seconds)
            clock.now += seconds

        return function

    monkeypatch.setattr("benchmarks.timing.time", SimpleNamespace(perf_counter=lambda: clock.now))
    assert alternate([taking(5), taking(2)], 3) == [[5, 5, 5], [2, 2, 2]]
    assert calls == [5, 2, 2, 5, 5, 2]


def test_a_comparison_is_of_medians_and_its_ratio_of_the_rounds_ratios():
    # Ratios 20/1, 20/2 and 90/10: the middle one is 10, though the medians' ratio is 20/2 too.
    row = compared("what", [1, 2, 10], [20, 20, 90], note="so")
    assert row == Row("what", 2, 20, 10, "s", "9 to 20 in 3 rounds; so")
    # Ratios 1, 4, 9: middle 4; medians 2 and 4.
    assert compared("", [4, 1, 2], [4, 4, 18]).ratio == 4
    assert compared("", [4], [2], "MB") == Row("", 4, 2, 0.5, "MB", "")
    assert counted("size", 4, 10, "MB", "n") == Row("size", 4, 10, 2.5, "MB", "n")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.01234, "s", "12.3 ms"),
        (0.9996, "s", "1,000 ms"),
        (1, "s", "1 s"),
        (61.26, "s", "61.3 s"),
        (1234.5, "MB", "1,234 MB"),
        (0.4382, "MB", "0.438 MB"),
        (300, "", "300"),
        (None, "s", "–"),
    ],
)
def test_figures_as_people_read_them(value, unit, text):
    assert quantity(value, unit) == text


def test_small_and_absent_ratios():
    assert [three_digits(v) for v in (0.31234, 9.876, 123.4, None)] == ["0.312", "9.88", "123", "–"]


def test_the_page_by_hand():
    subject = SimpleNamespace(TITLE="Speed", ABOUT="Of things.", HEADINGS=("fast", "plain"))
    rows = [
        Row("walking", 0.5, 2.0, 4.0, "s", "by day"),
        Row("flying", None, None, None, "s", "no wings here"),
    ]
    assert page([(subject, rows)], "Machine: a.", "make bench") == (
        "# Benchmarks\n"
        "\n"
        "Written by `make bench`; do not edit. Machine: a.\n"
        "\n"
        "What is compared takes turns in one run, after a check that both give the same. Figures "
        "are medians over the rounds; a ratio is the second column over the first, the median of "
        "the rounds' own ratios.\n"
        "\n"
        "## Speed\n"
        "\n"
        "Of things.\n"
        "\n"
        "| what | fast | plain | ratio | |\n"
        "|---|---:|---:|---:|---|\n"
        "| walking | 500 ms | 2 s | 4 | by day |\n"
        "| flying | – | – | – | no wings here |\n"
    )


def test_the_machine_is_described():
    text = describe_machine()
    assert torch.cpu.get_capabilities()["cpu_name"] in text
    assert f"torch {torch.__version__.partition('+')[0]}" in text


@pytest.fixture
def canned(monkeypatch, tmp_path):
    """The program with two subjects that measure nothing; gives the page's place."""
    subjects = {
        name: SimpleNamespace(
            TITLE=name,
            ABOUT=f"About {name}.",
            HEADINGS=("one", "two"),
            measure=lambda quick: [Row("quick" if quick else "full", 1, 2, 2, "s", "")],
        )
        for name in ("alpha", "beta")
    }
    monkeypatch.setattr(program, "SUBJECTS", subjects)
    monkeypatch.setattr(program, "PAGE", tmp_path / "docs" / "benchmarks.md")
    return tmp_path / "docs" / "benchmarks.md"


def test_a_whole_run_writes_the_page(canned, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    program.main()
    text = canned.read_text(encoding="utf-8")
    assert "`make bench`" in text and "## alpha" in text and "## beta" in text
    assert "| full | 1 s | 2 s | 2 |" in text
    assert capsys.readouterr().out == text + "\n"


@pytest.mark.parametrize("arguments", [["--quick"], ["--only", "beta"]])
def test_a_part_of_a_run_prints_alone(canned, monkeypatch, capsys, arguments):
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    program.main()
    printed = capsys.readouterr().out
    assert not canned.exists()
    assert f"`python -m benchmarks {' '.join(arguments)}`" in printed
    assert ("quick" in printed, "## alpha" in printed) == ("--quick" in arguments,) * 2


# -- what is compared ------------------------------------------------------------------------------


def test_smooth_maps_are_maps():
    maps = smooth_maps(np.random.default_rng(0), 3, 24, 31)
    assert maps.shape == (3, 24, 31) and maps.dtype == np.float32
    assert maps.min() == 0 and maps.max(axis=(1, 2)).tolist() == [1, 1, 1]
    assert np.abs(np.diff(maps, axis=2)).max() < 0.6  # noise of single pixels would jump by 1
    mask = smooth_mask(maps, [2, 5, 7], (96, 124))
    assert set(np.unique(mask)) == {0, 2, 5, 7, 255}
    assert (mask == 255).sum() == 96 * 124 - 92 * 120


def test_three_curves_agree_and_on_numbers_by_hand():
    limits = np.array([0, 0.4], np.float32)
    scores = np.array([[[0.5, 0.2, 0.4]]], np.float32)
    truth = np.array([[1, 1, 0]], np.uint8)
    for function in (curve.one_pass, curve.plain_loop, curve.best_first_loop):
        matrices = function(scores, [1], truth, limits)
        assert matrices.shape == (2, 21, 21)
        assert matrices[:, :2, :2].tolist() == [[[0, 1], [0, 2]], [[1, 0], [1, 1]]]
    rows = curve.measure(quick=True)
    assert rows[0].what == "plain loop, maps 2 × 30 × 40"
    assert [row.unit for row in rows] == ["s", "s", "s"]


def test_every_way_to_make_maps_gives_the_same():
    network, images, spec = cam.make_network(), torch.rand(2, 3, 24, 37), Cam(scales=(1, 1.5))
    fast = cam.batched(network, images, spec)
    assert fast.shape == (2, 20, 6, 10)
    close = {"atol": 1e-3, "rtol": 1e-3}
    torch.testing.assert_close(cam.one_view_at_a_time(network, images, spec), fast, **close)
    together = cam.one_view_at_a_time(network, images, spec, with_mirror=True)
    torch.testing.assert_close(together, fast, **close)
    torch.testing.assert_close(cam.contiguous(network, images, spec), fast, **close)


def test_saliency_benchmark_counts_the_passes_that_are_needed_and_all_ways_agree():
    batch = saliency.make_batch(4, 16, 16, 5)
    assert batch.tagged.sum(1).tolist() == [1, 2, 1, 3]
    assert saliency.needed_passes(batch, MAPS["saliency"]()) == [(2, 1), (1, 2), (1, 3)]
    sampled = MAPS["smoothgrad"](samples=5, samples_per_pass=3)
    passes = [(3, 1), (2, 1), (3, 2), (2, 2), (3, 1), (2, 1), (3, 3), (2, 3)]
    assert saliency.needed_passes(batch, sampled) == passes
    rows = saliency.measure(quick=True)  # compares the maps too
    assert len(rows) == 6 and rows[2].what.startswith("smoothgrad, 2 images of 32 × 40 × 3 samples")


def test_both_ways_of_random_passes_agree():
    (row, floor) = ficklenet.measure(quick=True)  # compares the maps too
    assert row.what == "3 passes of 8 channels of 4 × 5 cells; expanded"
    assert row.note.endswith("measured for 2, without drawing")
    assert row.plain > 0 and floor.what == "floor: drawing the masks"


def test_attention_added_up_and_kept_agree():
    (row, floor) = mctformer.measure(quick=True)  # compares the maps too
    assert row.what == "an image of 33 × 47; all attention kept"
    assert row.plain > 0 and floor.what == "an image of 33 × 47; floor: the bare pass"


def test_both_ways_of_spreading_agree():
    maps, spreading = clip.measure(quick=True)  # compares the maps too
    assert maps.what == "test_vit, 48 × 64; its bare passes" and maps.note.endswith("images/s")
    assert spreading.what == "spreading on 3 × 4 cells; by the power" and spreading.plain > 0


class OneConvolution(nn.Module):
    """Features are the colours; three weights a class make a score of them."""

    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, 2, 1, bias=False).requires_grad_(False)
        self.head.weight[:] = torch.tensor([[1, 0, 0], [0, 0.3, 0.3]]).view(2, 3, 1, 1)

    def features(self, images):
        return images

    def score_maps(self, features):
        return self.head(features)


def test_half_precision_rounds_and_no_more():
    images, spec = torch.rand(1, 3, 16, 16), Cam(scales=(1,), flip=False, stride=1)
    whole = cam.batched(OneConvolution(), images, spec)
    half = cam.half(OneConvolution(), images, spec)
    assert 0 < (half - whole).abs().max() < 2**-6  # bf16 has 8 bits


def test_flops_by_hand():
    # An image and its mirror, 8 × 8 pixels, 3 colours to 2 classes, two operations each.
    spec, images = Cam(scales=(1,)), torch.rand(1, 3, 8, 8)
    assert cam.flops(OneConvolution(), images, spec) == 2 * 64 * 3 * 2 * 2
    # At half size a quarter of it more.
    assert cam.flops(OneConvolution(), images, Cam(scales=(1, 0.5))) == 1536 + 384


class Passes(OneConvolution):
    """Notes of every forward pass how many images it has, their height, and whether it learns."""

    def __init__(self, classes=2):
        super().__init__()
        self.head = nn.Conv2d(3, classes, 1, bias=False).requires_grad_(False)
        self.normalize = nn.Module()
        self.normalize.mean = torch.zeros(1, 3, 1, 1)
        self.normalize.std = torch.ones(1, 3, 1, 1)
        self.seen = []

    def head_parameters(self):
        return list(self.head.parameters())

    def score_maps(self, features):
        scores = super().score_maps(features)
        self.seen.append((len(features), features.shape[-2], scores.requires_grad))
        return scores


def test_the_bare_climb_has_the_passes_of_the_real_one():
    network, batch = Passes(), climbing.make_batch(2, 8, 6, 2)
    spec = AdvCam(steps=2, scales=(1, 0.5), pairs_per_pass=3)
    maps = advcam.localize(network, batch, spec)
    real, network.seen = network.seen, []
    # 4 pairs in passes of 3 and 1, image and mirror image, 2 steps with gradients and one without.
    assert real[:3] == [(6, 8, True), (6, 8, True), (6, 8, False)]
    assert len(real) == 12
    climbing.bare_climb(network, batch, spec)
    assert network.seen == real
    alone = climbing.one_pair_at_a_time(network, batch, spec)
    torch.testing.assert_close(alone, maps, atol=1e-5, rtol=1e-5)


def test_the_bare_training_has_the_passes_of_the_real_one():
    network, batch = Passes(4), climbing.make_batch(1, 8, 6, 4)
    training = climbing.Noise(8, 4, 4)
    spec = Rib(steps=2, scales=(1, 0.5), companions=3, companions_per_pass=2)
    rib.localize(network, batch, spec, training=training)
    real, network.seen = network.seen, []
    step = [(1, 8, True), (1, 8, False), (2, 4, False), (2, 4, True), (1, 4, True)]
    assert real == [*step, *step, (2, 8, False), (2, 4, False)]
    climbing.bare_training(network, batch, spec, training)
    assert network.seen == real


def test_climbing_and_fine_tuning_are_measured():
    rows = climbing.measure(quick=True)
    assert [row.what.split(",")[0] for row in rows] == ["AdvCAM", "AdvCAM", "RIB"]
    assert all(row.ratio > 0 for row in rows)


def test_folded_looped_and_multiplied_prototypes_give_the_same():
    made, features = prototypes.make_prototypes(6), torch.rand(2, 6, 3, 4)
    fast = prototypes.folded(features, made)
    assert fast.shape == (2, 20, 3, 4)
    for other in (prototypes.looped, prototypes.multiplied):
        torch.testing.assert_close(other(features, made), fast, atol=1e-6, rtol=0)
    rows = prototypes.measure(quick=True)
    assert len(rows) == 7 and rows[5].what.startswith("clustering, 200 of 600 features")
    assert 0.5 < rows[6].ratio < 1.1  # a third of the features gives much the same centres


def test_inertia_by_hand():
    features = np.array([[2, 0], [0, 3], [1, 1]], np.float32)
    # To the direction (1, 0): distances 0, √2 and the third's, 2 − 2 · √½.
    expected = (0 + 2 + 2 - 2**0.5) / 3
    found = prototypes.inertia(features, np.array([[7, 0]], np.float32))
    assert found == pytest.approx(expected)


def test_stored_maps_are_compared():
    rows = {row.what: row for row in store.measure(quick=True)}
    assert rows["number of files"][1:4] == (1, 4, 4)
    # 4 images of two maps of 8 × 10 float16: 1280 bytes.
    plain = rows["size; the float16 numbers, not compressed"]
    assert plain.plain == pytest.approx(0.00128)
    # float32 at full size alone is 4 · 2 · 30 · 40 · 4 bytes.
    assert rows["size of 4 images; stride 4 and full size"].plain > 0.0384
    by_zarr = rows["size; zarr-python"]
    assert by_zarr.fast == pytest.approx(by_zarr.plain, abs=0.0003)  # the shard's own attributes
    assert len(rows) == 14


class Learns(Passes):
    """Notes passes as above; may be consulted, and has what steps ask of a classifier."""

    def __init__(self):
        super().__init__(20)
        self.requires_grad_(True)

    def forward(self, images):
        return self.score_maps(images).mean((2, 3))

    def score_all(self, *batches):
        return [self.score_maps(self.features(images)) for images in batches]


@pytest.mark.parametrize("method", ["vanilla", "puzzle", "occse", "poc", "pnoc"])
def test_the_bare_step_has_the_passes_of_the_real_one(method):
    network, ordinary = Learns(), Learns()
    network.eval()
    spec = training.specs(32)[method]
    batch = training.batch_of(spec, 2, 32)
    seen = []
    for step in (training.real_step, training.bare_step):
        step(network, ordinary, batch, spec)
        seen.append((sorted(network.seen), sorted(ordinary.seen)))
        network.seen, ordinary.seen = [], []
    assert seen[0] == seen[1] and seen[0][0]
    assert bool(seen[0][1]) == (method in ("occse", "poc", "pnoc"))


def test_every_classifiers_training_is_measured():
    rows = training.measure(quick=True)  # compares the double sum too
    methods = list(training.specs(64))
    assert [row.what.split(",")[0] for row in rows[:-3]] == methods
    assert all(row.ratio > 0 for row in rows)


def test_the_training_of_saliency_networks_is_measured():
    rows = objects.measure(quick=True)
    assert [row.what.split(",")[0] for row in rows] == [
        "c2am",
        "c2am_h",
        "c2am in micro-batches of 1",
    ]
    assert all(row.ratio > 0 for row in rows)


def test_crfs_on_two_processes_are_those_on_one():
    (row,) = crf.measure(quick=True)  # compares the masks
    assert row.what == "2 images of 50 × 75" and "images/s against" in row.note


def test_walks_agree_and_take_turns():
    affinities, scores = walk.material(5, 4)
    dense = walk.matrix_of(affinities, scores)
    expected = torch.linalg.matrix_power(dense.double(), 256) @ scores.flatten().double()
    found = walk.sparse(affinities, scores)
    torch.testing.assert_close(found.flatten().double(), expected, atol=1e-5, rtol=0)
    walk.same(found, walk.squared(dense.float(), scores))
    with pytest.raises(AssertionError):
        walk.same(found, found.flip(-1) ** 2)
    rows = walk.measure(quick=True)
    assert rows[0].what == "6 × 8; dense squaring" and rows[-1].unit == "MB"
    assert rows[-1].plain == 4 * 192**2 / 1e6


def test_the_bare_passes_are_those_of_bbam():
    network, seen = bbam.make_network(), []
    pyramid = network.pyramid.forward

    def watched(images):
        seen.append((tuple(images.shape), images.requires_grad))
        return pyramid(images)

    spec = Bbam(steps=2, cell=16, proposals=4, positives=2)
    images, positives = bbam.material(network, 2, (128, 192), spec)
    network.pyramid.forward = watched
    bbam.optimized(network, images, positives, spec, together=2)
    assert seen == [((2, 3, 128, 192), True)] * 2
    bbam.bare_passes(network, images, positives, spec)
    assert seen == [((2, 3, 128, 192), True)] * 4


def test_bbam_is_measured():
    rows = bbam.measure(quick=True)
    assert [row.what.rpartition("; ")[2] for row in rows] == [
        "one at a time", "the bare passes", "batch norm apart"
    ]  # fmt: skip


def test_the_precision_of_instances_is_compared():
    rows = instances.measure(quick=True)
    assert [row.unit for row in rows] == ["s", "s"]
    assert all(row.fast > 0 and row.plain > 0 for row in rows)
    assert "20 images like VOC's: 20 classes" in rows[0].what
