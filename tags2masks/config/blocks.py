"""The config blocks of a package's methods, imported by name, so that only they are."""

from importlib import import_module

from tags2masks.config.base import Entry


def blocks_in(package: str) -> dict[str, type[Entry]]:
    """The blocks by method; all packages' are in `config.methods`."""
    return import_module(f"tags2masks.config.{package}").METHODS
