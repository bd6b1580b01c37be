"""Every method of maps, and of prototypes: odd sizes, few tags, networks that have learned nothing.

Parametrised over METHODS: a new method is tested when it is registered.
"""

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from tags2masks.config.methods import METHODS
from tags2masks.data.index import images_sha, rows_of
from tags2masks.machine import AUTOCAST, Machine, prepare
from tags2masks.maps.batch import Batch, Localized
from tags2masks.maps.localizing import Material, helpers_of
from tags2masks.maps.objects import Wanted
from tags2masks.methods import method_module
from tags2masks.prototypes.store import write_prototypes
from tests.unit.tiny import CLASSES, MADE, SIZES, built, every_option, small, three_images

MACHINE = Machine(threads=1)
ALL, ONE, NONE = [True] * 3, [False, True, False], [False] * 3
ODD = SIZES[1]
# Methods by their program; the stage's is that of maps of a classifier. Maps that are read, and not
# made, have tests of their own (test_given_maps.py).
BY_PROGRAM = {
    program: [method for method, block in METHODS["maps"].items() if block.program == program]
    for program in (None, "average_maps", "localize_objects", "read_maps")
}
LOCALIZING = BY_PROGRAM[None]
OPTIONS = [option for option in every_option("maps") if option[0] in LOCALIZING]


def nothing_learned(network: nn.Module) -> None:
    """As it was built, with random weights."""


def head_of_zeros(network: nn.Module) -> None:
    """Every class scores 0 everywhere."""
    for parameter in network.head_parameters():
        parameter.zero_()


def head_below_zero(network: nn.Module) -> None:
    """No class scores above 0 anywhere, the features being rectified."""
    for weight in network.head.parameters():
        weight.copy_(-weight.abs())


def weights_of_zeros(network: nn.Module) -> None:
    """Every feature is 0, as where training has diverged."""
    for parameter in network.parameters():
        parameter.zero_()


# Size of the images, tags of each, highest brightness, and the network.
CASES = {
    **{f"{h}x{w}": ((h, w), [NONE, ONE, ALL], 1, nothing_learned) for h, w in SIZES},
    "one image": (ODD, [ALL], 1, nothing_learned),
    "no tag": (ODD, [NONE], 1, nothing_learned),
    "black": (ODD, [ONE, ALL], 0, nothing_learned),
    "head of zeros": (ODD, [ONE, ALL], 1, head_of_zeros),
    "head below zero": (ODD, [ONE, ALL], 1, head_below_zero),
    "weights of zeros": (ODD, [ONE, ALL], 1, weights_of_zeros),
}


@pytest.fixture(autouse=True)
def _repeatable():
    prepare(MACHINE, 0)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Training images: of one class, of all, of none."""
    return three_images(tmp_path_factory.mktemp("data"), [CLASSES[:1], CLASSES, ()], [0])


@pytest.fixture(scope="module")
def given(data):
    """What `giver` gives, with classifiers as `small` makes them."""
    return giver(data)


def giver(data, **changes):
    """A function from a spec and a change of weights to the network and helpers of its method.

    changes: of the classifiers' blocks.
    """

    @cache
    def network_of(needs, change):
        blocks = [
            small(block, **{name: of for name, of in changes.items() if name in block.model_fields})
            for block in METHODS["classifiers"].values()
        ]
        network = built("classifiers", next(b for b in blocks if b.offers >= set(needs)))
        with torch.no_grad():
            change(network)
        return network

    @cache
    def prototypes_of(spec, needs, change):
        path = data.folder / f"{'-'.join([*needs, change.__name__])}.zarr.zip"
        found = prototypes(data, network_of(needs, change), spec)
        sha = images_sha(rows_of(data.index, "train"))
        write_prototypes(path, {"id": MADE}, sha, zip(CLASSES, found, strict=True))
        return path

    def make(spec, change):
        network, files = network_of(spec.needs, change), {}
        if "prototypes" in spec.helpers:
            files["prototypes"] = prototypes_of(spec.prototypes, spec.needs, change)
        if "masks" in spec.helpers:
            files["masks"] = data.files["masks"][0]
        upstream = data.upstream | {"prototypes": MADE}
        material = Material(data.index, data.folder, CLASSES, MACHINE, upstream, files)
        return network, helpers_of(spec, material)

    return make


def prototypes(data, network, spec):
    """The prototypes of every class in the training images, by the spec's method."""
    module, rows = (
        method_module("prototypes", {"method": spec.method}),
        rows_of(data.index, "train"),
    )
    return [
        module.prototypes_of_class(
            network,
            rows[[name in tags for tags in rows["tags"]]].reset_index(drop=True),
            data.folder,
            number,
            spec,
            0,
            MACHINE,
        )
        for number, name in enumerate(CLASSES)
    ]


def batch_of(size, tags, brightness):
    """Random images of a size, with these tags."""
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(len(tags), 3, *size, generator=generator) * brightness
    names = [f"image {number}" for number in range(len(tags))]
    return Batch(images, torch.tensor(tags), range(5, 5 + len(tags)), names)


