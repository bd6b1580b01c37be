"""The config blocks of all methods, by the package of the methods' modules."""

from tags2masks.config.base import Entry
from tags2masks.config.blocks import blocks_in
from tags2masks.stages import STAGES

# Package -> its methods' config blocks.
METHODS: dict[str, dict[str, type[Entry]]] = {
    package: blocks_in(package)
    for package in dict.fromkeys(stage.package for stage in STAGES.values())
}
