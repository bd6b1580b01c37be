"""From a recipe to its method: the config block and the module. Light to import: no torch."""

from importlib import import_module
from types import ModuleType

from tags2masks.config import affinity
from tags2masks.config.base import Block
from tags2masks.config.project import SECTIONS

# Package -> its methods' config blocks.
METHODS = SECTIONS | {"affinity": affinity.METHODS}


def method_module(package: str, recipe: dict) -> ModuleType:
    """The module of the recipe's method, imported by its name so that no other method's is."""
    return import_module(f"tags2masks.{package}.{recipe['method']}")


def method_block(package: str, recipe: dict, free: dict | None = None) -> Block:
    """The config block of the recipe's method; `free` gives the fields that are in no recipe."""
    return METHODS[package][recipe["method"]].model_validate(recipe["spec"] | (free or {}))
