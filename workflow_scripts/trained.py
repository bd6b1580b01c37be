"""What the training programs share: their arguments, their start, and what they leave behind."""

import argparse
from pathlib import Path

import pandas as pd
from torch import nn

from tags2masks.config.training import Backbone, Training
from tags2masks.files import written_whole
from tags2masks.nets.backbones import fill, load_initial_weights, read_weights
from tags2masks.nets.checkpoint import save_model, write_spec
from tags2masks.provenance import provenance
from tags2masks.training import State, end_state
from tags2masks.workflow.ids import artifact_id
from workflow_scripts.program import add_paths, parser


def arguments(doc: str) -> argparse.ArgumentParser:
    """A parser of what all of them take."""
    made = parser(doc)
    add_paths(made, "root", "index", "classes", "model", "spec", "training")
    made.add_argument("--weights", type=Path, help="the file behind backbone.weights")
    made.add_argument("--source", default="", help="digest of the code")
    return made


def initialize_backbone(network: nn.Module, backbone: Backbone, args: argparse.Namespace) -> None:
    """Fill the network's backbone: from a classifier's, if there is one, else as the config says.

    args: with `classifier`, the model's file or None, and `weights`.
    """
    if args.classifier:
        state = read_weights(args.classifier, "delete it and run again")
        inner = {k.removeprefix("backbone."): v for k, v in state.items()}
        fill(network.backbone, inner, str(args.classifier))
    else:
        named = {"weights": str(args.weights)} if args.weights else {}
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
