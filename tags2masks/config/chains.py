"""Names of chains in config entries: an entry may be made from what another chain ends in."""

from typing import Annotated, Any

from pydantic import BeforeValidator


def _path(value: Any) -> Any:
    """The chain's entries, joined by slashes without spaces."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no chain; write its entries, such as vanilla/cam/crf")
    if set(value) & set("{}@"):
        raise ValueError(f"'{value}': name one chain, without braces and without a seed")
    names = [name.strip() for name in value.split("/")]
    if not all(names):
        raise ValueError(f"'{value}': an entry is missing between its slashes")
    return "/".join(names)


ChainName = Annotated[str, BeforeValidator(_path)]
"""A chain of the same data set and seed, without the data set: `vanilla/cam/crf/deeplabv3plus`."""
