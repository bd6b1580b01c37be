"""Every method of masks: odd sizes, no class, all classes, maps with nothing in them.

Parametrised over METHODS: a new method is tested when it is registered.
"""

import numpy as np
import pandas as pd
import pytest
import torch

from tags2masks.config.base import Entry
from tags2masks.config.methods import METHODS
from tags2masks.data.labelled import TrueMasks
from tags2masks.instance_store import instance
from tags2masks.machine import Machine, prepare
from tags2masks.masks.full import labelled_masks
from tags2masks.masks.single import Made
from tags2masks.methods import method_module
from tags2masks.palette import write_palette_png
from tags2masks.walks.walking import divided
from tests.unit.tiny import SIZES, built, every_option, small

IDS = [7, 2, 20]
CHOSEN = {"background_score": 0.45, "areas": {"score": [0, 1], "share": [1, 0]}}
STRIDE = 4

MAPS = {
    "random": lambda maps: np.random.default_rng(1).random(maps.shape),
    "all 0": lambda maps: maps,
    "all 1": lambda maps: maps + 1,
    "constant": lambda maps: maps + 0.4,
    "one pixel": lambda maps: maps + (np.indices(maps.shape[1:]).sum(0) == 0),
}


@pytest.fixture(autouse=True)
def _repeatable():
    prepare(Machine(threads=1), 0)


