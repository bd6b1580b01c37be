"""Experiments: paths through the stages, with braces for alternatives."""

from tags2masks.config.base import ConfigError
from tags2masks.config.project import SECTIONS, Config, choices

STEPS = ("datasets", *SECTIONS)


def expand_braces(text: str) -> list[str]:
    """All strings that `a{b,c{d,e}}f` stands for, in order.

    Raises ConfigError when the braces do not match.
    """
    depth, start = 0, None
    for position, character in enumerate(text):
        if character == "{":
            if depth == 0:
                start = position
            depth += 1
        elif character == "}":
            depth -= 1
            if depth < 0:
                break
            if depth == 0:
                head, inner = text[:start], text[start + 1 : position]
                tails = expand_braces(text[position + 1 :])
                options = [o for part in _split(inner, ",") for o in expand_braces(part)]
                return [head + option + tail for option in options for tail in tails]
    if depth:
        raise ConfigError("unbalanced braces")
    return [text]


def _split(text: str, separator: str) -> list[str]:
    """Split at a separator that stands outside braces."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "{") - (character == "}")
        if character == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def expand_experiments(config: Config) -> list[tuple[str, ...]]:
    """The experiments as tuples of entry names (dataset, classifier, …), each once, in order.

    Raises ConfigError naming the experiment and the entry that does not exist.
    """
    found: dict[tuple[str, ...], None] = {}
    for number, text in enumerate(config.experiments):
        where = f"experiments.{number}: '{text}'"
        try:
            paths = expand_braces(text)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
        for path in paths:
            names = tuple(name.strip() for name in path.split("/"))
            if not 2 <= len(names) <= len(STEPS):
                raise ConfigError(
                    f"{where}: {len(names)} steps; write dataset / classifier, then as far as "
                    "wanted / maps / masks / segmenter"
                )
            for section, name in zip(STEPS, names, strict=False):
                entries = getattr(config, section)
                if name not in entries:
                    raise ConfigError(
                        f"{where}: no entry '{name}' in {section}; {choices(name, entries)}"
                    )
            found[names] = None
    return list(found)
