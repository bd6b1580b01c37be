"""An edited method runs again, and no other: the digests that decide it, for every method."""

import shutil
from types import SimpleNamespace

import pytest

from tags2masks.config.methods import METHODS
from tags2masks.methods import methods_of
from tags2masks.stages import STAGES
from tags2masks.workflow import plan as plan_module
from tags2masks.workflow import sources, started
from tags2masks.workflow.artifacts import Artifact
from tags2masks.workflow.plan import Plan

# Those of classifiers build upon each other, as their papers do.
PACKAGES = ("maps", "masks", "segmenters")


@pytest.fixture(scope="module")
def plan():
    """A plan that knows an artifact of every method of every stage, of default parameters."""
    raw = {
        "datasets": {"digits": {"kind": "digits"}},
        "classifiers": {"vanilla": {"method": "vanilla"}},
        "experiments": ["digits / vanilla"],
    }
    plan = Plan(raw)
    for stage in STAGES.values():
        blocks = methods_of(stage)
        for method in METHODS[stage.package]:
            block = blocks.get(method) or blocks.get(stage.name)  # one for all: `predictions`
            if block:
                recipe = {"method": method}
                artifact = Artifact(stage.name, "digits", recipe, block.model_construct())
                plan.artifacts[artifact.key] = artifact
    return plan


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the sources that digests are taken of."""
    folder = tmp_path_factory.mktemp("checkout")
    for package in sources.PACKAGES:
        shutil.copytree(
            sources.ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return folder


def digests(plan: Plan) -> dict[tuple[str, str, str], str]:
    """Of the code behind every artifact, by package, method and stage."""
    started.begin(is_main=True)
    found = {}
    for artifact in plan.artifacts.values():
        stage = STAGES[artifact.stage]
        wildcards = SimpleNamespace(dataset=artifact.dataset, id=artifact.id)
        found[stage.package, artifact.method, stage.name] = plan.source(stage)(wildcards)
    return found


# Programs of analyses, which take steps as these methods do.
ANALYSES = {
    ("maps", "advcam"): "embed_climbs",
    ("maps", "bbam"): "measure_heads",
    ("maps", "boxgrad"): "measure_proposals",
    ("maps", "rib"): "measure_gradients",
}


def programs() -> dict[str, str]:
    """Digests of all programs by themselves."""
    names = [path.stem for path in (sources.ROOT / "workflow_scripts").glob("[a-z]*.py")]
    return {name: sources.source_digest(f"workflow_scripts.{name}") for name in names}


@pytest.mark.parametrize(
    ("package", "method"), [(package, m) for package in PACKAGES for m in METHODS[package]]
)
def test_an_edited_method_runs_again_alone(plan, checkout, monkeypatch, package, method):
    monkeypatch.setattr(sources, "ROOT", checkout)
    before, programs_before = digests(plan), programs()
    path = checkout / "tags2masks" / package / f"{method}.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\nEDITED = True\n", encoding="utf-8")
    try:
        after, programs_after = digests(plan), programs()
    finally:
        path.write_text(text, encoding="utf-8")
    its_own = {key for key in before if key[:2] == (package, method)}
    assert its_own, f"no artifact of {method}"
    assert {key for key in before if before[key] != after[key]} == its_own
    edited = {name for name in programs_before if programs_before[name] != programs_after[name]}
    assert edited <= {METHODS[package][method].program, ANALYSES.get((package, method))}


def test_what_reads_masks_depends_on_the_reader_too(monkeypatch):
    named = []
    monkeypatch.setattr(plan_module, "source", lambda *roots: named.append(roots) or (lambda _: ""))
    raw = {
        "datasets": {"d": {"kind": "digits", "labelled": "all"}},
        "masks": {"full": {"method": "full"}},
        "experiments": ["d / full"],
    }
    plan = plan_module.Plan(raw)
    (masks,) = plan.of_stage("masks")
    plan.source(STAGES["masks"])(SimpleNamespace(dataset="d", id=masks.id))
    assert named[-1] == ("read_masks", "masks.full", "data.digits")
