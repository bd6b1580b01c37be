"""Sweeps: the experiments of an entry, repeated for each value of one of its parameters."""

from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from tags2masks.config.base import Block, ConfigError
from tags2masks.config.experiments import Chain, EntryName, expand_experiments
from tags2masks.config.project import Config, Name, Sweep, choices
from tags2masks.stages import SECTIONS


class Setting(NamedTuple):
    """The parameter and value of an experiment in a sweep, and the experiment as written."""

    parameter: str
    value: str | int | float | bool
    chain: str


def expand_sweeps(config: Config) -> dict[Chain, Setting | None]:
    """The experiments as chains of entries, each once, with their settings, in order.

    config: from `add_derived_entries`. An experiment with a swept entry is replaced by one for each
    value. With several sweeps, one parameter varies at a time.
    Raises ConfigError as `expand_experiments` does, and for a sweep that no experiment uses.
    """
    settings: dict[Chain, Setting | None] = {}
    used = set()
    for chain in expand_experiments(config):
        swept = False
        plain = "/".join(place.name for place in chain)
        for number, sweep in enumerate(config.sweep):
            section, _, entry = sweep.entry.partition(".")
            if EntryName(section, entry) not in chain:
                continue
            swept = True
            used.add(number)
            for value in sweep.values:
                other = EntryName(section, derived_name(entry, sweep, value))
                places = tuple(other if place == (section, entry) else place for place in chain)
                settings.setdefault(places, Setting(f"{sweep.entry}.{sweep.field}", value, plain))
        if not swept:
            settings.setdefault(chain, None)
    for number, sweep in enumerate(config.sweep):
        if number not in used:
            raise ConfigError(
                f"sweep.{number}: no experiment goes through {sweep.entry}; add one or remove this"
            )
    return settings


def derived_name(entry: str, sweep: Sweep, value: object) -> str:
    """The name of the entry with this value, such as `advcam-steps-9`."""
    return f"{entry}-{sweep.field.rpartition('.')[2]}-{value}"


def add_derived_entries(config: Config) -> Config:
    """The config with an entry for each value of its sweeps.

    Raises ConfigError naming the sweep for an unknown entry or field, and for a duplicate or
    invalid value.
    """
    sections = {section: dict(getattr(config, section)) for section in SECTIONS}
    seen = set()
    for number, sweep in enumerate(config.sweep):
        where = f"sweep.{number}"
        section, entry, block = _swept_entry(config, sweep, f"{where}.entry")
        _check_field(block, sweep, f"{where}.field")
        if (sweep.entry, sweep.field) in seen:
            raise ConfigError(
                f"{where}: {sweep.entry}.{sweep.field} is swept above; put all values together"
            )
        seen.add((sweep.entry, sweep.field))
        if len(set(map(str, sweep.values))) < len(sweep.values):
            raise ConfigError(f"{where}.values: a value is listed twice; keep one")
        for value in sweep.values:
            name = _checked_name(derived_name(entry, sweep, value), f"{where}.values")
            if name in sections[section]:
                raise ConfigError(f"{where}: {section} has an entry '{name}' already; rename it")
            sections[section][name] = _with_value(block, sweep, value, f"{where}.values")
    return config.model_copy(update=sections)


def _swept_entry(config: Config, sweep: Sweep, where: str) -> tuple[str, str, Block]:
    section, _, entry = sweep.entry.partition(".")
    if section not in SECTIONS:
        raise ConfigError(f"{where}: no section '{section}'; {choices(section, SECTIONS)}")
    entries = getattr(config, section)
    if entry not in entries:
        raise ConfigError(f"{where}: no entry '{entry}' in {section}; {choices(entry, entries)}")
    return section, entry, entries[entry]


def _check_field(block: Block, sweep: Sweep, where: str) -> None:
    here, path = block, sweep.entry
    for part in sweep.field.split("."):
        if isinstance(here, dict):
            return  # a dict with any keys, such as a backbone's args
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


def _with_value(block: Block, sweep: Sweep, value: object, where: str) -> Block:
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
