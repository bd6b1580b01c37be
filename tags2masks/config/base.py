"""Base classes of config blocks: strict validation, and which fields are in an artifact's id."""

from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from tags2masks.errors import UserError

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class ConfigError(UserError):
    """A config that cannot be run; the message has a line per mistake that says what to change."""


class Block(BaseModel):
    """A frozen config block that refuses unknown keys and non-finite numbers."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False, defer_build=True
    )

    cites: ClassVar[tuple[str, ...]] = ()  # keys of references.bib

    def cited(self) -> list[str]:
        """The keys of `references.bib` that this block and its inner blocks cite."""
        inner = (getattr(self, name) for name in type(self).model_fields)
        keys = [key for value in inner if isinstance(value, Block) for key in value.cited()]
        return list(dict.fromkeys([*self.cites, *keys]))

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, values: Any) -> Any:
        """Let `optimizer: {lr: 1}` change only the rate and keep the method's other defaults."""
        if not isinstance(values, dict):
            return values
        merged = dict(values)
        for name, info in cls.model_fields.items():
            if _changes(values.get(name), info.default):
                merged[name] = _merge(info.default, values[name])
        return merged

    def key(self) -> dict[str, Any]:
        """The fields that are part of an artifact's id, as plain JSON values."""
        values = self.model_dump(mode="json")
        for name, info in type(self).model_fields.items():
            in_key = (info.json_schema_extra or {}).get("in_key", True)
            if in_key is False or (in_key == "if set" and getattr(self, name) == info.default):
                values.pop(name)
            elif isinstance(getattr(self, name), Block):
                inner = getattr(self, name)
                values[name] = _joined(inner.key(), _set_back(inner, info.default))
        return values


class Entry(Block):
    """An entry of the config that artifacts are made from, and properties of its method.

    takes: what the entry follows in an experiment, if not the default of its stage
        (`tags2masks.stages`).
    learns_from: the supervision that the method itself reads, of `supervision.SOURCES`. Its program
        gets nothing else. Upstream artifacts may have used more.
    offers: capabilities for later stages; needs: capabilities that it requires of what it follows.
    helpers: further arguments of a map method, see `maps/localizing.py`.
    program: a program to use instead of the stage's.
    rule: the name of its rule, if a method of another stage has the name that the stage gives it.
    further_outputs: files beside the model or table, by name.
    derived: parts (`Stage.part`) that are properties, made of the entry's own fields: their blocks.
    made_elsewhere: what it reads was made of what `learns_from` names; its program gets none of it.
    for_parts: what it follows that its parts alone are made from, not the entry itself.
    resumes: whether its program keeps what it has made of a shard, and gets the digest of its code.
    memory_mb, minutes: resources of a cluster job, doubled at the second attempt.
    uses_gpu: whether its program runs a network.
    """

    takes: ClassVar[tuple[str, ...] | None] = None
    learns_from: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    helpers: ClassVar[tuple[str, ...]] = ()
    program: ClassVar[str | None] = None
    rule: ClassVar[str | None] = None
    further_outputs: ClassVar[dict[str, str]] = {}
    derived: ClassVar[dict[str, "type[Entry]"]] = {}
    made_elsewhere: ClassVar[bool] = False
    for_parts: ClassVar[tuple[str, ...]] = ()
    resumes: ClassVar[bool] = False
    memory_mb: ClassVar[int] = 4000
    minutes: ClassVar[int] = 60
    uses_gpu: ClassVar[bool] = False

    @property
    def read_sources(self) -> tuple[str, ...]:
        """The supervision whose tables its program gets."""
        return () if self.made_elsewhere else self.learns_from

    def folders(self) -> dict[str, str]:
        """The user's folders that the program reads, by the name of its option."""
        return {}

    def files(self) -> dict[str, str]:
        """The user's files that the program reads, by the name of its option."""
        return {}

    @property
    def offers(self) -> frozenset[str]:
        """Capabilities for later stages, such as `pixel_correlation`."""
        return frozenset()

    def tables_read(self) -> dict[str, str]:
        """Digests of the user's tables that the method reads, by field; part of the id."""
        return {}

    def modules(self) -> list[str]:
        """Modules of `tags2masks` that it imports by name, in addition to its method's."""
        return []


class InFolder(Entry):
    """An entry whose program reads a folder of the user's."""

    folder: str

    def folders(self) -> dict[str, str]:
        """The folder, for the program."""
        return {"folder": self.folder}

    def key(self) -> dict[str, Any]:
        """As for all blocks, but with the folder's name alone."""
        return super().key() | {"folder": PurePosixPath(self.folder.replace("\\", "/")).name}


def user_folder(what: str) -> Any:
    """The field `folder` of an `InFolder`."""
    return Field(description=f"{what} Its name, not where it is, is in the artifact's id.")


def free(default: Any = ..., **field: Any) -> Any:
    """A field that changes where or how fast something runs, not the result; not in the id."""
    return Field(default, json_schema_extra={"in_key": False}, **field)


def added(default: Any, **field: Any) -> Any:
    """A new option of an existing method: part of the id only if it is not the default.

    So the ids of existing artifacts do not change. The default must never change.
    """
    return Field(default, json_schema_extra={"in_key": "if set"}, **field)


def _changes(values: Any, default: Any) -> bool:
    """Whether they are of a default block, and not of another method in its place."""
    if not isinstance(default, Block) or not isinstance(values, dict):
        return False
    method = getattr(default, "method", None)
    return values.get("method", method) == method


def _set_back(block: Block, default: Any) -> dict:
    """The `added` fields that a block has as its class, but the default block does not.

    Without them `_inherit` would read the block again with the default's values.
    """
    found: dict[str, Any] = {}
    if not _changes({"method": getattr(block, "method", None)}, default):
        return found
    for name, info in type(block).model_fields.items():
        mine, theirs = getattr(block, name), getattr(default, name)
        if_set = (info.json_schema_extra or {}).get("in_key") == "if set"
        if isinstance(mine, Block):
            found[name] = _set_back(mine, theirs)
        elif if_set and mine == info.default and mine != theirs:
            found[name] = block.model_dump(mode="json", include={name})[name]
    return {name: value for name, value in found.items() if value != {}}


def _joined(values: dict, more: dict) -> dict:
    joined = values | more
    for name in values.keys() & more.keys():
        if isinstance(values[name], dict) and isinstance(more[name], dict):
            joined[name] = _joined(values[name], more[name])
    return joined


def _merge(default: Block, values: dict) -> dict:
    merged = default.model_dump() | values
    for name in type(default).model_fields:
        if _changes(values.get(name), getattr(default, name)):
            merged[name] = _merge(getattr(default, name), values[name])
    return merged
