"""What every config block shares: strictness, and which fields belong to an artifact's key."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tags2masks.errors import UserError


class ConfigError(UserError):
    """A config that cannot be run; the message is one line that says what to change."""


class Block(BaseModel):
    """A frozen config block that refuses unknown keys, and numbers that are not finite."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )

    cites: ClassVar[tuple[str, ...]] = ()  # keys of references.bib

    def cited(self) -> list[str]:
        """The keys of `references.bib` that it and the blocks in it name."""
        inner = (getattr(self, name) for name in type(self).model_fields)
        keys = [key for value in inner if isinstance(value, Block) for key in value.cited()]
        return list(dict.fromkeys([*self.cites, *keys]))

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, values: Any) -> Any:
        """Let `optimizer: {lr: 1}` change the rate alone and keep the method's other defaults."""
        if not isinstance(values, dict):
            return values
        merged = dict(values)
        for name, info in cls.model_fields.items():
            if isinstance(info.default, Block) and isinstance(values.get(name), dict):
                merged[name] = _merge(info.default, values[name])
        return merged

    def key(self) -> dict[str, Any]:
        """The fields that decide what an artifact is, as plain JSON values."""
        values = self.model_dump(mode="json")
        for name, info in type(self).model_fields.items():
            in_key = (info.json_schema_extra or {}).get("in_key", True)
            if in_key is False or (in_key == "if set" and getattr(self, name) == info.default):
                values.pop(name)
            elif isinstance(getattr(self, name), Block):
                values[name] = getattr(self, name).key()
        return values


class Entry(Block):
    """A block that artifacts are made from, and what the workflow must know of its method.

    takes: what it follows in an experiment, if not what its stage says (`tags2masks.stages`).
    learns_from: the supervision that the method itself reads: "tags", "boxes", "masks". What it is
        made from may have more; nothing else is given to its program.
    offers: what later stages can do with it; needs: what it asks of what it follows.
    helpers: what a map method is given beside classifier and batch, see `maps/localizing.py`.
    program: in place of its stage's.
    further_outputs: files beside the model, by the word for them.
    memory_mb, minutes: what a cluster job asks for, doubled at the second attempt.
    uses_gpu: whether its program runs a network.
    """

    takes: ClassVar[tuple[str, ...] | None] = None
    learns_from: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    helpers: ClassVar[tuple[str, ...]] = ()
    program: ClassVar[str | None] = None
    further_outputs: ClassVar[dict[str, str]] = {}
    memory_mb: ClassVar[int] = 4000
    minutes: ClassVar[int] = 60
    uses_gpu: ClassVar[bool] = False

    @property
    def offers(self) -> frozenset[str]:
        """What later stages can do with it, such as `pixel_correlation`."""
        return frozenset()

    def modules(self) -> list[str]:
        """Modules of `tags2masks` that it loads by name, beside its method's."""
        return []


def free(default: Any = ..., **field: Any) -> Any:
    """A field that changes where or how fast something runs, not what comes out."""
    return Field(default, json_schema_extra={"in_key": False}, **field)


def added(default: Any, **field: Any) -> Any:
    """An option of a method that has artifacts already: in their key where it is not the default.

    So their ids stay as they were before there was the option. Its default must never change.
    """
    return Field(default, json_schema_extra={"in_key": "if set"}, **field)


def _merge(default: Block, values: dict) -> dict:
    merged = default.model_dump() | values
    for name in type(default).model_fields:
        if isinstance(getattr(default, name), Block) and isinstance(values.get(name), dict):
            merged[name] = _merge(getattr(default, name), values[name])
    return merged