def check(given, spec, case):
    """The maps of a case have the documented shape and range, and are the same twice."""
    size, tags, brightness, change = CASES[case]
    network, helpers = given(spec, change)
    batch, dtype = batch_of(size, tags, brightness), AUTOCAST[spec.precision]
    if "masks" in helpers:
        drawn = np.random.default_rng(0).choice(np.array([0, 1, 255], np.uint8), size)
        helpers["masks"] = dict.fromkeys(batch.names[1:], drawn).get  # the first has none
    localize = method_module("maps", {"method": spec.method}).localize
    with torch.autocast("cpu", dtype, enabled=dtype is not None):
        found, again = (localize(network, batch, spec, **helpers) for _ in range(2))
    if getattr(spec, "keep_steps", False):
        assert isinstance(found, Localized)
        assert found.steps.shape[:2] == batch.tagged.shape
        assert found.steps.shape[3:] == found.maps.shape[2:]
        steps = found.steps[batch.tagged].to(torch.float16)
        assert ((steps >= 0) & steps.isfinite() | steps.isnan()).all()
        assert steps[:, 0].isfinite().all()
        assert torch.equal(found.steps.nan_to_num(-1), again.steps.nan_to_num(-1))
        restricts = spec.method == "advcam" and spec.restrict_weight > 0 and spec.steps > 0
        assert (found.restricted is not None) == restricts
        if restricts:
            assert found.restricted[:, :, 0].shape == found.maps.shape
            assert found.restricted.shape[2] == found.steps.shape[2] - 1
            assert ((found.restricted >= 0) & (found.restricted <= 1)).all()
            assert torch.equal(found.restricted, again.restricted)
    if isinstance(found, Localized):
        assert (found.passes is not None) == ("passes" in spec.offers)
        if found.passes is not None:
            assert found.passes.shape == (*found.maps.shape[:2], 2, *found.maps.shape[2:])
            assert ((found.passes >= 0) & (found.passes <= 1)).all()
            assert (found.passes[:, :, 0] <= found.passes[:, :, 1]).all()
            assert torch.equal(found.passes, again.passes)
        found, again = found.maps, again.maps
    assert found.shape == (*batch.tagged.shape, *(-(-side // spec.stride) for side in size))
    present = found[batch.tagged].to(torch.float16)
    assert present.isfinite().all() and (present >= 0).all() and (present <= 1).all()
    assert torch.equal(found, again)
    may_be_zero = "all zero where" in " ".join(localize.__doc__.split())
    if change is nothing_learned and brightness and len(present) and not may_be_zero:
        assert present.max() > 0.9


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("method", BY_PROGRAM["average_maps"])
def test_maps_made_from_maps_are_in_form(method, size, count):
    spec, rng = small(METHODS["maps"][method]), np.random.default_rng(0)
    fine, coarse = (
        rng.random((count, *(-(-side // stride) for side in size))).astype(np.float16)
        for stride in (4, 16)
    )
    module = method_module("maps", {"method": method})
    for maps in ([fine, coarse], [fine * 0, coarse * 0], [fine, fine * 0 + 1]):
        mean, again = (module.average(maps, spec) for _ in range(2))
        assert mean.dtype == np.float16 and mean.shape == fine.shape
        assert np.isfinite(mean).all() and (mean >= 0).all() and (mean <= 1).all()
        np.testing.assert_array_equal(mean, again)


def test_every_method_is_of_one_of_these_programs():
    assert {method for methods in BY_PROGRAM.values() for method in methods} == set(METHODS["maps"])


def one_class_alone(network: nn.Module) -> None:
    """Every box is of the second class."""
    network.roi_heads.box_predictor.cls_score.bias[2] = 9


OF_OBJECTS = [(method, {}) for method in BY_PROGRAM["localize_objects"]] + [
    (method, {field: value})
    for method, field, value in every_option("maps")
    if method in BY_PROGRAM["localize_objects"]
]


@pytest.mark.parametrize("change", [nothing_learned, one_class_alone, weights_of_zeros])
@pytest.mark.parametrize(("method", "option"), OF_OBJECTS)
def test_masks_of_objects_are_in_form(method, option, change):
    spec = small(METHODS["maps"][method], **option)
    network = built("detectors", small(METHODS["detectors"]["fasterrcnn"]))
    with torch.no_grad():
        change(network)
    localize = method_module("maps", {"method": method}).localize
    for height, width in SIZES:
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(2, 3, height, width, generator=generator)
        edges = ([0, 0, width, height], [0, 0, 1, 1], [width - 1, height - 1, width, height])
        objects = [
            Wanted(number % 2, torch.tensor(box, dtype=torch.float), 1 + number, number)
            for number, box in enumerate(edges)
        ]
        found, again = (localize(network, images, objects, spec) for _ in range(2))
        assert len(found) == 3
        for (grid, count), (same, _) in zip(found, again, strict=True):
            assert grid.ndim == 2 and grid.isfinite().all() and torch.equal(grid, same)
            assert (grid >= 0).all() and (grid <= 1).all() and (count or not grid.any())
        if change is one_class_alone:
            assert [bool(count) for _, count in found] == [False, True, False]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", LOCALIZING)
def test_maps_are_in_form(given, method, case):
    check(given, small(METHODS["maps"][method]), case)


@pytest.mark.parametrize(("method", "field", "value"), OPTIONS)
def test_maps_by_every_option_are_in_form(given, method, field, value):
    for case in ("37x53", "head of zeros"):
        check(given, small(METHODS["maps"][method], **{field: value}), case)


@pytest.mark.parametrize(
    "change", [nothing_learned, head_of_zeros, weights_of_zeros], ids=lambda c: c.__name__
)
@pytest.mark.parametrize("method", METHODS["prototypes"])
def test_prototypes_are_in_form(data, given, method, change):
    network, _ = given(small(METHODS["maps"]["cam"]), change)
    spec = small(METHODS["prototypes"][method])
    found, again = (prototypes(data, network, spec) for _ in range(2))
    for one, other in zip(found, again, strict=True):
        for part, same in zip(one[:5], other[:5], strict=True):
            assert len(part) == len(one.vectors)
            np.testing.assert_array_equal(part, same)
        assert np.isfinite(one.vectors).all()
        assert ((one.scores >= 0) & (one.scores <= 1)).all()
        assert one.nearest == other.nearest and len(one.nearest) == len(one.vectors)