def stored(kind, size, count):
    """Maps of an image as a shard has them, float16 [count, ceil(H / 4), ceil(W / 4)]."""
    zeros = np.zeros((count, *(-(-side // STRIDE) for side in size)))
    return MAPS[kind](zeros).astype(np.float16)


def by_make_mask(spec, image, maps, ids, folder):
    """As `make_masks` does it; a method with `scores` gives those the mask is made from."""
    module = method_module("masks", {"method": spec.method})
    if isinstance(getattr(spec, "background_score", None), Entry):
        spec = spec.at_score(CHOSEN)  # an artifact of its own
    if spec.derived:
        maps, ids = walked(spec, image, maps, ids)
    if spec.has_curve:
        scores = module.scores(image, maps, spec)
        assert scores.dtype == np.float32 and scores.shape == (len(ids), *image.shape[:2])
        assert np.isfinite(scores).all() and (scores >= 0).all() and (scores <= 1).all()
        np.testing.assert_array_equal(scores, module.scores(image, maps, spec))
    may_ignore = "255" in module.make_mask.__doc__
    further = {"saliency": stored("random", image.shape[:2], 1)} if _guided(spec) else {}
    further |= {kind: np.stack([maps * np.float16(0.5), maps], 1) for kind in spec.needs}
    made = module.make_mask(image, maps, ids, spec, **further)
    if not isinstance(made, Made):
        return made, may_ignore
    if "probabilities" in made.further:
        probabilities = made.further["probabilities"]
        assert probabilities.dtype == np.uint8
        assert probabilities.shape == (2, 1 + len(ids), *image.shape[:2])
    if getattr(spec, "instances", False):
        codes, rows = made.further["instances"], made.attributes["instances"]
        assert codes.dtype == np.uint8 and len(codes) == sum(row[6] for row in rows)
        assert all(row[0] in ids and 0 <= row[1] <= 1 for row in rows)
    return made.mask, may_ignore


def _guided(spec):
    """Whether maps of objects guide the method."""
    return getattr(spec, "saliency", None) is not None


def walked(spec, image, maps, ids):
    """As `walk_shard` does it, with an affinity network that has learned nothing."""
    network = built("affinity", spec.affinity)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    refine = method_module("walks", {"method": spec.method}).refine
    walk = spec.walk
    if isinstance(getattr(walk, "background_score", None), Entry):
        walk = walk.at_score(CHOSEN)
    ((scores, of_class),) = refine(network, pixels, [maps], walk)
    assert scores.dtype == np.float32 and scores.ndim == 3 and len(scores) == len(of_class)
    assert np.isfinite(scores).all() and (scores >= 0).all() and (scores <= 1).all()
    class_ids = np.array([*ids, 0], np.uint8)[of_class]
    return divided(scores).astype(np.float16), class_ids.tolist()


def by_reading(spec, image, maps, ids, folder):
    """As `read_masks` does it: no maps, but a mask that a person drew."""
    drawn = np.random.default_rng(0).choice(np.array([0, 255, *ids], np.uint8), image.shape[:2])
    write_palette_png(folder / "mask.png", drawn)
    rows = pd.DataFrame({"image": ["a"], "height": [len(image)], "width": [image.shape[1]]})
    table = np.arange(256, dtype=np.uint8)
    ((_, mask, _),) = labelled_masks(rows, TrueMasks({"a": folder / "mask.png"}, table))
    np.testing.assert_array_equal(mask, drawn)
    return mask, True


def by_predicting(spec, image, maps, ids, folder):
    """As `predict_masks` does it: no maps, but a segmenter's probabilities of all classes."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(max(IDS) + 1), image.shape[:2]).astype(np.float32)
    module = method_module("masks", {"method": spec.method})
    mask = module.make_mask(image, shares.transpose(2, 0, 1), ids, spec)
    assert spec.tags or set(np.unique(mask)) - {0, 255, *ids}  # other classes as well
    return np.where(np.isin(mask, [0, 255, *ids]), mask, 0).astype(np.uint8), True


def by_checking(spec, image, maps, ids, folder):
    """As `check_masks` does it: no maps, but masks of any kind, and maps of objects."""
    drawn = np.random.default_rng(0).choice(np.array([0, 255, *ids], np.uint8), image.shape[:2])
    module = method_module("masks", {"method": spec.method})
    return module.make_mask(drawn, spec, stored("random", image.shape[:2], 1)), True


def by_voting(spec, image, maps, ids, folder):
    """As `vote_masks` does it: no maps, but the masks of several chains."""
    rng, size = np.random.default_rng(0), (len(spec.of), *image.shape[:2])
    drawn = rng.choice(np.array([0, 255, *ids], np.uint8), size)
    return method_module("masks", {"method": spec.method}).make_mask(list(drawn), spec), True


def by_refining(spec, image, maps, ids, folder):
    """As `refine_by_segments` does it: no maps, but masks of any kind, and segments of any form."""
    rng, size = np.random.default_rng(0), image.shape[:2]
    drawn = rng.choice(np.array([0, 255, *ids], np.uint8), size)
    segments = [instance(0, rng.random(size) < share) for share in (0.2, 0, 0.9, 1)]
    return method_module("masks", {"method": spec.method}).make_mask(drawn, spec, segments), True


def by_merging(spec, image, maps, ids, folder):
    """As `merge_instances` does it: no maps, but instances of any form, of some of the classes."""
    rng, size = np.random.default_rng(0), image.shape[:2]
    found = [instance(each, rng.random(size) < share) for each in ids[:2] for share in (0.3, 0)]
    return method_module("masks", {"method": spec.method}).make_mask(size, found, ids), True


BY_PROGRAM = {
    None: by_make_mask,
    "read_masks": by_reading,
    "predict_masks": by_predicting,
    "check_masks": by_checking,
    "vote_masks": by_voting,
    "merge_instances": by_merging,
    "refine_by_segments": by_refining,
}


def check(spec, size, kind, ids, folder, brightness=1):
    """The mask has the image's size and ids of its classes, and is the same twice."""
    image = np.random.default_rng(0).integers(256, size=(*size, 3), dtype=np.uint8) * brightness
    make, maps = BY_PROGRAM[spec.program], stored(kind, size, len(ids))
    before = image.copy(), maps.copy()
    (mask, may_ignore), (again, _) = (make(spec, image, maps, ids, folder) for _ in range(2))
    assert mask.dtype == np.uint8 and mask.shape == size
    assert set(np.unique(mask)) <= {0, *ids, *([255] if may_ignore else [])}
    np.testing.assert_array_equal(mask, again)
    for given, copy in zip((image, maps), before, strict=True):
        np.testing.assert_array_equal(given, copy)


@pytest.mark.parametrize("ids", [[], IDS], ids=["no class", "all classes"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("method", METHODS["masks"])
def test_masks_of_any_size_are_in_form(tmp_path, method, size, ids):
    check(small(METHODS["masks"][method]), size, "random", ids, tmp_path)


@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("method", METHODS["masks"])
def test_masks_of_empty_and_full_maps_are_in_form(tmp_path, method, kind):
    for ids in (IDS[:1], IDS):
        check(small(METHODS["masks"][method]), SIZES[1], kind, ids, tmp_path)
        check(small(METHODS["masks"][method]), SIZES[0], kind, ids, tmp_path, brightness=0)


@pytest.mark.parametrize("disagreement", ["ignored", "cut"])
@pytest.mark.parametrize("options", [{}, {"keep_probabilities": True}], ids=str)
@pytest.mark.parametrize("method", ["confident", "agreed"])
def test_guided_labels_are_in_form(tmp_path, method, options, disagreement):
    block = METHODS["masks"][method]
    own = {name: value for name, value in options.items() if name in block.model_fields}
    spec = small(block, saliency="c2am", disagreement=disagreement, **own)
    for kind in MAPS:
        for ids in ([], IDS):
            check(spec, SIZES[1], kind, ids, tmp_path)
            check(spec, SIZES[0], kind, ids, tmp_path, brightness=0)


@pytest.mark.parametrize("kind", MAPS)
def test_masks_of_passes_with_a_guide_are_in_form(tmp_path, kind):
    spec = small(METHODS["masks"]["any_pass"], saliency="c2am")
    for ids in ([], IDS):
        check(spec, SIZES[1], kind, ids, tmp_path)


@pytest.mark.parametrize(("method", "field", "value"), every_option("masks"))
def test_masks_by_every_option_are_in_form(tmp_path, method, field, value):
    spec = small(METHODS["masks"][method], **{field: value})
    for kind in MAPS:
        check(spec, SIZES[1], kind, IDS, tmp_path)
    check(spec, SIZES[0], "random", [], tmp_path)
