"""The config file: entries for each stage, and the experiments that chain them."""

import difflib
import operator
import re
import typing
from functools import reduce
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationError,
    create_model,
)

from tags2masks.config.against import Against
from tags2masks.config.analyses import (
    Climbs,
    Gradients,
    Heads,
    Images,
    Landscape,
    RegionPictures,
    Untagged,
)
from tags2masks.config.base import Block, ConfigError
from tags2masks.config.datasets import DatasetSpec
from tags2masks.config.methods import METHODS
from tags2masks.config.scores import BackgroundScore
from tags2masks.stages import SECTIONS

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]

Seed = Annotated[int, Field(ge=0, lt=2**31)]


def _from_text(values: Any) -> Any:
    """Seeds from `--config 'seeds=[0,1]'`, where Snakemake reads the numbers of a list as text."""
    if not isinstance(values, tuple):
        return values
    return tuple(int(v) if isinstance(v, str) and re.fullmatch("[0-9]+", v) else v for v in values)


Seeds = Annotated[tuple[Seed, ...], Field(min_length=1), BeforeValidator(_from_text)]


def _address(value: str) -> str:
    if not re.fullmatch(r"([a-z]+://)?([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}", value):
        raise ValueError(f"'{value}' is no address; write tcp://host:port")
    return value


Address = Annotated[str, AfterValidator(_address)]


def _entries(section: str) -> Any:
    """The type of a section: from entry name to block, selected by `method`."""
    blocks = tuple(METHODS[SECTIONS[section].package].values())
    block = reduce(operator.or_, blocks)
    if blocks[1:]:
        block = Annotated[block, Field(discriminator="method")]
    return dict[Name, block]


class Evaluation(Block):
    """How quality is measured; after a change only measuring runs again."""

    background_score: BackgroundScore = Field(
        "auto",
        description="Background score at which maps are reported, 0 to 1; auto: chosen for each "
        "entry of maps without masks, as by masks with `background_score: auto`.",
    )
    thresholds: int = Field(
        100,
        ge=2,
        le=1000,
        description="Maps are measured at n + 1 background scores: 0/n, 1/n, … n/n.",
    )
    regions: bool = Field(
        True,
        description="Measure recall in discriminative and other regions. A plain CAM of "
        "the same classifier defines them: the `cam` of the first experiment that has one, else a "
        "CAM with default options.",
    )

    splits: Annotated[tuple[Literal["train", "val"], ...], Field(min_length=1)] = Field(
        ("train",),
        description="Splits on which maps and masks are measured. With val they are also made for "
        "val's images, from these images' tags (or boxes) as in the papers, only to be measured.",
    )
    epoch_images: int | None = Field(
        None,
        ge=1,
        description="Also measure maps of the classifier after each epoch, on this number of "
        "training images (`epochs.csv`); null: don't. It uses pixel masks, and nothing is chosen "
        "by it. Classifiers need `keep_states: true`.",
    )
    epoch_features: int | None = Field(
        None,
        ge=1,
        description="For classifiers that learn from out-of-distribution images: show in the "
        "report how the features of tagged images and of these part from epoch to epoch, by t-SNE, "
        "of this number of images of each kind, evenly spaced, such as 200 (`embedding.csv`); "
        "null: don't. No masks are read. The classifiers need `keep_states: true`.",
    )
    gradients: Gradients | None = Field(
        None,
        description="For maps of `rib` on an `mnist` data set with `planted` shapes: the shares of "
        "high gradients by region, at each layer and each step (`gradients.csv`); null: don't.",
    )
    landscape: Landscape | None = Field(
        None,
        description="The loss of every classifier around training images or its weights "
        "(`landscape.csv`); null: don't. No masks are read.",
    )
    climbs: Climbs | None = Field(
        None,
        description="For maps of `advcam`: features of images and along climbs, by t-SNE "
        "(`climbs.csv`); null: don't. No masks are read.",
    )
    untagged: Untagged | None = Field(
        None,
        description="For maps from a classifier: those of classes that an image is not tagged "
        "with, drawn in the report (`untagged.zarr.zip`); null: don't. Nothing else uses them.",
    )
    region_pictures: RegionPictures | None = Field(
        None,
        description="For some maps and with `regions`: draw in the report where an object's pixels "
        "score high or low, in and outside the discriminative region, and their distances from the "
        "thresholds (`regions.csv`); null: don't.",
    )
    heads: Heads | None = Field(
        None,
        description="For some maps of `bbam` on data sets with true instances: where in the "
        "objects each head of the detector looks, and both heads' losses while one is kept "
        "(`head_losses.csv`, `head_places.csv`); null: don't.",
    )


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
    "dr_recall", "ndr_recall", "hsr_dr", "lsr_dr", "hsr_ndr", "lsr_ndr", "labelled", "ap", "ap25",
    "ap50", "ap70", "ap75", "aps", "apm", "apl", "abo", "abo_instances",
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


