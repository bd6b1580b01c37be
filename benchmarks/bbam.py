"""BBAM: objects together against one at a time, and against the detector's bare passes."""

from functools import partial

import torch
from torch import Tensor

from benchmarks.table import quantity
from benchmarks.timing import Row, alternate, compared
from tags2masks.allocator import keep_freed_memory
from tags2masks.config.detectors import METHODS
from tags2masks.config.object_maps import Bbam
from tags2masks.detectors import fasterrcnn
from tags2masks.machine import Machine
from tags2masks.maps import bbam
from tags2masks.maps.localizing import ready
from tags2masks.maps.objects import Size
from tags2masks.maps.positives import Positives, jittered
from tags2masks.nets.detector import Detector

TITLE = "BBAM: masks of objects"
HEADINGS = ("ours", "beside it")
ABOUT = (
    "Steps of Adam on the masks of objects, each in an image of its own, by a Faster R-CNN on "
    "MobileNetV2 (pyramid of 128 channels, float32), with 20 proposals an object. Objects together "
    "are compared with one at a time. Bare passes: the pyramid and the heads forward, and backward "
    "to the images, as often and of the same sizes, and no masks, losses or updates; a ratio of "
    "0.85 or more means at least 85 % of their throughput. Batch norm is folded, as in the "
    "program; the last row is of a network that has it apart."
)


def make_network() -> Detector:
    """A frozen detector of 20 classes with random weights."""
    backbone = {"name": "mobilenetv2_100", "output_stride": 32}
    spec = METHODS["fasterrcnn"](backbone=backbone, pyramid_channels=128, regions={"channels": 512})
    torch.manual_seed(0)
    return fasterrcnn.build(spec, 20).eval().requires_grad_(False)


def material(
    network: Detector, count: int, size: Size, spec: Bbam
) -> tuple[Tensor, list[Positives]]:
    """Normalised images of noise, and the first proposals around the middle half of each."""
    generator = torch.Generator().manual_seed(0)
    images = network.normalize(torch.rand(count, 3, *size, generator=generator))
    middle = torch.tensor([size[1], size[0], 3 * size[1], 3 * size[0]]) / 4
    positives = []
    for image in images:
        boxes = jittered(middle, size, spec, generator)[: spec.positives]
        with torch.no_grad():
            p, t = network.answers(network.pyramid(bbam.padded(image[None])), [boxes], [size])
        positives.append(Positives(boxes, boxes, p[:, 1], t[:, 1]))
    return images, positives


def optimized(
    network: Detector, images: Tensor, positives: list[Positives], spec: Bbam, together: int
) -> list[Tensor]:
    """The masks, so many objects at a time."""
    size = tuple(images.shape[-2:])
    cells = tuple(int(side / spec.cell) for side in size)
    grids = [bbam.start(found.predicted, size, cells) for found in positives]
    for at in range(0, len(grids), together):
        part = slice(at, at + together)
        numbers = [1] * len(grids[part])
        bbam.optimize(network, images[part], numbers, positives[part], grids[part], spec)
    return [grid.detach() for grid in grids]


def bare_passes(network: Detector, images: Tensor, positives: list[Positives], spec: Bbam) -> None:
    """The passes of `bbam.optimize` alone."""
    size, boxes = tuple(images.shape[-2:]), [found.boxes for found in positives]
    pixels = bbam.padded(images).requires_grad_()
    for _ in range(spec.steps):
        p, t = network.answers(network.pyramid(pixels), boxes, [size] * len(boxes))
        torch.autograd.grad(p.sum() + t.sum(), pixels)


def compare(network: Detector, spec: Bbam) -> None:
    """That objects together and alone have the same masks after a step.

    Later ones are not compared: where an answer is as it was to rounding, the derivative of its
    change is that of rounding, and Adam's steps are as long for it as for others.
    """
    images, positives = material(network, 2, (128, 192), spec)
    first = spec.model_copy(update={"steps": 1})
    run = partial(optimized, images=images, positives=positives, spec=first)
    for ours, theirs in zip(run(network, together=2), run(network, together=1), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)


def measure(quick: bool) -> list[Row]:
    """Seconds of all steps."""
    keep_freed_memory()  # as every program that runs a network does
    count, size, steps, repeats = (2, (64, 96), 2, 2) if quick else (8, (256, 384), 5, 3)
    spec = Bbam(steps=steps, lr=0.05, cell=16, proposals=40, positives=20)
    network = ready(make_network(), spec, Machine())
    apart = make_network().to(memory_format=torch.channels_last)
    compare(network, spec)
    images, positives = material(network, count, size, spec)
    run = partial(optimized, images=images, positives=positives, spec=spec)
    run(network, together=count)
    run(network, together=1)
    run(apart, together=count)
    bare_passes(network, images, positives, spec)
    ours, single, bare, unfolded = alternate(
        [
            lambda: run(network, together=count),
            lambda: run(network, together=1),
            lambda: bare_passes(network, images, positives, spec),
            lambda: run(apart, together=count),
        ],
        repeats,
    )
    each = sorted(ours)[repeats // 2] / count / steps
    note = f"{quantity(each, 's')} for a step of an object"
    what = f"{count} objects of {size[0]} × {size[1]}, {steps} steps"
    return [
        compared(f"{what}; one at a time", ours, single, note=note),
        compared("the bare passes", ours, bare),
        compared("batch norm apart", ours, unfolded),
    ]
