"""What a reproduction at the papers' settings costs: `python -m benchmarks.cost`.

It writes docs/costs.md.

Passes of the configs' own networks at their own sizes are counted, not run: floating point
operations of every convolution and matrix product, on tensors without data (torch's `meta` device).
Hours follow from a stated rate, an assumption: an extrapolation, not a measurement.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.training import bare_step
from tags2masks.config.base import Entry
from tags2masks.config.detectors import TwoStage
from tags2masks.config.maskrcnn import MaskRcnn
from tags2masks.config.object_maps import ObjectMaps
from tags2masks.config.project import parse_config
from tags2masks.config.reading import read_config
from tags2masks.config.reference import DOCS, write_or_check
from tags2masks.data.boxed import fitted
from tags2masks.methods import method_module
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.detector import BOX_CELLS, Levels, padded
from tags2masks.nets.mask_detector import SEEN_CELLS
from tags2masks.workflow.artifacts import Artifact
from tags2masks.workflow.building import build_experiments

ROOT = Path(__file__).resolve().parents[1]
PAGE = DOCS / "costs.md"
LEFT_OUT = ("voc1464",)  # few masks and many tags
RATE = 40  # TFLOP/s


class Images(NamedTuple):
    """What is assumed of a data set: its training images, and the tags and boxes of them."""

    name: str
    count: int
    height: int
    width: int
    tags: float
    classes: int
    objects: int


VOC = Images("VOC", 10_582, 375, 500, 1.5, 20, 27_450)
COCO_2014 = Images("COCO 2014", 82_783, 480, 640, 2.9, 80, 604_907)
COCO_2017 = Images("COCO 2017", 118_287, 480, 640, 2.9, 80, 849_949)  # without crowds
FILES = {
    "label_efficient": VOC,
    "label_efficient-coco": COCO_2014,
    "bbam": VOC,
    "bbam-coco": COCO_2017,
}

INTRODUCTION = """# What a full reproduction costs

Written by `python -m benchmarks.cost`; do not edit. **An extrapolation**: nothing of it was run on
a GPU. The passes that each entry of a config makes are counted with its own network at its own
sizes, on tensors without data: two operations for every multiply-add of convolutions and matrix
products. Hours are these operations at {rate} TFLOP/s, which is an assumption: about a quarter of
what an A100 has for matrix products in TF32. `--rate` takes another; measure yours on one epoch,
and multiply.

Assumed: {images}.
Maps are of all training images. Not counted: reading images, random walks, CRFs and clustering,
which are a CPU's; affinity networks, which learn for 3 epochs; predictions on val; and what a step
does beside its passes, a seventh or less on a CPU ([benchmarks](benchmarks.md)). Of detectors also
not what is no convolution or matrix product, choosing proposals and taking their features, and
maps of `boxgradcam`, which are about a pass. An artifact that two chains share is counted once, and
rows that cost the same are one row.
"""


class Cost(NamedTuple):
    """A row: an entry's operations for one of its `things`, how many there are, and how often."""

    config: str
    entry: str
    method: str
    each: int
    times: float
    count: int
    things: str = "images"

    @property
    def operations(self) -> float:
        """All of its floating point operations."""
        return self.each * self.times * self.count


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


def regions(levels: Levels, count: int, cells: int) -> Tensor:
    """Features of so many regions of a pyramid: of their shape, and derived from all levels."""
    width = levels["0"].shape[1]
    drawn = torch.empty(count, width, cells, cells, device="meta")
    return sum(level.mean() for level in levels.values()) * drawn


def detector_step(package: str, block: TwoStage, images: Images) -> int:
    """Operations of a forward and a backward pass of a two-stage network, per image."""
    network = on_meta(package, block, images.classes)
    views, heads = block.augment, network.roi_heads
    side = round(sum(views.short_sides) / len(views.short_sides))
    image = padded([*picture(*fitted((images.height, images.width), side, views.longest))])
    count = block.regions.sampled

    def step() -> None:
        levels = network.pyramid(image)
        answers = [part for pair in network.rpn.head([*levels.values()]) for part in pair]
        answers += heads.box_predictor(heads.box_head(regions(levels, count, BOX_CELLS)))
        if isinstance(block, MaskRcnn):
            objects = round(count * block.regions.positive_share)
            answers.append(network.mask_head(regions(levels, objects, SEEN_CELLS)))
        sum(answer.mean() for answer in answers).backward()

    return counted(step)


