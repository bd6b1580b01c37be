"""Sweeps: experiments repeated for each value of a parameter of an entry, or of two parameters."""

from collections.abc import Iterator
from itertools import combinations, product
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from tags2masks.config.base import Block, ConfigError, Name
from tags2masks.config.experiments import Chain, EntryName, expand_experiments
from tags2masks.config.mistakes import choices
from tags2masks.config.project import Config, Sweep, Swept
from tags2masks.stages import SECTIONS

Value = str | int | float | bool


class Setting(NamedTuple):
    """The parameter and value of an experiment in a sweep, and the experiment as written.

    by, by_value: the second parameter and its value, if the sweep has two.
    """

    parameter: str
    value: Value
    chain: str
    by: str | None = None
    by_value: Value | None = None


def expand_sweeps(config: Config) -> dict[Chain, Setting | None]:
    """The experiments as chains of entries, each once, with their settings, in order.

    config: from `add_derived_entries`. An experiment with a swept entry is replaced by one for each
    value; one with the entries of both parameters of a sweep, by one for each pair of values. With
    several sweeps, one varies at a time.
    Raises ConfigError as `expand_experiments` does, and for a sweep that no experiment uses.
    """
    settings: dict[Chain, Setting | None] = {}
    used = set()
    for chain in expand_experiments(config):
        swept = False
        plain = "/".join(place.name for place in chain)
        for number, sweep in enumerate(config.sweep):
            if not {_entry_name(part.entry) for part in sweep.parameters} <= set(chain):
                continue
            swept = True
            used.add(number)
            for others, values in _variants(sweep):
                places = tuple(others.get(place, place) for place in chain)
                settings.setdefault(places, _setting(sweep, values, plain))
        if not swept:
            settings.setdefault(chain, None)
    for number, sweep in enumerate(config.sweep):
        if number not in used:
            raise ConfigError(
                f"sweep.{number}: no experiment goes through "
                f"{' and '.join(dict.fromkeys(part.entry for part in sweep.parameters))}; add one "
                "or remove this"
            )
    return settings


def _entry_name(text: str) -> EntryName:
    section, _, entry = text.partition(".")
    return EntryName(section, entry)


def _variants(sweep: Sweep) -> Iterator[tuple[dict[EntryName, EntryName], tuple[Value, ...]]]:
    """For each value, or pair of values: the entries that stand for the swept ones."""
    for values in product(*(part.values for part in sweep.parameters)):
        others: dict[EntryName, EntryName] = {}
        for part, value in zip(sweep.parameters, values, strict=True):
            place = _entry_name(part.entry)
            name = derived_name(others.get(place, place).name, part, value)
            others[place] = EntryName(place.section, name)
        yield others, values


def _setting(sweep: Sweep, values: tuple[Value, ...], chain: str) -> Setting:
    parameter, *by = (f"{part.entry}.{part.field}" for part in sweep.parameters)
    return Setting(parameter, values[0], chain, *by, *values[1:])


def derived_name(entry: str, swept: Swept, value: object) -> str:
    """The name of the entry with this value, such as `advcam-steps-9`."""
    return f"{entry}-{swept.field.rpartition('.')[2]}-{value}"


def add_derived_entries(config: Config) -> Config:
    """The config with an entry for each value of its sweeps.

    Raises ConfigError naming the sweep for an unknown entry or field, for a duplicate or invalid
    value, and for values that make no difference.
    """
    sections = {section: dict(getattr(config, section)) for section in SECTIONS}
    seen = set()
    for number, sweep in enumerate(config.sweep):
        places = _places(sweep, f"sweep.{number}")
        for part, where in places:
            _, _, block = _swept_entry(config, part, f"{where}.entry")
            _check_field(block, part, f"{where}.field")
            if len(set(map(str, part.values))) < len(part.values):
                raise ConfigError(f"{where}.values: a value is listed twice; keep one")
        parameters = frozenset((part.entry, part.field) for part, _ in places)
        if len(parameters) < len(places):
            raise ConfigError(
                f"sweep.{number}.by: {sweep.entry}.{sweep.field} is swept by itself; name another "
                "parameter"
            )
        if parameters in seen:
            raise ConfigError(
                f"sweep.{number}: {sweep.title} is swept above; put all values together"
            )
        seen.add(parameters)
        derived = dict(_derived(config, sweep, f"sweep.{number}"))
        _check_differences(derived, f"sweep.{number}")
        for (section, name), block in derived.items():
            if sections[section].setdefault(name, block) != block:
                raise ConfigError(
                    f"sweep.{number}: {section} has an entry '{name}' already; rename it"
                )
    return config.model_copy(update=sections)


