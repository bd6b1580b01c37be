"""What the training programs share: their arguments, their start, and what they leave behind."""

import argparse
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pandas as pd
from torch import nn

from tags2masks.checkpoints import State, end_state
from tags2masks.config.training import Backbone, Training
from tags2masks.data.index import read_classes, read_index
from tags2masks.files import written_whole
from tags2masks.machine import Machine, prepare
from tags2masks.methods import method_block, method_module
from tags2masks.nets.backbones import fill, load_initial_weights, read_weights
from tags2masks.nets.checkpoint import save_model, write_spec
from tags2masks.provenance import provenance
from tags2masks.workflow.ids import artifact_id
from workflow_scripts.program import add_paths, parser


def arguments(doc: str) -> argparse.ArgumentParser:
    """A parser of what all of them take."""
    made = parser(doc)
    add_paths(made, "root", "index", "classes", "model", "spec", "training")
    made.add_argument("--weights", type=Path, help="the file behind backbone.weights")
    made.add_argument("--source", default="", help="digest of the code")
    return made


class Start(NamedTuple):
    """What a training begins with.

    spec: the method's block of the config; method: its module; index: all images' rows.
    """

    machine: Machine
    seed: int
    spec: Training
    method: ModuleType
    index: pd.DataFrame
    classes: list[str]


def start(args: argparse.Namespace, section: str) -> Start:
    """Prepare the machine, and look up what a training of this config section begins with."""
    machine = Machine(args.device, args.devices, args.threads, args.workers)
    seed = args.recipe["seed"]
    prepare(machine, seed)
    return Start(
        machine,
        seed,
        method_block(section, args.recipe, args.free),
        method_module(section, args.recipe),
        read_index(args.index),
        read_classes(args.classes),
    )


def initialize_backbone(
    network: nn.Module, backbone: Backbone, weights: Path | None, classifier: Path | None = None
) -> None:
    """Fill the network's backbone: with a classifier's, if there is one, else as the config says.

    weights: the file behind `backbone.weights`, where that names one.
    """
    if classifier:
        state = read_weights(classifier, "delete it and run again")
        inner = {k.removeprefix("backbone."): v for k, v in state.items()}
        fill(network.backbone, inner, str(classifier))
    else:
        named = {"weights": str(weights)} if weights else {}
        load_initial_weights(network.backbone, backbone.model_copy(update=named))


def run_state(args: argparse.Namespace, *data: str) -> State:
    """The checkpoints of this run: of this recipe, this code and these images alone."""
    fingerprint = "-".join([artifact_id(args.recipe), args.source, *data])
    return State(args.model.parent / "state", fingerprint)


def write_outputs(
    args: argparse.Namespace,
    spec: Training,
    network: nn.Module,
    classes: list[str],
    rows: list[dict],
    state: State,
) -> None:
    """Write the training table, the spec and the model; then the checkpoints may go."""
    with written_whole(args.training) as beside:
        pd.DataFrame(rows).to_csv(beside, index=False, float_format="%.6g")
    write_spec(args.spec, provenance(args.recipe) | {"classes": classes})
    save_model(network, args.model)
    end_state(state, spec.keep_states)
