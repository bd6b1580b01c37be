"""Config blocks and modules of the methods of a stage or recipe. Light to import: no torch."""

from importlib import import_module
from types import ModuleType
from typing import get_args

from tags2masks.config.base import Entry
from tags2masks.config.blocks import blocks_in
from tags2masks.config.chains import named_chains
from tags2masks.errors import UserError
from tags2masks.stages import SECTIONS, STAGES, Stage, giving


def methods_of(stage: Stage) -> dict[str, type[Entry]]:
    """The methods that make a stage's artifacts, with their config blocks.

    For a stage without a section: the blocks in the field `part` of other stages' entries.
    """
    if stage.section:
        return blocks_in(stage.package)
    blocks = {}
    for section in SECTIONS.values():
        for block in blocks_in(section.package).values():
            for inner in part_blocks(block, stage.part):
                method = inner.model_fields.get("method")
                blocks[method.default if method else stage.name] = inner
    return blocks


def part_blocks(block: type[Entry], field: str) -> list[type[Entry]]:
    """The config blocks that a field may hold; none if there is no such field, or only numbers."""
    if field in block.derived:
        return [block.derived[field]]
    info = block.model_fields.get(field)
    types = () if info is None else get_args(info.annotation) or (info.annotation,)
    return [inner for inner in types if isinstance(inner, type) and issubclass(inner, Entry)]


def rule_of(stage: Stage, method: str) -> str:
    """The name of the rule that makes a stage's artifacts by a method."""
    block = methods_of(stage).get(method)
    return (block and block.rule) or stage.rule.format(method=method)


def package_of(recipe: dict) -> str:
    """The package of a recipe's method; raises UserError for a stage that is not trained."""
    stage, trained = recipe["stage"], giving("network")
    if stage not in trained:
        raise UserError(f"stage {stage}: is not trained; the trained ones are {', '.join(trained)}")
    return STAGES[stage].package


def learning_module(package: str) -> ModuleType:
    """The module `learning` of a package (see `task.py`), imported by name, so that only it is."""
    return import_module(f"tags2masks.{package}.learning")


def block_of(recipe: dict) -> type[Entry]:
    """The type of the config block of a recipe."""
    blocks = methods_of(STAGES[recipe["stage"]])
    return blocks.get(recipe["method"]) or blocks[recipe["stage"]]


def method_module(package: str, recipe: dict) -> ModuleType:
    """The module of the recipe's method, imported by name so that no other method's is."""
    return import_module(f"tags2masks.{package}.{recipe['method']}")


def method_block(package: str, recipe: dict, free: dict | None = None) -> Entry:
    """The config block of the recipe's method; free: the fields that are not in recipes.

    Parts of the block, and chains that it names, are upstream in the recipe, by their ids. Those
    that have no default are filled in, with chains called `named`.
    """
    block = blocks_in(package)[recipe["method"]]
    return block.model_validate(_upstream_fields(block) | recipe["spec"] | (free or {}))


def inference_block(recipe: dict, free: dict | None = None) -> Entry:
    """The block `test` of predictions: how the recipe's segmenter is applied."""
    (block,) = part_blocks(blocks_in("segmenters")[recipe["method"]], "test")
    values = recipe["spec"] | (free or {})
    values.pop("split", None)  # only part of the id
    return block.model_validate(values)


def _upstream_fields(block: type[Entry]) -> dict:
    """A value for each required field of a block that names chains, or is a block with such."""
    values, chains = {}, named_chains(block)
    for name, info in block.model_fields.items():
        if info.is_required() and name in chains:
            values[name] = "named" if info.annotation is str else ["named"]
        elif info.is_required() and part_blocks(block, name):
            values[name] = _upstream_fields(info.annotation)
    return values