def _places(sweep: Sweep, where: str) -> list[tuple[Swept, str]]:
    """The parameters with the keys where they are."""
    return list(zip(sweep.parameters, (where, f"{where}.by"), strict=False))


def _derived(config: Config, sweep: Sweep, where: str) -> Iterator[tuple[EntryName, Block]]:
    """The entries that stand for the swept ones, once for each value or pair of values."""
    for _, values in _variants(sweep):
        blocks: dict[EntryName, tuple[str, Block]] = {}
        for (part, place), value in zip(_places(sweep, where), values, strict=True):
            section, entry, block = _swept_entry(config, part, f"{place}.entry")
            entry, block = blocks.get(EntryName(section, entry), (entry, block))
            name = _checked_name(derived_name(entry, part, value), f"{place}.values")
            block = _with_value(block, part, value, f"{place}.values")
            blocks[_entry_name(part.entry)] = (name, block)
        for (section, _), (name, block) in blocks.items():
            yield EntryName(section, name), block


def _check_differences(derived: dict[EntryName, Block], where: str) -> None:
    for one, other in combinations(derived, 2):
        if derived[one] == derived[other]:
            raise ConfigError(
                f"{where}: '{one.name}' and '{other.name}' are equal; another field of the entry "
                "stands in for the swept one: remove that field"
            )


def _swept_entry(config: Config, sweep: Swept, where: str) -> tuple[str, str, Block]:
    section, _, entry = sweep.entry.partition(".")
    if section not in SECTIONS:
        raise ConfigError(f"{where}: no section '{section}'; {choices(section, SECTIONS)}")
    entries = getattr(config, section)
    if entry not in entries:
        raise ConfigError(f"{where}: no entry '{entry}' in {section}; {choices(entry, entries)}")
    return section, entry, entries[entry]


def _check_field(block: Block, sweep: Swept, where: str) -> None:
    here, path = block, sweep.entry
    parts = sweep.field.split(".")
    for number, part in enumerate(parts, start=1):
        if isinstance(here, dict):  # of any keys, such as a backbone's args
            if number < len(parts):
                raise ConfigError(f"{where}: {path} has values alone; name one key of it")
            return
        known = _fields(here)
        if part not in known:
            raise ConfigError(f"{where}: no field '{part}' in {path}; {choices(part, known)}")
        here, path = getattr(here, part), f"{path}.{part}"
    if isinstance(here, Block | dict | tuple):
        inner = f", such as {', '.join(_fields(here))}" if _fields(here) else ""
        raise ConfigError(f"{where}: {path} is no single value; sweep one inside it{inner}")


def _fields(value: object) -> list[str]:
    names = type(value).model_fields if isinstance(value, Block) else ()
    return [name for name in names if name != "method"]


def _checked_name(name: str, where: str) -> str:
    try:
        return TypeAdapter(Name).validate_python(name)
    except ValidationError:
        raise ConfigError(
            f"{where}: '{name}' is no name; sweep values of letters, digits, '_', '-' and '.' alone"
        ) from None


def _with_value(block: Block, sweep: Swept, value: object, where: str) -> Block:
    values = block.model_dump()
    *parents, last = sweep.field.split(".")
    here = values
    for part in parents:
        here = here[part]
    here[last] = value
    try:
        return type(block).model_validate(values, strict=True)
    except ValidationError as error:
        problem = error.errors()[0]
        said = problem.get("ctx", {}).get("error", problem["msg"])
        raise ConfigError(f"{where}: {value!r} is not valid: {said}") from None
