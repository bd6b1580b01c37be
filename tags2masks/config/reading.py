"""Reading of config files: YAML with checks that a plain reader does not make."""

from pathlib import Path

import yaml

from tags2masks.config.base import ConfigError
from tags2masks.errors import UserError
from tags2masks.given import read_text

LARGEST = 100_000
"""Maximum number of values in a config, with aliases expanded."""


def read_config(path: Path | str) -> dict:
    """A config file as Snakemake reads it; {} for an empty one.

    Raises ConfigError with a one-line message naming the file if it is absent, not UTF-8, not YAML,
    has a duplicate key, or holds more than `LARGEST` values.
    """
    path = Path(path)
    text = _text(path)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            return {}
        _size(root, path, {})
        config = yaml.safe_load(text)
    except RecursionError:
        raise ConfigError(f"{path}: nested too deep; make it flatter") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"{path}: not readable ({' '.join(str(error).split())}); correct it"
        ) from None
    if not isinstance(config, dict):
        raise ConfigError(f"{path}: holds no keys; write `key: value` lines, as config.yaml has")
    return config


def _text(path: Path) -> str:
    if path.is_symlink() and not path.exists():
        raise ConfigError(
            f"{path}: a link to {path.readlink()}, which does not exist; mend or remove the link"
        )
    try:
        return read_text(path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: does not exist; give the path of a config file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8; save it in this encoding") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None


def _size(node: yaml.Node, path: Path, sizes: dict[yaml.Node, int | None]) -> int:
    """The number of values in a node, with aliases expanded.

    sizes: the sizes of nodes visited so far; None for nodes that are being counted.
    """
    if node in sizes:
        if sizes[node] is None:
            line = node.start_mark.line + 1
            raise ConfigError(f"{path}, line {line}: holds an alias of itself; write it out")
        return sizes[node]
    sizes[node], size = None, 1
    if isinstance(node, yaml.MappingNode):
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            name = (key.tag, str(key.value))
            if name in lines:
                raise ConfigError(
                    f"{path}, lines {lines[name]} and {line}: '{key.value}' is there twice; "
                    "keep one"
                )
            lines[name] = line
            size += _size(value, path, sizes)
    elif isinstance(node, yaml.SequenceNode):
        size += sum(_size(part, path, sizes) for part in node.value)
    if size > LARGEST:
        raise ConfigError(
            f"{path}, line {node.start_mark.line + 1}: more than {LARGEST:,} values, its aliases "
            "written out; take fewer"
        )
    sizes[node] = size
    return size


def refusal(error: UserError) -> str:
    """The message of a run that refuses its config: a line for each mistake."""
    return "\n".join(f"config: {line}" for line in str(error).splitlines())
