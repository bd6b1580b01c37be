"""Fields that name another chain of entries, such as `vanilla/cam/crf/net`.

The chain is that of an experiment without its data set: it is made of the same data set, with the
same seed, whether or not an experiment lists it. What it ends in becomes one more upstream artifact
of the entry. The recipe has this artifact's id, and not the field: renamed entries keep their ids.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from tags2masks.config.base import Entry


def _checked(path: str) -> str:
    if "{" in path or "}" in path:
        raise ValueError(f"'{path}' has braces; name one chain, or list several where a list fits")
    names = [name.strip() for name in path.split("/")]
    if not all(names):
        raise ValueError(f"'{path}' has an empty name; write entries with one '/' between them")
    return "/".join(names)


ChainPath = Annotated[str, AfterValidator(_checked)]


def chain_ending_in(stage: str, default: Any = ..., **field: Any) -> Any:
    """A field that names a chain, or several, which must end in this stage; without one required.

    Its type is `ChainPath`, or a tuple of them, or with None as default one of these or None.
    """
    return Field(default, json_schema_extra={"in_key": False, "ends_in": stage}, **field)


def named_chains(block: type[Entry]) -> dict[str, str]:
    """The fields of a block that name chains, with the stage that these must end in."""
    extras = {name: info.json_schema_extra for name, info in block.model_fields.items()}
    return {
        name: extra["ends_in"]
        for name, extra in extras.items()
        if isinstance(extra, dict) and "ends_in" in extra
    }
