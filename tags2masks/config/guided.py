"""Certain labels that saliency guides: fields of mask methods that make such labels."""

from typing import Any, Literal

from tags2masks.config.base import Block, added
from tags2masks.config.chains import ChainPath, chain_ending_in


def maps_of_objects() -> Any:
    """A required field that names a chain of maps of objects."""
    return chain_ending_in(
        "objectness",
        description="The chain of the maps of objects, without the data set, such as `c2am` or "
        "`c2am_h/refined`.",
    )


class Guided(Block):
    """Where there is no object by a chain's maps of objects, background is certain (P-NOC, 3.3.1).

    The public code's values: `foreground_score: 0.4`, `disagreement: cut`.
    """

    saliency: ChainPath | None = chain_ending_in(
        "objectness",
        default=None,
        description="The chain of the maps of objects, without the data set, such as `c2am_h` or "
        "`c2am_h/refined`. They tell the background in the place of `background_score`. null: "
        "none.",
    )
    saliency_score: float = added(
        0.1, ge=0, le=1, description="An object is salient where its map is above it."
    )
    disagreement: Literal["ignored", "cut"] = added(
        "ignored",
        description="A class where nothing is salient. ignored: 255, as the paper has it; cut: the "
        "seeds are cut to what is salient before their CRF, as in the public code, and a class "
        "that the CRF then gives is certain.",
    )

    def cited(self) -> list[str]:
        """Also the paper of the guide, where there is one."""
        return [*super().cited(), *(["david2023pnoc"] if self.saliency else [])]
