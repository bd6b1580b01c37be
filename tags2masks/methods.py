"""From a recipe to its method: the config block, the module, the trained network."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

from torch import nn

from tags2masks.config.base import Block
from tags2masks.config.project import SECTIONS
from tags2masks.nets.checkpoint import load_model, read_spec


def method_module(package: str, recipe: dict) -> ModuleType:
    """The module of the recipe's method, imported by its name so that no other method's is."""
    return import_module(f"tags2masks.{package}.{recipe['method']}")


def method_block(package: str, recipe: dict, free: dict | None = None) -> Block:
    """The config block of the recipe's method; `free` gives the fields that are in no recipe."""
    return SECTIONS[package][recipe["method"]].model_validate(recipe["spec"] | (free or {}))


def load_trained(package: str, model: Path, spec: Path) -> tuple[nn.Module, list[str]]:
    """A trained classifier or segmenter in evaluation mode, frozen, and its class names.

    package: `classifiers` or `segmenters`; model and spec: the files of its artifact.
    Raises UserError naming the file that does not fit.
    """
    made = read_spec(spec)
    block = method_block(package, made["recipe"])
    network = method_module(package, made["recipe"]).build(block, len(made["classes"]))
    return load_model(network, model).requires_grad_(False), made["classes"]
