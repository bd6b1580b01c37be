"""What is wrong in a config, a line per mistake: the key as written, the value, what is valid."""

import difflib
import re
import typing
from typing import Annotated, Any

from tags2masks.config.base import Block


def explain(config: type[Block], raw: Any, problem: dict) -> str:
    """The line of one of pydantic's errors about `raw`, a config as read from YAML."""
    kind, context, loc = problem["type"], problem.get("ctx", {}), problem["loc"]
    here = _key(raw, loc)
    value = problem["input"]
    if kind == "extra_forbidden":
        known = _fields_at(config, loc[:-1])
        return f"{here}: unknown key; {choices(str(loc[-1]), known)}"
    if kind == "missing":
        return f"{here}: missing; add it"
    if kind == "union_tag_invalid":
        tags = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
        name = context["discriminator"].strip("'")
        return f"{here}.{name}: unknown {name} '{context['tag']}'; {choices(context['tag'], tags)}"
    if kind == "union_tag_not_found":
        name = context["discriminator"].strip("'")
        if isinstance(value, dict) and (
            near := difflib.get_close_matches(name, map(str, value), n=1)
        ):
            return f"{here}.{near[0]}: unknown key; did you mean '{name}'?"
        return f"{here}.{name}: missing; add it"
    if kind == "literal_error":
        return f"{here}: unknown value {value!r}; choose from {context['expected']}"
    if kind == "string_pattern_mismatch":
        return f"{here}: {value!r} is no name; use letters, digits, '_', '-' and '.' alone"
    if kind == "tuple_type" and isinstance(value, str):
        return f"{here}: '{value}' is no list; write [\"{value}\"], or a line `- {value}` for each"
    if kind in ("float_type", "int_type") and isinstance(value, str) and _number(value):
        return (
            f"{here}: '{value}' is text to YAML, which wants a point and a sign in such numbers; "
            f"write {_number(value)}"
        )
    if kind == "finite_number":
        return f"{here}: {value!r} is not finite; write a number"
    if kind == "value_error":
        return f"{here}: {context['error']}"
    return f"{here}: {value!r} is not valid: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _number(text: str) -> str:
    """A number that YAML reads as text, such as 2e-3, rewritten so that it is a number; or ""."""
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+", text):
        mantissa, _, exponent = text.lower().partition("e")
        mantissa += "" if "." in mantissa else ".0"
        mantissa += "0" if mantissa.endswith(".") else ""
        return f"{mantissa}e{int(exponent):+d}"
    return ""


def _key(raw: Any, loc: tuple) -> str:
    """The dotted key as the user wrote it, without the union tags that pydantic adds."""
    parts = []
    for depth, part in enumerate(loc):
        last = depth == len(loc) - 1
        if part == "[key]":
            continue
        inside = isinstance(raw, dict) and part in raw
        if inside or (isinstance(raw, list) and isinstance(part, int) and part < len(raw)):
            raw = raw[part]
        elif not last or (isinstance(raw, dict) and part in (raw.get("method"), raw.get("kind"))):
            continue
        parts.append(str(part))
    return ".".join(parts) or "config"


def _fields_at(annotation: Any, loc: tuple) -> list[str]:
    """Names of the fields of the block at `loc`."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _fields_at(typing.get_args(annotation)[0], loc)
    if isinstance(annotation, type) and issubclass(annotation, Block):
        if not loc:
            return list(annotation.model_fields)
        if loc[0] in annotation.model_fields:
            return _fields_at(annotation.model_fields[loc[0]].annotation, loc[1:])
        return _fields_at(annotation, loc[1:])  # a union tag
    if origin is dict:
        return _fields_at(typing.get_args(annotation)[1], loc[1:])
    for option in typing.get_args(annotation):
        if isinstance(option, type) and issubclass(option, Block):
            tag = option.model_fields.get("method") or option.model_fields.get("kind")
            if tag is None or (loc and tag.default == loc[0]):
                return _fields_at(option, loc[1:] if tag else loc)
    return []


def choices(wrong: str, valid: typing.Iterable[str]) -> str:
    """A hint: 'did you mean …' if a valid name is similar, and the valid names."""
    valid = sorted(valid)
    near = difflib.get_close_matches(wrong, valid, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"{hint}choose from {', '.join(valid) or '(none)'}"
