"""The page of the papers' tables and figures, generated from `papers/published/index.yaml`.

`python -m tags2masks.config.papers` writes it; with `--check` it only checks it.
"""

import csv
import re
import sys
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from tags2masks.config.base import Block, ConfigError
from tags2masks.config.reference import DOCS, write_or_check

ROOT = DOCS.parent
INDEX = ROOT / "papers/published/index.yaml"
PAGE = DOCS / "papers.md"
COMMAND = re.compile(r"snakemake [^#\n]*--configfile (\S+\.yaml)")
WORDS = {"all": "yes", "part": "in part", "none": "no", "nothing": "–"}

INTRODUCTION = """# Tables and figures of the papers

Generated from `papers/published/index.yaml` by `make docs`; a test fails when it is out of date.
Every table and figure of the five documents: by which config it is made here, where its figures
then are, and what of it cannot be made. *yes*: at the paper's settings. *–*: an illustration or
figures of other papers, nothing to compute. A config that is sized for CPUs shows the same
comparison on small data: which, and what was measured with it, is above each table. Masks of VOC's
test are not public: [export.md](export.md#pascal-vocs-test) has the way to its server.
Run a config with the command above its table, and with what its row adds to it; CSV files are in
`results/`, and names in *italics* are parts of `results/report.html`. The last column counts the
figures in [papers/published](../papers/published/README.md).

A command makes all items of its config. For some of them copy the config, and keep under
`experiments` only the chains that their rows name: ids stay the same, so a later run of the whole
config makes only the rest. Without a cluster take `--cores 8` in place of `--profile slurm`.

## What the configs read

Paths start at the folder of the run, and are edited in the config, whose head says what it needs.

- `VOCdevkit/VOC2012`: PASCAL VOC 2012's archive of trainval, unpacked, and in
  `ImageSets/Segmentation` a list `trainaug.txt` of 10,582 names: VOC's train, and SBD's images
  without VOC's val, as most public code of these methods has it. Tags and boxes are of VOC's XML
  files, which all images have; SBD's masks are not read.
- `coco`, `coco2014`, `coco2017`: COCO's images and its `annotations`, of 2014 but for the last.
- `MNIST`: MNIST's four `.gz` files, as published.
- `weights/resnet38d.pth`: ResNet-38d trained on ImageNet, with the names of AffinityNet's public
  code. `weights: pretrained`: from timm's hub, in the first job that asks for them.
- `saliency_maps`, `openimages`, `OoD_images` and MCG's proposals: see the heads of their configs.
- `../shared/data/voc12_animals`: the images of VOC's own train and val that show one of five
  animals. `root: VOCdevkit/VOC2012` with the config's `classes` has them, too.
- `../shared/data/weights/tf_efficientnet_lite0…`: timm's weights of this network as a file;
  `weights: pretrained` has them.
- `../shared/data/weights/mobilenetv2_100…`: Keras' MobileNetV2 with timm's names, rounded to 8
  bits. `weights: pretrained`, without `args`, `mean` and `std`, has timm's instead, which are of
  another training: figures will differ.
- `../shared/data/mnist`, `coco_train100`, `ood_scenes`: MNIST; 100 images of COCO; 207 scenes of
  MSRC's object recognition database, version 2.
"""


class Rows(Block):
    """Where an item's figures are: rows of a table in `results/`, or in the maps' folders."""

    file: Literal[
        "metrics.csv", "sweep.csv", "curve.csv", "epochs.csv", "steps.csv", "properties.csv",
        "correlations.csv", "groups.csv", "gradients.csv", "landscape.csv", "climbs.csv",
        "amplification.csv", "regions.csv", "head_places.csv", "head_losses.csv", "proposals.csv",
    ]  # fmt: skip
    stage: str | None = None
    metrics: tuple[str, ...] = ()
    split: Literal["train", "val"] | None = None
    parameter: str | None = Field(None, description="Of sweep.csv.")


class Made(Block):
    """A config that makes a part of an item that its own does not."""

    config: str
    chains: tuple[str, ...] = Field(min_length=1)


class Item(Block):
    """A table or figure; see the head of the index."""

    item: str
    shows: str
    can: Literal["all", "part", "none", "nothing"]
    config: str | None = None
    chains: tuple[str, ...] = ()
    more: tuple[Made, ...] = ()
    rows: tuple[Rows, ...] = ()
    views: tuple[str, ...] = ()
    seeds: int | None = Field(
        None, ge=2, description="Repeats that the item has, where the config makes one."
    )
    lacks: str = ""

    @model_validator(mode="after")
    def _complete(self) -> "Item":
        if self.can in ("part", "none") and not self.lacks:
            raise ValueError(f"{self.item}: `can: {self.can}` without what it `lacks`")
        if self.can in ("all", "nothing") and self.lacks:
            raise ValueError(f"{self.item}: `can: {self.can}`, but something it `lacks`")
        if self.can == "all" and self.config is None:
            raise ValueError(f"{self.item}: `can: all` without a config")
        if (self.config is None) != (not self.chains):
            raise ValueError(f"{self.item}: config and chains go together")
        if self.config is None and (self.more or self.rows or self.views or self.seeds):
            raise ValueError(f"{self.item}: figures, but no config that makes them")
        return self

    @property
    def made(self) -> tuple[Made, ...]:
        """All configs that make it, its own first."""
        own = [Made(config=self.config, chains=self.chains)] if self.config else []
        return (*own, *self.more)


