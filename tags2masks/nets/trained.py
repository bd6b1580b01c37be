"""Trained networks, put together again from their artifacts."""

from pathlib import Path

from torch import nn

from tags2masks.methods import method_block, method_module
from tags2masks.nets.checkpoint import load_model, read_spec


def load_trained(package: str, model: Path, spec: Path) -> tuple[nn.Module, list[str]]:
    """A trained classifier or segmenter in evaluation mode, frozen, and its class names.

    package: `classifiers` or `segmenters`; model and spec: the files of its artifact.
    Raises UserError naming the file that does not fit.
    """
    made = read_spec(spec)
    block = method_block(package, made["recipe"])
    network = method_module(package, made["recipe"]).build(block, len(made["classes"]))
    return load_model(network, model).requires_grad_(False), made["classes"]