class Swept(Block):
    """A parameter and its values."""

    entry: str = Field(description="Section and entry, such as `maps.cam`.")
    field: str = Field(description="The entry's field, with dots, such as `optimizer.lr`.")
    values: Annotated[tuple[str | int | float | bool, ...], Field(min_length=1)] = Field(
        description="Each value gives an entry, named like `cam-stride-8`, that replaces the entry "
        "in every experiment."
    )


class Sweep(Swept):
    """A parameter to try at several values: one experiment each; shared artifacts are made once.

    With `by`, two parameters at once: an experiment for every pair of values, of one entry or of
    two that an experiment goes through. The report draws them as a grid, and with `seeds` also
    with a line of box plots for each value of the second.
    """

    by: Swept | None = Field(
        None, description="A second parameter, each of whose values is tried with each of these."
    )

    @property
    def parameters(self) -> tuple[Swept, ...]:
        """The one or two parameters."""
        return (self,) if self.by is None else (self, self.by)

    @property
    def title(self) -> str:
        """The parameters, such as `maps.cam.stride × masks.plain.background_score`."""
        return " × ".join(f"{swept.entry}.{swept.field}" for swept in self.parameters)


Format = Literal["coco", "cvat", "label_studio", "yolo"]
Formats = tuple[Format, ...]
FORMATS_TEXT = "Also in the formats of other programs, see docs/export.md."
OVERLAYS_TEXT = "Also each image with its mask drawn over it."


class Export(Block):
    """Where `export_masks` writes all pseudo-masks, beside their own folders in results."""

    folder: str = Field(
        description="The masks of each entry are in <folder>/<data set>/<id>; the last line of the "
        "job says of which experiment."
    )
    formats: Formats = Field((), description=FORMATS_TEXT)
    overlays: bool = Field(False, description=OVERLAYS_TEXT)


class Predict(Block):
    """New images to segment with a finished experiment's model."""

    experiment: str = Field(description="An experiment with a segmenter, as in the leaderboard.")
    images: str = Field(description="Folder of images, including its subfolders.")
    formats: Formats = Field((), description=FORMATS_TEXT)
    overlays: bool = Field(False, description=OVERLAYS_TEXT)
    probabilities: bool = Field(
        False,
        description="Also the network's probabilities, before a CRF: <image>.npz with the array "
        "`probabilities`, float16 [classes + 1, height, width].",
    )


class Run(Block):
    """Seeds, machine and data sets of a config file."""

    seed: Seed = Field(0, description="Seed of every random choice.")
    seeds: Seeds | None = Field(
        None,
        description="Repeat every experiment with each of these instead of `seed`; data sets are "
        "still drawn with `seed`. Tables then have a row per seed, the mean and the standard "
        "deviation, and charts of sweeps box plots. Also for a config as it is, by "
        "Snakemake's option `--config 'seeds=[0,1,2]'`.",
    )
    device: Literal["cpu", "cuda", "auto"] = Field(
        "cpu", description="Device of networks; auto: a GPU if the machine has one."
    )
    devices: int = Field(
        1,
        ge=1,
        description="GPUs (on cpu: processes) per training run. Each takes its part of a batch; "
        "live batch norm (`freeze_bn: false`) normalises each part by itself, so the number of "
        "devices then changes what is learned.",
    )
    threads: int = Field(2, ge=1, description="CPU cores per job.")
    workers: int | None = Field(
        None, ge=0, description="Image loading processes; null: none on cpu, `threads` on cuda."
    )
    dask: Address | None = Field(
        None, description="Address of a Dask scheduler (tcp://…); null: processes in the job."
    )
    datasets: dict[Name, DatasetSpec] = Field(min_length=1, description="Images and their tags.")


# A field for each stage that has a section.
Entries = create_model(
    "Entries",
    __base__=Run,
    **{
        section: (_entries(section), Field({}, description=stage.about))
        for section, stage in SECTIONS.items()
    },
)


class Config(Entries):
    """The config file."""

    experiments: tuple[str, ...] = Field(
        min_length=1, description="dataset / classifier / maps / masks / segmenter, with braces."
    )
    sweep: tuple[Sweep, ...] = Field((), description="Parameters to try at several values.")
    evaluation: Evaluation = Evaluation()
    report: Report = Report()
    published: str | tuple[str, ...] = Field(
        (),
        description="Tables of published figures to show in the report beside the measured ones, "
        "such as papers/published/lpcam.csv.",
    )
    export: Export | None = Field(None, description="A folder for all masks; null: none.")
    predict: dict[Name, Predict] = Field({}, description="New images to segment, see `predict`.")


