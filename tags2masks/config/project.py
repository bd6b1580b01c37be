"""The config file: entries for each stage, and the experiments that chain them."""

import operator
import re
from functools import reduce
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, create_model

from tags2masks.config.base import Block, ConfigError, Name
from tags2masks.config.datasets import DatasetSpec
from tags2masks.config.evaluation import Evaluation
from tags2masks.config.methods import METHODS
from tags2masks.config.mistakes import explain
from tags2masks.config.report import Report
from tags2masks.stages import SECTIONS

Seed = Annotated[int, Field(ge=0, lt=2**31)]


def _from_text(values: Any) -> Any:
    """Seeds from `--config 'seeds=[0,1]'`, where Snakemake reads the numbers of a list as text."""
    if not isinstance(values, tuple):
        return values
    return tuple(int(v) if isinstance(v, str) and re.fullmatch("[0-9]+", v) else v for v in values)


def _each_once(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if twice := {seed for seed in seeds if seeds.count(seed) > 1}:
        raise ValueError(f"{min(twice)} is there twice; name each seed once")
    return seeds


Seeds = Annotated[
    tuple[Seed, ...], Field(min_length=1), BeforeValidator(_from_text), AfterValidator(_each_once)
]


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


Format = Literal["coco", "cvat", "label_studio", "voc", "yolo"]
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
    image_list: str | None = Field(
        None,
        description="File with a line for each image to segment, its name below the folder with or "
        "without the suffix, such as VOC's ImageSets/Segmentation/test.txt; null: all images.",
    )
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
        "cpu",
        description="Device of networks; auto: a GPU if the machine has one. Jobs on one machine "
        "take turns on its GPU; Snakemake's `--resources gpu=2` lets two share it.",
    )
    devices: int = Field(
        1,
        ge=1,
        description="GPUs (on cpu: processes) per training run. Each takes its part of a batch, "
        "which should be a multiple of their number. Live batch norm (`freeze_bn: false`) "
        "normalises each part by itself, and parts count equally in losses that are means over "
        "known pixels or cells: the number of devices then changes what is learned.",
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
        lines = dict.fromkeys(explain(Config, raw, problem) for problem in error.errors())
        raise ConfigError("\n".join(lines)) from None


def _tuples(value: Any) -> Any:
    """Convert lists to tuples recursively: strict validation does not accept a list as a tuple."""
    if isinstance(value, dict):
        return {key: _tuples(part) for key, part in value.items()}
    return tuple(_tuples(part) for part in value) if isinstance(value, list | tuple) else value
