"""Trained models on disk: weights as safetensors, and their provenance in spec.json."""

from pathlib import Path

import safetensors.torch
from torch import nn

from tags2masks.errors import UserError
from tags2masks.files import written_whole
from tags2masks.nets.backbones import DIGEST, fill, read_weights, tensors_digest
from tags2masks.provenance import read_record


def save_model(network: nn.Module, path: Path | str) -> None:
    """Write the network's weights; equal weights give equal bytes."""
    state = {name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}
    with written_whole(path) as beside:
        # Not with `save_file`: its error for a full disk is not an OSError.
        beside.write_bytes(safetensors.torch.save(state, {DIGEST: tensors_digest(state)}))


def load_model(network: nn.Module, path: Path | str) -> nn.Module:
    """Load a file of `save_model` into the network, and return it in evaluation mode."""
    fill(network, read_weights(path, "delete it and run again"), str(path))
    return network.eval()


def read_spec(path: Path | str) -> dict:
    """Read the spec.json of a model: its provenance and class names.

    Raises UserError naming the file if it is unreadable or not valid.
    """
    spec = read_record(path)
    if not isinstance(spec.get("classes"), list):
        raise UserError(f"{path}: does not say its classes; delete it and run again")
    return spec
