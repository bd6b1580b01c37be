"""The config blocks of all methods, by the package of the methods' modules."""

from importlib import import_module

from tags2masks.config.base import Entry
from tags2masks.stages import STAGES

# Package -> its methods' config blocks.
METHODS: dict[str, dict[str, type[Entry]]] = {
    package: import_module(f"tags2masks.config.{package}").METHODS
    for package in dict.fromkeys(stage.package for stage in STAGES.values())
}
