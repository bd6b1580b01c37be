"""The option `mask_values`: the meaning of pixel values or colours in the user's masks."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator

from tags2masks.config.base import free

BACKGROUND, IGNORED_NAME = "background", "ignored"

COLOUR = re.compile(r"#[0-9a-f]{6}")
THREE = re.compile(r"[\[(]?\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*[\])]?")


def is_colour(value: str) -> bool:
    """Whether a key of `mask_values` is a colour; otherwise it is a number."""
    return value.startswith("#")


def _values(given: Any) -> Any:
    """The values as text in canonical form: "255", "#ff0000"."""
    if given is None:
        return None
    if not isinstance(given, Mapping) or not given:
        raise ValueError(
            "write what each pixel value or colour stands for, such as {0: background, 255: cat}"
        )
    values: dict[str, str] = {}
    for written, name in given.items():
        value = _value(written)
        if value in values:
            raise ValueError(f"{written} is there twice; keep one")
        if type(name) is not str or not name.strip():
            raise ValueError(f"{written} stands for {name!r}; write a class, background or ignored")
        values[value] = name.strip()
    if len({is_colour(value) for value in values}) > 1:
        raise ValueError("both numbers and colours; write one of them for all")
    return values


def _value(written: Any) -> str:
    text = str(written).strip().lower()
    if type(written) is not bool and re.fullmatch(r"\d{1,3}", text) and int(text) <= 255:
        return str(int(text))
    if COLOUR.fullmatch(text):
        return text
    if (three := THREE.fullmatch(text)) and max(map(int, three.groups())) <= 255:
        return "#" + "".join(f"{int(part):02x}" for part in three.groups())
    raise ValueError(
        f'{written!r} is no pixel value; write a number from 0 to 255, or a colour as "#ff0000" or '
        '"255, 0, 0", in quotes'
    )


MaskValues = Annotated[dict[str, str], BeforeValidator(_values)]


def mask_values_field(names: str) -> Any:
    """The field of a data set's block; names: the key that lists the class names."""
    return free(
        None,
        description="Meaning of the pixel values, or colours, in the mask files: each a name from "
        f"`{names}`, `background` or `ignored`, such as "
        '`{0: background, 255: cat}` or `{"#000000": background, "#ff0000": cat}`. '
        "Values left out are refused. null: the numbers 0 background, 1 the first of "
        f"`{names}`, …, 255 ignored. In the id of artifacts that learn from masks; otherwise only "
        "evaluation runs again.",
    )


def check_mask_values(values: Mapping[str, str] | None, names: Sequence[str]) -> None:
    """Raise ValueError for values with an unknown name, and for classes without a value."""
    if values is None:
        return
    if IGNORED_NAME in names:
        raise ValueError(
            f"mask_values: '{IGNORED_NAME}' are pixels that do not count; rename the class"
        )
    known = (*names, BACKGROUND, IGNORED_NAME)
    for value, name in values.items():
        if name not in known:
            raise ValueError(
                f"mask_values: {value} stands for '{name}'; choose from {', '.join(known)}"
            )
    for name in names:
        if name not in values.values():
            raise ValueError(f"mask_values: no value stands for '{name}'; add it")