def of_objects(artifact: Artifact, images: Images) -> int:
    """Operations on an object: to find its proposals, and of passes there and back."""
    block, detector = artifact.block, artifact.upstream["detector"].block
    network = on_meta("detectors", detector, images.classes).eval().requires_grad_(False)
    heads = network.roi_heads
    side = block.short_side or detector.test_short_side
    size = fitted((images.height, images.width), side, detector.augment.longest)
    image = padded([*picture(*size)])

    def answered(pixels: Tensor, count: int) -> Tensor:
        seen = regions(network.pyramid(pixels), count, BOX_CELLS)
        return sum(part.mean() for part in heads.box_predictor(heads.box_head(seen)))

    def step() -> None:
        answered(image.detach().requires_grad_(), block.positives).backward()

    times = {"bbam": "steps", "boxsmoothgrad": "samples"}.get(artifact.method)
    steps = getattr(block, times) if times else 1
    return steps * counted(step) + counted(lambda: answered(image, block.proposals))


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


def work_of(artifact: Artifact, images: Images) -> int | None:
    """Operations for one image, or object; None for a stage or method that is not counted."""
    block = artifact.block
    if artifact.stage == "classifier":
        return classifier_step(block, images.classes)
    if isinstance(block, TwoStage):
        return detector_step(f"{artifact.stage}s", block, images)
    if artifact.stage == "segmenter":
        return masks_step(block, images.classes)
    if isinstance(block, ObjectMaps):
        return None if artifact.method == "boxgradcam" else of_objects(artifact, images)
    return of_maps(artifact, images) if artifact.stage == "maps" else None


def costs(name: str) -> Iterator[Cost]:
    """The rows of a config of papers/, each artifact once."""
    images = FILES[name]
    config = parse_config(read_config(ROOT / f"papers/{name}.yaml"))
    seen = set()
    known = {}  # by the blocks that the work depends on
    for experiment in build_experiments(config):
        for depth, artifact in experiment.products:
            block, key = artifact.block, artifact.key
            if key in seen or experiment.dataset in LEFT_OUT or artifact.stage == "predictions":
                continue
            seen.add(key)
            networks = [artifact.upstream.get(stage) for stage in ("classifier", "detector")]
            of = (artifact.stage, *(one and repr(one.block) for one in (artifact, *networks)))
            if of not in known:
                known[of] = work_of(artifact, images)
            if known[of] is None:
                continue
            entry = "/".join(one.name for one in experiment.chain[1 : depth + 1])
            row = (name, entry, artifact.method, known[of])
            if artifact.stage == "maps":
                things = "objects" if isinstance(block, ObjectMaps) else "images"
                count = images.objects if things == "objects" else block.images or images.count
                yield Cost(*row, 1, count, things)
            else:
                yield Cost(*row, block.epochs, images.count)


def hours(operations: float, rate: float) -> float:
    """Hours at a rate in TFLOP/s."""
    return operations / (rate * 1e12) / 3600


def _digits(value: float) -> str:
    """Four digits, with commas."""
    return f"{float(f'{value:.4g}'):,g}"


def tables(rows: Iterable[Cost], rate: float) -> list[str]:
    """The lines of a config's table: equal costs together, and their sum."""
    groups: dict[tuple, list[Cost]] = {}
    for row in rows:
        groups.setdefault((row.method, row.each, row.times, row.count), []).append(row)
    lines = [
        "| entry | method | GFLOP each | times | of | GPU hours |",
        "|---|---|---:|---:|---:|---:|",
    ]
    total = 0.0
    for first, *others in groups.values():
        spent = hours(first.operations, rate) * (1 + len(others))
        more = f" and {len(others)} more" if others else ""
        lines.append(
            f"| `{first.entry}`{more} | `{first.method}` | {_digits(first.each / 1e9)} "
            f"| {first.times:g} | {first.count:,} {first.things} | {spent:,.3g} |"
        )
        total += spent
    lines += [f"| together | | | | | **{total:,.0f}** |", ""]
    for first, *_ in groups.values():
        if first.things == "objects":
            seconds, once = first.each / (rate * 1e12), hours(first.operations, rate)
            lines += [
                f"An object takes {seconds:.2g} s of `{first.method}`, and all once {once:,.3g} h.",
                "",
            ]
    return lines


def page(rate: float = RATE) -> str:
    """The page, in Markdown."""
    said = ";\n".join(
        f"{i.name} {i.count:,} training images of {i.width} × {i.height}, {i.tags} tags each, "
        f"{i.objects:,} objects"
        for i in dict.fromkeys(FILES.values())
    )
    parts = [INTRODUCTION.format(rate=f"{rate:g}", images=said)]
    for name in FILES:
        print(f"{name} …", file=sys.stderr, flush=True)
        parts += [f"## papers/{name}.yaml\n", *tables(costs(name), rate)]
    return "\n".join(parts).rstrip("\n") + "\n"


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
