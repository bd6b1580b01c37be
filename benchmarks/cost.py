"""What a reproduction at the papers' settings costs: `python -m benchmarks.cost`.

It writes docs/costs.md.

Passes of the configs' own networks at their own sizes are counted, not run: floating point
operations of every convolution and matrix product, on tensors without data (torch's `meta` device).
Hours follow from a stated rate, an assumption: an extrapolation, not a measurement.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.training import bare_step
from tags2masks.config.base import Entry
from tags2masks.config.project import parse_config
from tags2masks.config.reading import read_config
from tags2masks.config.reference import DOCS, write_or_check
from tags2masks.methods import method_module
from tags2masks.nets.classifier import Classifier
from tags2masks.workflow.artifacts import Artifact
from tags2masks.workflow.building import build_experiments

ROOT = Path(__file__).resolve().parents[1]
PAGE = DOCS / "costs.md"
FILES = ("label_efficient", "label_efficient-coco")
RATE = 40  # TFLOP/s


class Images(NamedTuple):
    """What is assumed of a data set: training images, height, width, tags of an image, classes."""

    count: int
    height: int
    width: int
    tags: float
    classes: int


IMAGES = {"voc": Images(10_582, 375, 500, 1.5, 20), "coco": Images(82_783, 480, 640, 2.9, 80)}

INTRODUCTION = """# What a full reproduction costs

Written by `python -m benchmarks.cost`; do not edit. **An extrapolation**: nothing of it was run on
a GPU. The passes that each entry of a config makes are counted with its own network at its own
sizes, on tensors without data: two operations for every multiply-add of convolutions and matrix
products. Hours are these operations at {rate} TFLOP/s, which is an assumption: about a quarter of
what an A100 has for matrix products in TF32. `--rate` takes another; measure yours on one epoch,
and multiply.

Assumed: {images}.
Maps are of all training images. Not counted: reading images, random walks, CRFs and clustering,
which are a CPU's; affinity networks, which learn for 3 epochs; predictions on val; detectors; and
what a step does beside its passes, a seventh or less on a CPU ([benchmarks](benchmarks.md)). An
artifact that two chains share is counted once.
"""


class Cost(NamedTuple):
    """A row: an entry's operations for an image, how often each is used, and the images."""

    config: str
    entry: str
    method: str
    per_image: int
    times: float
    images: int

    @property
    def operations(self) -> float:
        """All of its floating point operations."""
        return self.per_image * self.times * self.images


def counted(run: Callable[[], object]) -> int:
    """The floating point operations of a call."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def on_meta(package: str, block: Entry, classes: int) -> nn.Module:
    """The block's network, without data, as it trains."""
    with torch.device("meta"):
        return method_module(package, {"method": block.method}).build(block, classes).train()


def picture(height: int, width: int) -> Tensor:
    """An image without data, [1, 3, H, W]."""
    return torch.empty(1, 3, height, width, device="meta")


def classifier_step(block: Entry, classes: int) -> int:
    """Operations of the passes of a training step, per image."""
    network = on_meta("classifiers", block, classes)
    with torch.device("meta"):
        ordinary = Classifier(block.backbone, classes)
    side = block.augment.crop
    images = torch.empty(2, 3, side, side, dtype=torch.uint8, device="meta")
    return counted(lambda: bare_step(network, ordinary, [images], block)) // 2


def masks_step(block: Entry, classes: int) -> int:
    """Operations of a forward and a backward pass of a segmenter, per image."""
    network = on_meta("segmenters", block, classes)
    side = block.augment.crop
    images = torch.empty(2, 3, side, side, device="meta")

    def step() -> None:
        found = network(images)
        parts = found if isinstance(found, tuple | list) else [found]
        sum(part.mean() for part in parts).backward()

    return counted(step) // 2


class Passes(NamedTuple):
    """Operations of a forward pass, with one back to the image, and with one to all weights."""

    forward: int
    to_image: int
    to_weights: int


