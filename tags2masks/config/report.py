"""What the report shows beside its tables."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tags2masks.config.against import Against
from tags2masks.config.analyses import Images
from tags2masks.config.base import Block, Name


class Compared(Block):
    """Two chains of a data set: the report draws what the second gains in each class's IoU.

    Experiments, or the beginnings of some: `voc/vanilla/cam` compares seeds. Several `seeds` count
    as their mean.
    """

    first: str = Field(description="An experiment or the beginning of one: `voc/vanilla/cam`.")
    second: str = Field(description="What is compared with the first.")
    order: Literal["gain", "size"] = Field(
        "gain",
        description="gain: the most gained first; size: from the class of the smallest objects in "
        "the training images to that of the largest (as Lee's thesis, figure 3.10).",
    )


def _class_group(value: Any) -> Any:
    if isinstance(value, dict):
        if len(value) != 1 or not value.keys() <= {"smallest", "largest"}:
            raise ValueError("set either smallest or largest, to a number of classes")
        if not all(type(count) is int and count > 0 for count in value.values()):
            raise ValueError("a number of classes is a whole number from 1 on")
    elif not isinstance(value, tuple) or not value:
        raise ValueError("write a list of classes, {smallest: 5} or {largest: 5}")
    return value


ClassGroup = Annotated[
    tuple[str, ...] | dict[Literal["smallest", "largest"], int], BeforeValidator(_class_group)
]


Figure = Literal[
    "iou", "precision", "recall", "f1", "prior_iou", "fg_precision", "fp", "fn", "contour_f",
    "dr_recall", "ndr_recall", "score_inside", "score_outside", "hsr_dr", "lsr_dr", "hsr_ndr",
    "lsr_ndr", "labelled", "ap", "ap25", "ap50", "ap70", "ap75", "aps", "apm", "apl", "abo", "abos",
    "abom", "abol", "abo_instances",
]  # fmt: skip


class Report(Block):
    """Contents of report.html."""

    examples: int = Field(
        3, ge=1, le=20, description="Example images per experiment: this many good, and bad ones."
    )
    sheets: Literal["auto", "all", "none"] = Field(
        "auto",
        description="Contact sheets, pages that show every pseudo-mask over its image: `auto`: of "
        "data sets without pixel masks; `all`; `none`.",
    )
    sheet_size: int = Field(
        256, ge=64, le=1024, description="Longer side of an image on a contact sheet, in pixels."
    )
    compare: tuple[Compared, ...] = Field(
        (), description="Pairs of experiments whose figures of each class stand beside each other."
    )
    against: tuple[Against, ...] = Field(
        (), description="Charts of experiments against a number or a word, see `report.against`."
    )
    sweep_figures: Annotated[tuple[Figure, ...], Field(min_length=1)] = Field(
        ("iou", "contour_f", "ndr_recall", "ap50"),
        description="The figures of which charts of a `sweep` and of `against` are drawn, where "
        "they are measured; names as in `metrics.csv`.",
    )
    side_by_side: dict[Name, Images] = Field(
        {},
        description="Per data set, training images whose maps by all experiments stand in one row "
        "in the report: a number, evenly spaced, or names, such as `voc: [2007_000032]`.",
    )
    ood_images: int | None = Field(
        None,
        ge=1,
        description="For classifiers that learn from out-of-distribution images: draw this number "
        "of them, evenly spaced, as the training has them (`keep: erased` without the CAM of their "
        "class; `ood.zarr.zip`); null: none.",
    )
    class_groups: dict[Name, Annotated[dict[Name, ClassGroup], Field(min_length=1)]] = Field(
        {},
        description="Per data set with pixel masks, groups of classes whose mean figures stand in "
        "the report and in `results/groups.csv`: lists of classes, or the smallest or largest, "
        "such as `voc: {traffic: [bicycle, bus, car, motorbike], small: {smallest: 5}}`.",
    )
