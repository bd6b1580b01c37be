"""Loading of trained networks from their artifacts."""

from pathlib import Path

from torch import nn

from tags2masks.checkpoints import read_state
from tags2masks.errors import UserError
from tags2masks.methods import method_block, method_module, package_of
from tags2masks.nets.backbones import fill
from tags2masks.nets.checkpoint import load_model, read_spec
from tags2masks.workflow.ids import artifact_id


def load_trained(
    stage: str, model: Path, spec: Path, upstream: dict[str, str]
) -> tuple[nn.Module, list[str]]:
    """A trained network in evaluation mode, frozen, and its class names.

    Arguments and errors are those of `build_trained`; model: the file of the weights.
    """
    network, classes = build_trained(stage, spec, upstream)
    return load_model(network, model).requires_grad_(False), classes


def load_classifier(
    model: Path, spec: Path, upstream: dict[str, str], ordinary: Path | None = None
) -> tuple[nn.Module, list[str]]:
    """As `load_trained`; with `ordinary` the second network that a classifier's training changed.

    model: then the file of its weights; ordinary: the spec.json of the classifier that it began as.
    """
    if ordinary is None:
        return load_trained("classifier", model, spec, upstream)
    recipe = _read_spec("classifier", spec, upstream)["recipe"]
    network, classes = build_trained("classifier", ordinary, recipe["upstream"])
    return load_model(network, model).requires_grad_(False), classes


def load_epoch(
    stage: str, state: Path, spec: Path, upstream: dict[str, str]
) -> tuple[nn.Module, list[str]]:
    """As `load_trained`, but with the weights of a checkpoint of its training."""
    network, classes = build_trained(stage, spec, upstream)
    saved = read_state(state)
    if not saved["fingerprint"].startswith(f"{upstream[stage]}-"):
        raise UserError(f"{state}: of another training than {upstream[stage]}; delete it")
    fill(network, saved["networks"][0], str(state))
    return network.eval().requires_grad_(False), classes


def build_trained(stage: str, spec: Path, upstream: dict[str, str]) -> tuple[nn.Module, list[str]]:
    """The network that an artifact describes, with random weights, and its class names.

    stage: `classifier`, `affinity` or `segmenter`; spec: the artifact's spec.json;
    upstream: the expected artifact ids by stage.
    Raises UserError naming the file if it belongs to another artifact.
    """
    content = _read_spec(stage, spec, upstream)
    recipe = content["recipe"]
    package = package_of(recipe)
    block = method_block(package, recipe)
    return method_module(package, recipe).build(block, len(content["classes"])), content["classes"]


def _read_spec(stage: str, spec: Path, upstream: dict[str, str]) -> dict:
    """The content of a spec.json, which must be of the upstream artifact of this stage."""
    content = read_spec(spec)
    recipe = content["recipe"]
    if recipe["stage"] != stage:
        raise UserError(
            f"{spec}: of a {recipe['stage']} ({recipe['method']}), but a {stage} is needed; give "
            f"the files of {upstream[stage]}"
        )
    if artifact_id(recipe) != upstream[stage]:
        raise UserError(
            f"{spec}: of {artifact_id(recipe)}, expected {upstream[stage]}; it was made from "
            "something else: delete it and run again"
        )
    return content
