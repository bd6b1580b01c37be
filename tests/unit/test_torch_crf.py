"""The mean field in torch: the lattice by hand and against plain sums, and pydensecrf's labels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from tags2masks.config.crf import (
    Bilateral,
    Gaussian,
    LabelCrf,
    crf_processes,
    crfs_in,
    on_device,
)
from tags2masks.config.inference import Inference, NetworkCrf
from tags2masks.config.instances import BoxCrf
from tags2masks.config.masks import Agreed, Crf, Irn
from tags2masks.config.object_masks import ObjectCrf
from tags2masks.errors import UserError
from tags2masks.instances import boxcrf
from tags2masks.masks import agreed, dense_crf, label_crf, torch_crf
from tags2masks.masks.crf import make_mask
from tags2masks.masks.permutohedral import build, filtered
from tags2masks.object_masks import crf as object_crf
from tags2masks.stages import STAGES
from tags2masks.workflow.plan import Plan

ANIMALS = Path(__file__).resolve().parents[3] / "shared" / "data" / "voc12_animals"
TORCH = {"backend": "torch"}


def smooth_probabilities(labels, height, width, seed=0):
    """Probabilities that wander smoothly, float32 [L, H, W]."""
    noise = torch.rand((1, labels, 5, 6), generator=torch.Generator().manual_seed(seed))
    size = (height, width)
    logits = torch.nn.functional.interpolate(noise, size, mode="bicubic", align_corners=True)
    return (8 * logits[0]).softmax(0).numpy()


# -- the lattice -----------------------------------------------------------------------------------


def test_one_point_by_hand():
    # In one dimension it lies on vertex 0, beside vertex 1. Blurring along the first axis gives
    # (1, 1/2), along the second (5/4, 1); the constant is 1 / (1 + 1/2).
    lattice = build(torch.zeros(1, 1))
    assert lattice.weights.tolist() == [[1, 0]] and lattice.corners.tolist() == [[0, 1]]
    assert filtered(lattice, torch.ones(1, 1)).item() == pytest.approx(5 / 6)


def test_weights_are_barycentric_and_vertices_stand_once():
    features = torch.randn((500, 5), generator=torch.Generator().manual_seed(0)) * 3
    lattice = build(features)
    assert (lattice.weights >= -1e-5).all()
    torch.testing.assert_close(lattice.weights.sum(1), torch.ones(500))
    assert sorted(lattice.corners.unique().tolist()) == list(range(len(lattice.starts)))
    assert all(len(set(row)) == 6 for row in lattice.corners.tolist())
    # A step along an axis and back ends where it began.
    count = len(lattice.starts)
    for before, after in zip(lattice.before, lattice.after, strict=True):
        there = before[:-1][before[:-1] < count]
        assert len(there) > 0
        assert (after[there] == (before[:-1] < count).nonzero()[:, 0]).all()


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_filtered_is_the_plain_sum_over_all_pairs(dimensions):
    """Means under the kernel; the lattice is right to a twelfth of what they change."""
    generator = torch.Generator().manual_seed(1)
    points = torch.rand((2000, dimensions), generator=generator) * 3
    values = torch.stack([torch.sin(points[:, 0]), points.sum(1) / dimensions], 1)
    kernel = torch.exp(-(torch.cdist(points, points) ** 2) / 2)
    exact = kernel @ values / kernel.sum(1, keepdim=True)
    lattice = build(points)
    found = filtered(lattice, values) / filtered(lattice, torch.ones(2000, 1))
    change = (values - exact).abs().mean()
    assert change > 0.1 and (found - exact).abs().mean() < change / 12


def test_points_too_far_apart_are_refused():
    features = torch.zeros(2, 5)
    features[1] = 1e6
    with pytest.raises(UserError, match="sxy and srgb, are too small for an image of this size"):
        build(features)


# -- against pydensecrf ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
@pytest.mark.parametrize("spec", [LabelCrf(), NetworkCrf()], ids=["labels", "network"])
def test_labels_of_photographs_are_pydensecrfs(name, spec):
    image = getattr(data, name)()[40:200, 60:261]  # an odd size
    shares = smooth_probabilities(5, *image.shape[:2])
    expected = dense_crf.on_probabilities(image, shares, spec)
    found = dense_crf.on_probabilities(image, shares, spec.model_copy(update=TORCH))
    assert found.dtype == np.float32 and found.shape == (5, 160, 201)
    assert (shares.argmax(0) != expected.argmax(0)).mean() > 0.1  # the field changes a lot
    assert (found.argmax(0) == expected.argmax(0)).mean() >= 0.995
    assert abs(found - expected).mean() < 1e-4


def test_sizes_that_fill_no_register_and_thin_images():
    """pydensecrf adds points at the origin up to a multiple of four."""
    for height, width in ((13, 7), (1, 9), (30, 1)):
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
        shares = smooth_probabilities(2, height, width)
        expected = dense_crf.on_probabilities(image, shares, LabelCrf())
        found = dense_crf.on_probabilities(image, shares, LabelCrf(**TORCH))
        np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(not ANIMALS.is_dir(), reason="needs the animals of VOC beside the repository")
def test_labels_of_voc_are_pydensecrfs():
    """Seeds are true masks moved by ten pixels, with holes."""
    files = sorted((ANIMALS / "SegmentationClass").glob("*.png"))[:12]
    same = total = 0
    for file in files:
        labels = np.roll(np.array(Image.open(file)), (10, -10), (0, 1))
        labels[labels == 255] = 0
        labels[::9, ::7] = 0
        image = np.array(Image.open(ANIMALS / "JPEGImages" / f"{file.stem}.jpg").convert("RGB"))
        expected = label_crf.refine(image, labels, LabelCrf())
        same += (label_crf.refine(image, labels, LabelCrf(**TORCH)) == expected).sum()
        total += labels.size
    assert len(files) == 12 and same / total >= 0.995


def test_the_same_bytes_each_time_whatever_the_number_of_threads():
    image, shares = data.coffee()[:90, :120], smooth_probabilities(3, 90, 120)
    before, seen = torch.get_num_threads(), []
    for threads in (1, 2, 1):
        torch.set_num_threads(threads)
        seen.append(dense_crf.on_probabilities(image, shares, NetworkCrf(**TORCH)).tobytes())
    torch.set_num_threads(before)
    assert seen[0] == seen[1] == seen[2]


def test_the_configs_extremes_are_fields_of_finite_numbers():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    narrow = {"gaussian": Gaussian(sxy=0.5), "bilateral": Bilateral(sxy=0.5, srgb=0.1)}
    found = dense_crf.on_probabilities(
        image, smooth_probabilities(2, 40, 60), NetworkCrf(**TORCH, **narrow)
    )
    assert np.isfinite(found).all()


def test_no_finite_numbers_are_told():
    spec = LabelCrf(**TORCH, gaussian=Gaussian().model_copy(update={"compat": float("inf")}))
    image, shares = data.coffee()[:9, :12], smooth_probabilities(2, 9, 12)
    with pytest.raises(UserError, match="the CRF gave no finite numbers; lower compat, inf of gau"):
        dense_crf.on_probabilities(image, shares, spec)


# -- the option ------------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch):
    """How often the mean field was computed in torch."""
    seen = []

    def counted(image, unary, spec, real=torch_crf.mean_field):
        seen.append(spec.device)
        return real(image, unary, spec)

    monkeypatch.setattr(torch_crf, "mean_field", counted)
    return seen


def test_methods_of_every_stage_use_it(calls):
    image = data.coffee()[:60, :80]
    maps = smooth_probabilities(2, 15, 20).astype(np.float16)
    shares = smooth_probabilities(3, 60, 80)
    own = [
        (make_mask, (image, maps, [1, 2]), Crf(background_score=0.4)),
        (agreed.make_mask, (image, maps, [1, 2]), Agreed(low_power=4, high_power=32)),
        (object_crf.make_mask, (image, maps[:1]), ObjectCrf(score=0.5)),
        (lambda *a: dense_crf.refined(a[:2], a[2]), (image, shares), NetworkCrf()),
        (lambda *a: next(iter(boxcrf.make_masks(*a))), (image, [(5, 5, 50, 50)]), BoxCrf()),
    ]
    for function, given, spec in own:
        expected, before = function(*given, spec), len(calls)
        found = function(*given, spec.model_copy(update=TORCH))
        assert len(calls) > before
        expected, found = (getattr(each, "mask", each) for each in (expected, found))
        assert (found == expected).mean() >= 0.995


def test_pydensecrf_is_called_in_one_place():
    root = Path(__file__).resolve().parents[2]
    files = [*(root / "tags2masks").rglob("*.py"), *(root / "workflow_scripts").glob("*.py")]
    users = [file.stem for file in files if "pydensecrf.densecrf" in file.read_text()]
    assert users == ["dense_crf"]


def test_the_option_is_in_the_key_only_if_it_is_set():
    assert "backend" not in Crf(background_score=0.3).key()
    assert Crf(background_score=0.3, **TORCH).key()["backend"] == "torch"
    assert Inference(crf=TORCH).key()["crf"]["backend"] == "torch"
    assert "backend" not in Inference(crf={}).key()["crf"]


def test_the_jobs_device_reaches_the_crfs_of_a_block():
    block = Irn(background_score=0.3, crf=TORCH)
    placed = on_device(block, "cuda")
    assert [crf.device for crf in crfs_in(placed)] == ["cuda", "cpu"]  # the labels are pydensecrf's
    assert [crf.device for crf in crfs_in(block)] == ["cpu", "cpu"]
    assert placed.key() == block.key()
    assert [crf_processes(each, 8) for each in (block, placed)] == [8, 1]
    assert crf_processes(on_device(Crf(background_score=0.3), "cuda"), 8) == 8
    # A chosen background score comes later, and keeps the device.
    placed = on_device(Crf(**TORCH), "cuda").at_score({"background_score": 0.2})
    assert (placed.device, placed.background_score) == ("cuda", 0.2)


def test_jobs_ask_for_a_gpu_only_if_they_use_it():
    plan = Plan(
        {
            "device": "cuda",
            "datasets": {"digits": {"kind": "digits"}},
            "classifiers": {"vanilla": {"method": "vanilla"}},
            "maps": {"cam": {"method": "cam"}},
            "masks": {
                "crf": {"method": "crf", "background_score": 0.3},
                "quick": {"method": "crf", "background_score": 0.3, **TORCH},
            },
            "experiments": ["digits / vanilla / cam / {crf,quick}"],
        }
    )
    asked = {}
    for artifact in plan.of_stage("masks"):
        wildcards = type("Wildcards", (), {"dataset": "digits", "id": artifact.id})
        asked[artifact.block.backend] = plan.gpus(STAGES["masks"], 1)(wildcards)
    assert asked == {"pydensecrf": 0, "torch": 1}
