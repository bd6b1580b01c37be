"""A background score chosen without masks: one block per method."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, ValidationError

from tags2masks.config.base import Entry, free


class Separation(Entry):
    """The score whose foreground differs most from the background in colour and in features."""

    learns_from: ClassVar[tuple[str, ...]] = ("tags",)
    memory_mb: ClassVar[int] = 6000
    minutes: ClassVar[int] = 30
    uses_gpu: ClassVar[bool] = True

    method: Literal["separation"] = "separation"
    images: int = Field(
        100, ge=1, description="Tagged training images to choose it from, evenly spaced."
    )
    batch_size: int = free(8, ge=1, description="Images of like size per forward pass.")


METHODS = {"separation": Separation}


def _number_or_auto(value: Any) -> Any:
    """`auto` stands for the method with its defaults; a mapping is a method's block."""
    if value == "auto":
        return Separation()
    if isinstance(value, dict):
        try:
            return Separation.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if isinstance(value, Separation):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is no score; write a number from 0 to 1, or auto")
    return float(value)


BackgroundScore = Annotated[float | Literal["auto"] | Separation, BeforeValidator(_number_or_auto)]


def background_score(what: str = "maps", default: Any = "auto") -> Any:
    """The field of a block: a number, or `auto`; what: what the score is chosen for."""
    return Field(
        default,
        description=f"Score of the background, 0 to 1; auto: chosen without masks, for the {what} "
        "of each experiment, by the separation of foreground and background in colour and in the "
        "classifier's features (docs/methods.md).",
    )
