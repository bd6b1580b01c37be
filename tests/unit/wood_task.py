"""What the tests of W-OoD share: its block, its task on three images, the ordinary classifier."""

from tags2masks.classifiers import wood
from tags2masks.config.classifiers import Wood
from tags2masks.machine import Machine, prepare
from tags2masks.nets.trained import load_trained
from tags2masks.task import Task
from tests.unit.tiny import CLASSES, small

MACHINE = Machine(threads=1)


def spec(**changes):
    """A block of W-OoD with five clusters and without a person."""
    return Wood(**({"keep": "all", "clusters": 5} | changes))


def task_of(data, folder, **changes):
    said = small(Wood, **changes)
    upstream = {name: data.upstream[name] for name in ("classifier", "ood")}
    recipe = {"stage": "classifier", "method": "wood", "spec": said.key(), "seed": 3}
    return Task(
        recipe | {"upstream": upstream, "dataset": data.dataset},
        data.index,
        CLASSES,
        data.folder,
        MACHINE,
        folder / "wood" / "model.safetensors",
        files=data.files,
        candidates=data.candidates,
        candidate_root=data.folder,
    )


def begun(task):
    """The network as training begins, and the views."""
    prepare(MACHINE, 3)
    network, views = wood.build(task.spec, len(CLASSES)), wood.views(task)
    wood.begin(task, network, views)
    return network, views


def first_of(task):
    """The ordinary classifier."""
    (model,), _ = task.upstream("classifier")
    spec = model.with_name("spec.json")
    return load_trained("classifier", model, spec, task.recipe["upstream"])[0]
