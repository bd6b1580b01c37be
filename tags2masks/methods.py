"""From a stage or a recipe to its methods: config blocks and modules. Light to import: no torch."""

from importlib import import_module
from types import ModuleType
from typing import get_args

from tags2masks.config.base import Entry
from tags2masks.config.methods import METHODS
from tags2masks.errors import UserError
from tags2masks.stages import SECTIONS, STAGES, Stage, giving


def methods_of(stage: Stage) -> dict[str, type[Entry]]:
    """The methods that make a stage's artifacts, with their config blocks.

    Those of its section; of a stage that is part of others' entries, what these have in that field.
    """
    if stage.section:
        return METHODS[stage.package]
    found = {}
    for section in SECTIONS.values():
        for block in METHODS[section.package].values():
            field = block.model_fields.get(stage.part)
            kinds = () if field is None else get_args(field.annotation) or (field.annotation,)
            for inner in kinds:
                if isinstance(inner, type) and issubclass(inner, Entry):
                    method = inner.model_fields.get("method")
                    found[method.default if method else stage.name] = inner
    return found


def package_of(recipe: dict) -> str:
    """The package of a recipe whose stage gives a network.

    Raises UserError for another stage.
    """
    stage, trained = recipe["stage"], giving("network")
    if stage not in trained:
        raise UserError(f"stage {stage}: is not trained; the trained ones are {', '.join(trained)}")
    return STAGES[stage].package


def learning_module(package: str) -> ModuleType:
    """How networks of a package learn (see `task.py`); by name, so that no other stage's counts."""
    return import_module(f"tags2masks.{package}.learning")


def block_of(recipe: dict) -> type[Entry]:
    """The type of the config block behind an artifact."""
    blocks = methods_of(STAGES[recipe["stage"]])
    return blocks.get(recipe["method"]) or blocks[recipe["stage"]]


def method_module(package: str, recipe: dict) -> ModuleType:
    """The module of the recipe's method, imported by its name so that no other method's is."""
    return import_module(f"tags2masks.{package}.{recipe['method']}")


def method_block(package: str, recipe: dict, free: dict | None = None) -> Entry:
    """The config block of the recipe's method; `free` gives the fields that are in no recipe."""
    return METHODS[package][recipe["method"]].model_validate(recipe["spec"] | (free or {}))