class Small(Block):
    """A config that is sized for CPUs, and the items whose comparisons it has on small data."""

    config: str
    items: tuple[str, ...] = Field(min_length=1)
    results: tuple[str, ...] = Field(min_length=1, description="Headings in docs/results.md.")


class Document(Block):
    """A document with its tables and figures, in order."""

    title: str
    small: tuple[Small, ...] = ()
    items: tuple[Item, ...]

    @model_validator(mode="after")
    def _known(self) -> "Document":
        known = {item.item for item in self.items}
        for small in self.small:
            if unknown := sorted(set(small.items) - known):
                raise ValueError(f"small: {small.config}: no such items: {', '.join(unknown)}")
        return self


def read_index(path: Path = INDEX) -> dict[str, Document]:
    """The documents by the names of their files in `papers/published`.

    Raises ConfigError naming the file, document and key for what is not valid.
    """
    documents = {}
    for name, document in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        try:
            documents[name] = Document.model_validate(document)
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, (name, *problem["loc"])))
            raise ConfigError(f"{path.name}: {place}: {problem['msg']}") from None
    return documents


def command_of(config: str) -> str:
    """The command at the head of a config of `papers/`."""
    text = (ROOT / config).read_text(encoding="utf-8").replace("\n# ", " ").replace("\n#   ", " ")
    commands = {" ".join(found.group().split()) for found in COMMAND.finditer(text)}
    mine = [command for command in commands if command.endswith(config)]
    if len(mine) != 1:
        raise ConfigError(f"{config}: no single command to run it at its head; write one")
    return mine[0]


def published_counts(document: str) -> dict[str, int]:
    """The number of published figures of each item, by the words before a comma."""
    counts: dict[str, int] = {}
    path = ROOT / f"papers/published/{document}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            name = row["table"].partition(",")[0]
            counts[name] = counts.get(name, 0) + 1
    return counts


def page() -> str:
    """The page, in Markdown."""
    parts = [INTRODUCTION]
    for name, document in read_index().items():
        counts = published_counts(name)
        parts.append(f"## {document.title}\n")
        configs = dict.fromkeys(made.config for item in document.items for made in item.made)
        parts += ["Its items are made by:", ""]
        parts += [f"- `{command_of(config)}`" for config in configs]
        if document.small:
            parts += ["", "On small data, and what was measured there:", ""]
            parts += map(_small_text, document.small)
        parts += [
            "",
            "| item | what | made here | by | figures | missing | published |",
            "|---|---|---|---|---|---|---|",
        ]
        parts += [_row(item, counts) for item in document.items]
        parts.append("")
        if counts:
            others = ", ".join(f"{place} ({count})" for place, count in counts.items())
            parts.append(f"Published figures elsewhere: {others}.\n")
    return "\n".join(parts)


def anchor(heading: str) -> str:
    """The anchor that GitHub gives to a heading."""
    kept = (sign for sign in heading.lower() if sign in " -_" or sign.isalpha() or sign.isdecimal())
    return "".join(kept).replace(" ", "-")


def _small_text(small: Small) -> str:
    """The line of a small config: its command, its items, and where its figures are told."""
    told = ", ".join(f"[{title}](results.md#{anchor(title)})" for title in small.results)
    return f"- `{command_of(small.config)}`: {', '.join(small.items)}. {told}"


def _row(item: Item, counts: dict[str, int]) -> str:
    """The item's line; its published figures are taken out of counts."""
    by = "; ".join(
        f"[{Path(made.config).name}](../{made.config}): "
        + ", ".join(f"`{chain}`" for chain in made.chains)
        for made in item.made
    )
    if item.seeds:
        by += f"; add `--config '{seeds_option(item.seeds)}'`"
    figures = [*map(_rows_text, item.rows), *(f"*{view}*" for view in item.views)]
    # Of a figure in parts, the numbers of the text are counted at the first.
    count = counts.pop(item.item, 0) or counts.pop(item.item.partition(" (")[0], 0)
    cells = [item.item, item.shows, WORDS[item.can], by or "–", "; ".join(figures) or "–"]
    cells += [item.lacks or "–", str(count or "–")]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def seeds_option(count: int) -> str:
    """The value of Snakemake's `--config` that repeats experiments with this many seeds."""
    return f"seeds=[{','.join(map(str, range(count)))}]"


def _rows_text(rows: Rows) -> str:
    about = [rows.stage, " ".join(f"`{metric}`" for metric in rows.metrics), rows.split]
    if rows.parameter:
        about.append(f"by `{rows.parameter}`")
    said = ", ".join(filter(None, about))
    return f"`{rows.file}`" + (f" ({said})" if said else "")


def main(check: bool) -> int:
    """Write the page, or print that it is out of date; return the exit status."""
    return write_or_check({PAGE: page()}, check)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
