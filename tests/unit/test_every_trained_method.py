"""Every method that trains: odd sizes, no tag, all tags, no label; the same twice and after a kill.

Parametrised over METHODS: a new method is tested when it is registered.
"""

import numpy as np
import pytest
import torch

from tags2masks.config.methods import METHODS
from tags2masks.data.index import rows_of
from tags2masks.data.masked import MaskedViews
from tags2masks.machine import Machine, prepare
from tags2masks.mask_ids import IGNORED
from tags2masks.methods import learning_module, part_blocks
from tags2masks.segmenters.applying import entries_of
from tags2masks.stages import STAGES, giving
from tags2masks.task import Task, train
from tests.unit.tiny import (
    CLASSES,
    MADE,
    built,
    every_option,
    options,
    small,
    smaller,
    three_images,
)

MACHINE = Machine(threads=1)
STAGE_OF = {STAGES[name].package: name for name in giving("network")}
EVERY = [
    (package, method)
    for package in STAGE_OF
    for method, block in METHODS[package].items()
    if not block.program  # `clip` trains nothing
]
OPTIONS = [
    (package, *option)
    for package in STAGE_OF
    for option in every_option(package)
    if (package, option[0]) in EVERY
]

# Tags of the three images, and what their labels are drawn from.
DATA = {
    "mixed": ([(), CLASSES[:1], CLASSES], [0, 1, 2, 3, IGNORED]),
    "no tag, no label": ([()] * 3, [IGNORED]),
    "all tags, background": ([CLASSES] * 3, [0]),
}


def test_every_method_has_its_tester():
    tested = {"maps", "prototypes", "scores", "walks", "masks", *STAGE_OF}
    tested |= {"ood", "objectness", "object_masks", "features", "instances", "segments", "texts"}
    assert tested == set(METHODS), "write a tests/unit/test_every_….py for what the stage makes"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """All of `DATA`, by name; again, as `…, patches`, with a classifier on a vision transformer."""
    vit = {"backbone": {"name": "test_vit", "weights": None}}
    return {
        name + suffix: three_images(tmp_path_factory.mktemp("data"), tags, labels, **changes)
        for name, (tags, labels) in DATA.items()
        for suffix, changes in (("", {}), (", patches", vit))
    }


def test_no_view_shows_the_only_label(data):
    data, spec = data["no tag, no label"], small(METHODS["segmenters"]["deeplabv2"])
    rows, files = rows_of(data.index, "train"), data.files["masks"]
    views = MaskedViews(rows, data.folder, files, MADE, spec.augment, spec.backbone.mean)
    draws = [(row, 3, epoch, place) for row in range(3) for epoch in range(9) for place in range(3)]
    assert all((views[draw][1] == IGNORED).all() for draw in draws)


def trained(data, folder, package, method, **changes):
    """The weights and rows of two steps from seed 3, and of every file that the training wrote."""
    spec = small(METHODS[package][method], **changes)
    values = {name: value for name, value in spec.key().items() if name not in spec.derived}
    recipe = {"stage": STAGE_OF[package], "method": method, "spec": values, "seed": 3}
    task = Task(
        recipe | {"upstream": data.upstream, "dataset": data.dataset},
        data.index,
        CLASSES,
        data.folder,
        MACHINE,
        folder / "model.safetensors",
        files=data.files,
        labelled=data.labelled,
        mask_root=data.folder,
        candidates=data.candidates,
        candidate_root=data.folder,
        boxes=data.boxes,
        val_boxes=data.val_boxes,
    )
    folder.mkdir(exist_ok=True)
    prepare(MACHINE, 3)
    network, rows = train(task)
    for row in rows:
        row.pop("images_per_s")
        row.pop("val_map", None)  # of one image none can be said
        assert np.isfinite(list(row.values())).all(), row
    assert len(rows) == spec.epochs
    assert all(weight.isfinite().all() for weight in network.state_dict().values())
    written = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    return network.state_dict(), rows, written


def same(one, other):
    """Whether two trainings gave the same bytes and rows."""
    (weights, *rest), (again, *others) = one, other
    return rest == others and all(torch.equal(weights[name], again[name]) for name in weights)


@pytest.mark.parametrize(("package", "method"), EVERY)
def test_a_training_is_the_same_twice_and_when_killed(data, tmp_path, monkeypatch, package, method):
    same_twice_and_when_killed(data["mixed"], tmp_path, monkeypatch, package, method)


def same_twice_and_when_killed(data, tmp_path, monkeypatch, package, method, **changes):
    """Train three times, once with a kill between the epochs, and compare."""
    whole = trained(data, tmp_path / "whole", package, method, **changes)
    assert same(whole, trained(data, tmp_path / "again", package, method, **changes))
    module, killed = learning_module(package), tmp_path / "killed"

    class Killing:
        """The views, until the second epoch asks for one."""

        def __init__(self, task):
            self.views = views(task)

        def __getattr__(self, name):
            return getattr(self.views, name)

        def __len__(self):
            return len(self.views)

        def __getitem__(self, draw):
            if draw[2] == 1:
                raise KeyboardInterrupt
            return self.views[draw]

    with monkeypatch.context() as patch:
        views = module.views
        patch.setattr(module, "views", Killing)
        with pytest.raises(KeyboardInterrupt):
            trained(data, killed, package, method, **changes)
    assert [path.name for path in (killed / "state").iterdir()] == ["epoch-0001.pt"]
    assert same(whole, trained(data, killed, package, method, **changes))


@pytest.mark.parametrize("name", [name for name in DATA if name != "mixed"])
@pytest.mark.parametrize(("package", "method"), EVERY)
def test_what_says_nothing_teaches_without_harm(data, tmp_path, package, method, name):
    trained(data[name], tmp_path, package, method)


@pytest.mark.parametrize(("package", "method", "field", "value"), OPTIONS)
def test_every_option_trains(data, tmp_path, package, method, field, value):
    suffix = ", patches" if "patches" in METHODS[package][method].backbone_needs else ""
    # A CPU's own kernels of float16 are several times slower than the plain ones.
    with torch.backends.mkldnn.flags(enabled=value != "16-mixed"):
        for folder, name in enumerate(("mixed", "no tag, no label")):
            trained(data[name + suffix], tmp_path / str(folder), package, method, **{field: value})


APPLIED = [
    (method, option)
    for method, block in METHODS["segmenters"].items()
    for option in ({}, *({f: v} for f, v in options(*part_blocks(block, "test"))))
]


@pytest.mark.parametrize(("method", "option"), APPLIED, ids=str)
def test_predictions_are_in_form(data, method, option):
    (block,) = part_blocks(METHODS["segmenters"][method], "test")
    test = smaller(block) | option
    predicted(data["mixed"], small(METHODS["segmenters"][method], test=test))


def predicted(data, spec):
    """Segment all images twice with a network that has learned nothing, and check the masks."""
    network, rows = built("segmenters", spec), data.index
    given = {"method": spec.method}, network, rows, data.folder, spec.test, MACHINE
    found, again = ({name: mask for name, mask, *_ in entries_of(*given)} for _ in range(2))
    sizes = zip(rows["height"], rows["width"], strict=True)
    for name, size in zip(rows["image"], sizes, strict=True):
        assert found[name].dtype == np.uint8 and found[name].shape == size
        assert found[name].max() <= len(CLASSES)
        np.testing.assert_array_equal(found[name], again[name])