def parse_config(raw: dict) -> Config:
    """Validate a config as read from YAML.

    Raises ConfigError with a line for each mistake: its key, the value, what would be valid.
    """
    try:
        return Config.model_validate(_tuples(raw), strict=True)
    except ValidationError as error:
        lines = dict.fromkeys(_explain(raw, problem) for problem in error.errors())
        raise ConfigError("\n".join(lines)) from None


def _tuples(value: Any) -> Any:
    """Convert lists to tuples recursively: strict validation does not accept a list as a tuple."""
    if isinstance(value, dict):
        return {key: _tuples(part) for key, part in value.items()}
    return tuple(_tuples(part) for part in value) if isinstance(value, list | tuple) else value


def _explain(raw: Any, problem: dict) -> str:
    kind, context, loc = problem["type"], problem.get("ctx", {}), problem["loc"]
    here = _key(raw, loc)
    value = problem["input"]
    if kind == "extra_forbidden":
        known = _fields_at(Config, loc[:-1])
        return f"{here}: unknown key; {choices(str(loc[-1]), known)}"
    if kind == "missing":
        return f"{here}: missing; add it"
    if kind == "union_tag_invalid":
        tags = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
        name = context["discriminator"].strip("'")
        return f"{here}.{name}: unknown {name} '{context['tag']}'; {choices(context['tag'], tags)}"
    if kind == "union_tag_not_found":
        name = context["discriminator"].strip("'")
        if isinstance(value, dict) and (
            near := difflib.get_close_matches(name, map(str, value), n=1)
        ):
            return f"{here}.{near[0]}: unknown key; did you mean '{name}'?"
        return f"{here}.{name}: missing; add it"
    if kind == "literal_error":
        return f"{here}: unknown value {value!r}; choose from {context['expected']}"
    if kind == "string_pattern_mismatch":
        return f"{here}: {value!r} is no name; use letters, digits, '_', '-' and '.' alone"
    if kind == "tuple_type" and isinstance(value, str):
        return f"{here}: '{value}' is no list; write [\"{value}\"], or a line `- {value}` for each"
    if kind in ("float_type", "int_type") and isinstance(value, str) and _number(value):
        return (
            f"{here}: '{value}' is text to YAML, which wants a point and a sign in such numbers; "
            f"write {_number(value)}"
        )
    if kind == "finite_number":
        return f"{here}: {value!r} is not finite; write a number"
    if kind == "value_error":
        return f"{here}: {context['error']}"
    return f"{here}: {value!r} is not valid: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _number(text: str) -> str:
    """A number that YAML reads as text, such as 2e-3, rewritten so that it is a number; or ""."""
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+", text):
        mantissa, _, exponent = text.lower().partition("e")
        mantissa += "" if "." in mantissa else ".0"
        mantissa += "0" if mantissa.endswith(".") else ""
        return f"{mantissa}e{int(exponent):+d}"
    return ""


def _key(raw: Any, loc: tuple) -> str:
    """The dotted key as the user wrote it, without the union tags that pydantic adds."""
    parts = []
    for depth, part in enumerate(loc):
        last = depth == len(loc) - 1
        if part == "[key]":
            continue
        inside = isinstance(raw, dict) and part in raw
        if inside or (isinstance(raw, list) and isinstance(part, int) and part < len(raw)):
            raw = raw[part]
        elif not last or (isinstance(raw, dict) and part in (raw.get("method"), raw.get("kind"))):
            continue
        parts.append(str(part))
    return ".".join(parts) or "config"


def _fields_at(annotation: Any, loc: tuple) -> list[str]:
    """Names of the fields of the block at `loc`."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _fields_at(typing.get_args(annotation)[0], loc)
    if isinstance(annotation, type) and issubclass(annotation, Block):
        if not loc:
            return list(annotation.model_fields)
        if loc[0] in annotation.model_fields:
            return _fields_at(annotation.model_fields[loc[0]].annotation, loc[1:])
        return _fields_at(annotation, loc[1:])  # a union tag
    if origin is dict:
        return _fields_at(typing.get_args(annotation)[1], loc[1:])
    for option in typing.get_args(annotation):
        if isinstance(option, type) and issubclass(option, Block):
            tag = option.model_fields.get("method") or option.model_fields.get("kind")
            if tag is None or (loc and tag.default == loc[0]):
                return _fields_at(option, loc[1:] if tag else loc)
    return []


def choices(wrong: str, valid: typing.Iterable[str]) -> str:
    """A hint: 'did you mean …' if a valid name is similar, and the valid names."""
    valid = sorted(valid)
    near = difflib.get_close_matches(wrong, valid, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"{hint}choose from {', '.join(valid) or '(none)'}"
