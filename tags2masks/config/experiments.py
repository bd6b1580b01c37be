"""Experiments: paths through the stages, with braces for alternatives.

The section of an entry is inferred from what it may follow: after a data set come entries that take
images, after a classifier entries that take a classifier, and so on (`tags2masks.stages`, and
`takes` of a config block).
"""

from typing import NamedTuple

from tags2masks.config.base import ConfigError, Entry
from tags2masks.config.mistakes import choices
from tags2masks.config.project import Config
from tags2masks.stages import SECTIONS, STAGES

DATASETS = "datasets"
MOST = 10_000  # experiments from one line
DEEPEST = 50  # braces in one line


class EntryName(NamedTuple):
    """The name of an entry of the config, and the section that it is in."""

    section: str
    name: str


Chain = tuple[EntryName, ...]


def expand_braces(text: str) -> list[str]:
    """All strings that a pattern such as `a{b,c{d,e}}f` expands to, in order.

    Raises ConfigError for braces that do not match, or that expand to more than `MOST` strings.
    """
    depth, start = 0, None
    if text.count("{") > DEEPEST:
        raise ConfigError(f"more than {DEEPEST} braces; write several lines")
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
                if len(options) * len(tails) > MOST:
                    raise ConfigError(f"stands for more than {MOST:,} experiments; take fewer")
                return [head + option + tail for option in options for tail in tails]
    if depth:
        raise ConfigError("unbalanced braces")
    return [text]


def _split(text: str, separator: str) -> list[str]:
    """Split at a separator, except inside braces."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "{") - (character == "}")
        if character == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def expand_experiments(config: Config) -> list[Chain]:
    """The experiments as chains of entries, the data set first, each once and in order.

    Raises ConfigError naming the experiment and the entry that does not exist or may not follow the
    one before it.
    """
    chains: dict[Chain, None] = {}
    for number, text in enumerate(config.experiments):
        where = f"experiments.{number}: '{text}'"
        try:
            paths = expand_braces(text)
            for path in paths:
                chains[parse_chain(config, [name.strip() for name in path.split("/")])] = None
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
    return list(chains)


def seen_as(previous: str) -> tuple[str, ...]:
    """What an entry that follows this may take: `dataset`, or a stage and its view."""
    return (previous,) if previous == "dataset" else STAGES[previous].seen_as


def takes_of(section: str, entry: Entry) -> tuple[str, ...]:
    """What an entry of a section may follow: `dataset`, or names of stages."""
    return entry.takes or SECTIONS[section].takes


def parse_named_chain(config: Config, dataset: str, path: str, ends_in: str) -> Chain:
    """The chain on this data set that a field names, which must end in this stage.

    Raises ConfigError, without the field's key, for entries that do not exist or do not follow each
    other, for another last stage, and for an entry that a sweep varies.
    """
    names = path.split("/")
    starting = [
        name
        for section in SECTIONS
        for name, entry in getattr(config, section).items()
        if "dataset" in takes_of(section, entry)
    ]
    if names[0] in config.datasets and names[0] not in starting:
        raise ConfigError(
            f"'{path}' begins with a data set; leave it out, the data set is the experiment's"
        )
    try:
        chain = parse_chain(config, [dataset, *names])
    except ConfigError as error:
        raise ConfigError(f"'{path}': {error}") from None
    last = SECTIONS[chain[-1].section].name
    if last != ends_in:
        raise ConfigError(
            f"'{path}' ends in {STAGES[last].plural}; end it in {STAGES[ends_in].plural}"
        )
    for number, sweep in enumerate(config.sweep):
        through = {f"{section}.{name}" for section, name in chain}
        for entry in (swept.entry for swept in sweep.parameters if swept.entry in through):
            raise ConfigError(
                f"'{path}' goes through {entry}, which sweep.{number} varies; name an entry "
                "that no sweep varies"
            )
    return chain


def parse_chain(config: Config, names: list[str]) -> Chain:
    """The chain of the entries of these names, the data set first.

    Raises ConfigError for an entry that does not exist or may not follow the one before it.
    """
    if len(names) < 2:
        raise ConfigError(
            "too short; write dataset / classifier, and further stages if you like: / maps / masks "
            "/ segmenter"
        )
    dataset, *rest = names
    if dataset not in config.datasets:
        raise ConfigError(f"no entry '{dataset}' in datasets; {choices(dataset, config.datasets)}")
    chain, follows = [EntryName(DATASETS, dataset)], "dataset"
    for name in rest:
        section = _section_of(config, name, follows, chain[-1].name)
        chain.append(EntryName(section, name))
        follows = SECTIONS[section].name
    return tuple(chain)


def _section_of(config: Config, name: str, follows: str, previous: str) -> str:
    """The section of the entry of this name that may follow what comes before it."""
    entries = {section: getattr(config, section) for section in SECTIONS}
    seen = {*seen_as(follows)}
    fitting = {
        section: [n for n, entry in those.items() if seen & {*takes_of(section, entry)}]
        for section, those in entries.items()
    }
    sections = [section for section, those in fitting.items() if name in those]
    if len(sections) == 1:
        return sections[0]
    if sections:
        raise ConfigError(
            f"'{name}' may be of {' or of '.join(sections)} here; rename one of the two entries"
        )
    # Sections that may follow according to the table of stages, even without an entry in the
    # config.
    usual = [section for section, stage in SECTIONS.items() if seen & {*stage.takes}]
    possible = [section for section in SECTIONS if fitting[section] or section in usual]
    after = "a data set" if follows == "dataset" else f"{previous}, {_in_words(follows)}"
    if not possible:
        raise ConfigError(f"nothing can follow {after}; end the experiment there")
    hint = choices(name, [n for section in possible for n in fitting[section]])
    for section, those in entries.items():
        if name in those:
            wanted = " or ".join(_in_words(kind) for kind in takes_of(section, those[name]))
            raise ConfigError(
                f"'{name}' of {section} follows {wanted}, but here it follows {after}; {hint}"
            )
    *others, last = possible
    where = f"{', '.join(others)} or {last}" if others else last
    raise ConfigError(f"no entry '{name}' in {where}; {hint}")


def _in_words(kind: str) -> str:
    return "the data set" if kind == "dataset" else f"one of {STAGES[kind].plural}"