def passes(network: nn.Module, image: Tensor) -> Passes:
    """Its passes on an image."""

    def back(wanted: bool) -> None:
        network.requires_grad_(wanted)
        given = image.detach().requires_grad_(not wanted)
        network.score_maps(network.features(given)).mean().backward()

    network.requires_grad_(False)
    forward = counted(lambda: network.score_maps(network.features(image)))
    return Passes(forward, counted(lambda: back(False)), counted(lambda: back(True)))


def of_maps(artifact: Artifact, images: Images) -> int | None:
    """Operations of a map method on an image; None for a method that is not counted."""
    block, classifier = artifact.block, artifact.upstream["classifier"].block
    network = on_meta("classifiers", classifier, images.classes).eval()
    views = 2 if block.flip else 1

    @cache
    def at(scale: float) -> Passes:
        size = (round(side * scale) for side in (images.height, images.width))
        return passes(network, picture(*size))

    forward = views * sum(at(scale).forward for scale in block.scales)
    if artifact.method in ("cam", "pcm", "amn"):
        return forward
    if artifact.method == "lpcam":  # and once more, of some images, for the clusters
        return forward
    if artifact.method == "advcam":
        climbs = views * sum(at(scale).to_image * block.steps for scale in block.scales)
        return round(images.tags * (climbs + forward))
    if artifact.method == "rib":
        side = block.augment.crop
        companion = passes(network, picture(side, side)).to_weights
        learning = at(1).to_weights + block.companions * companion
        return block.steps * learning + (block.steps + 1) * forward
    return None


def costs(name: str) -> Iterator[Cost]:
    """The rows of a config of papers/, each artifact once."""
    images = IMAGES["coco" if name.endswith("-coco") else "voc"]
    config = parse_config(read_config(ROOT / f"papers/{name}.yaml"))
    seen = set()
    for experiment in build_experiments(config):
        for depth, artifact in experiment.products:
            block, key = artifact.block, artifact.key
            if key in seen or experiment.dataset not in IMAGES:
                continue
            seen.add(key)
            entry = "/".join(one.name for one in experiment.chain[1 : depth + 1])
            row = (name, entry, artifact.method)
            if artifact.stage == "classifier":
                step = classifier_step(block, images.classes)
                yield Cost(*row, step, block.epochs, images.count)
            elif artifact.stage == "maps" and (work := of_maps(artifact, images)) is not None:
                yield Cost(*row, work, 1, block.images or images.count)
            elif artifact.stage == "segmenter":
                step = masks_step(block, images.classes)
                yield Cost(*row, step, block.epochs, images.count)


def hours(operations: float, rate: float) -> float:
    """Hours at a rate in TFLOP/s."""
    return operations / (rate * 1e12) / 3600


def _digits(value: float) -> str:
    """Four digits, with commas."""
    return f"{float(f'{value:.4g}'):,g}"


def page(rate: float = RATE) -> str:
    """The page, in Markdown."""
    said = ";\n".join(
        f"{name.upper()} {i.count:,} training images of {i.width} × {i.height}, {i.tags} tags each"
        for name, i in IMAGES.items()
    )
    parts = [INTRODUCTION.format(rate=f"{rate:g}", images=said)]
    for name in FILES:
        print(f"{name} …", file=sys.stderr, flush=True)
        rows = list(costs(name))
        parts += [
            f"## papers/{name}.yaml\n",
            "| entry | method | GFLOP an image | times | GPU hours |",
            "|---|---|---:|---:|---:|",
        ]
        for row in rows:
            spent = hours(row.operations, rate)
            parts.append(
                f"| `{row.entry}` | `{row.method}` | {_digits(row.per_image / 1e9)} "
                f"| {row.times:g} | {spent:,.3g} |"
            )
        total = sum(hours(row.operations, rate) for row in rows)
        parts += [f"| together | | | | **{total:,.0f}** |", ""]
    return "\n".join(parts)


def main() -> int:
    """Write the page, or with --check print that it is out of date; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument("--rate", type=float, help="TFLOP/s; prints the page, and writes nothing")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    if args.rate:
        print(page(args.rate))
        return 0
    return write_or_check({PAGE: page()}, args.check)


if __name__ == "__main__":
    sys.exit(main())
