"""What every config block shares: strictness, and which fields belong to an artifact's key."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tags2masks.errors import UserError


class ConfigError(UserError):
    """A config that cannot be run; the message is one line that says what to change."""


class Block(BaseModel):
    """A frozen config block that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

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
            if (info.json_schema_extra or {}).get("in_key") is False:
                values.pop(name)
            elif isinstance(getattr(self, name), Block):
                values[name] = getattr(self, name).key()
        return values


def free(default: Any = ..., **field: Any) -> Any:
    """A field that changes where or how fast something runs, not what comes out."""
    return Field(default, json_schema_extra={"in_key": False}, **field)


def _merge(default: Block, values: dict) -> dict:
    merged = default.model_dump() | values
    for name in type(default).model_fields:
        if isinstance(getattr(default, name), Block) and isinstance(values.get(name), dict):
            merged[name] = _merge(getattr(default, name), values[name])
    return merged
