"""Every method that finds objects: odd sizes, a network that learned nothing, a black image.

Parametrised over METHODS: a new method is tested when it is registered.
"""

import numpy as np
import pytest
from PIL import Image

from tags2masks.config.methods import METHODS
from tags2masks.data.index import rows_of
from tags2masks.machine import Machine, prepare
from tags2masks.methods import method_module
from tags2masks.objectness.finding import found
from tags2masks.objectness.given import read_maps
from tests.unit.tiny import CLASSES, SIZES, built, every_option, small, three_images

MACHINE = Machine(threads=1)
APPLIED = [m for m, block in METHODS["objectness"].items() if not block.program]
OPTIONS = [option for option in every_option("objectness") if option[0] in APPLIED]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return three_images(tmp_path_factory.mktemp("data"), [(), CLASSES[:1], CLASSES], [0, 1])


def check(entries):
    """The maps of three images: of their sizes, and shares."""
    entries = {image: (maps, about) for image, maps, about in entries}
    for number, size in enumerate(SIZES):
        maps, about = entries[f"image {number}"]
        assert maps.dtype == np.float16 and about == {"size": list(size)}
        assert maps.shape == (1, *(-(-side // 4) for side in size))
        assert np.isfinite(maps).all() and (maps >= 0).all() and (maps <= 1).all()
    return entries


def applied(data, spec, inverted=False):
    """What `find_objects` stores."""
    prepare(MACHINE, 0)
    network = built("saliency_networks", spec.network)
    if hasattr(network, "inverted"):
        network.inverted.fill_(inverted)
    find = method_module("objectness", {"method": spec.method}).find
    rows = rows_of(data.index, "train")
    return check(found(find, network, rows, data.folder, spec, MACHINE))


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("method", APPLIED)
def test_objects_in_images_of_any_size(data, method, inverted):
    spec = small(METHODS["objectness"][method])
    first, again = (applied(data, spec, inverted) for _ in range(2))
    assert all(np.array_equal(first[image][0], again[image][0]) for image in first)


@pytest.mark.parametrize(("method", "field", "value"), OPTIONS)
def test_objects_by_every_option(data, method, field, value):
    applied(data, small(METHODS["objectness"][method], **{field: value}), inverted=True)


def test_every_other_method_reads_a_folder(data, tmp_path):
    assert set(METHODS["objectness"]) - set(APPLIED) == {"given"}
    for number, size in enumerate(SIZES):
        grey = np.full(size, 51, np.uint8)
        Image.fromarray(grey).save(tmp_path / f"image {number}.png")
    spec = small(METHODS["objectness"]["given"])
    entries = check(read_maps(rows_of(data.index, "train"), tmp_path, spec))
    assert all((maps == np.float16(0.2)).all() for maps, _ in entries.values())


@pytest.mark.parametrize("brightness", [0, 1])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", ["random", "all 0", "all 1"])
@pytest.mark.parametrize("method", METHODS["object_masks"])
def test_masks_of_objects(method, kind, size, brightness):
    rng, cells = np.random.default_rng(0), [1, *(-(-side // 4) for side in size)]
    fill = {"random": rng.random(cells), "all 0": np.zeros(cells), "all 1": np.ones(cells)}
    maps, spec = fill[kind].astype(np.float16), small(METHODS["object_masks"][method])
    image = rng.integers(256, size=(*size, 3), dtype=np.uint8) * brightness
    make = method_module("object_masks", {"method": method}).make_mask
    mask = make(image, maps, spec)
    assert mask.dtype == np.uint8 and mask.shape == size and set(np.unique(mask)) <= {0, 1}
    assert kind == "random" or (mask == (kind == "all 1")).all()
    np.testing.assert_array_equal(mask, make(image, maps, spec))
