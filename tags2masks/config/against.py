"""Charts of figures against what is no field of an entry."""

from typing import Annotated

from pydantic import Field

from tags2masks.config.base import Block

Points = Annotated[dict[str | int | float, str], Field(min_length=1)]


class Against(Block):
    """A chart of experiments of one's choice, drawn as a sweep: figures against a number or a word.

    For what is no field of one entry, such as several data sets, each with its own classifier.
    Experiments, or the beginnings of some: `voc/vanilla/cam` shows seeds. Several `seeds` are
    repeats, of which there are box plots.
    """

    axis: str = Field(min_length=1, description="What the numbers or words are: `labelled images`.")
    lines: Annotated[dict[str, Points], Field(min_length=1)] = Field(
        description="Per line, by its name: numbers or words, each with an experiment, such as "
        "`{half and half: {100: voc-a/wood/cam, 500: voc-b/wood-500/cam}}`."
    )
