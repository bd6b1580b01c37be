"""Saliency maps: several images, classes and samples in a pass against one of each at a time."""

import statistics
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.cam import make_network
from benchmarks.timing import Row, alternate, compared
from tags2masks.allocator import keep_freed_memory
from tags2masks.config.base import Block
from tags2masks.config.maps import METHODS
from tags2masks.config.saliency_maps import RandomCrop, Saliency, SmoothGrad
from tags2masks.maps import randomcrop, saliency, smoothgrad
from tags2masks.maps.batch import Batch, empty_maps
from tags2masks.maps.gradients import stored

TITLE = "Saliency maps"
HEADINGS = ("batched", "beside it")
ABOUT = (
    "Maps of the tagged classes by MobileNetV2 at output stride 16, float32, each method with its "
    "default number of images or samples in a pass. Plain: a forward and a backward pass for every "
    "class of every sample of every image. The floor is the bare passes on ready batches: one "
    "forward for every version of an image, one backward for each of its classes."
)

TAGS = (1, 2, 1, 3, 1, 1, 2, 1)  # of an image each: 1.5 in the mean, as in VOC


def make_batch(count: int, height: int, width: int, classes: int) -> Batch:
    """Noise with as many tags as TAGS says, in turn."""
    tagged = torch.zeros(count, classes, dtype=torch.bool)
    for number in range(count):
        tagged[number, : TAGS[number % len(TAGS)]] = True
    return Batch(torch.rand(count, 3, height, width), tagged, range(count))


def bare_passes(
    network: nn.Module, passes: Sequence[tuple[int, int]], size: tuple[int, int]
) -> Callable[[], None]:
    """A function that does nothing but the passes, each of so many images and classes."""
    batches = [
        torch.rand(count, 3, *size).contiguous(memory_format=torch.channels_last)
        for count, _ in passes
    ]

    def run() -> None:
        for images, (_, classes) in zip(batches, passes, strict=True):
            images.requires_grad_()
            logits = network(images)
            for class_ in range(classes):
                torch.autograd.grad(logits[:, class_].sum(), images, retain_graph=True)

    return run


def gradient(network: nn.Module, image: Tensor, class_: int) -> tuple[Tensor, Tensor]:
    """|dS_c/dI| [1, H, W] and S_c of one image [3, H, W], with passes of its own."""
    image = image[None].clone().requires_grad_()
    logit = network(image)[0, class_]
    (gradients,) = torch.autograd.grad(logit, image)
    return gradients.abs().amax(1), logit.detach()


def one_at_a_time(
    batch: Batch,
    stride: int,
    class_map: Callable[[Tensor, int, torch.Generator], Tensor],
) -> Tensor:
    """The maps of each image and class alone; class_map gives [1, H, W]."""
    maps = empty_maps(batch, stride)
    for number, class_ in batch.tagged.nonzero().tolist():
        generator = torch.Generator().manual_seed(batch.seeds[number])
        map_ = class_map(batch.images[number], class_, generator)
        maps[number, class_] = stored(map_, stride)[0]
    return maps


def plain_saliency(network: nn.Module, batch: Batch, spec: Saliency) -> Tensor:
    """What `saliency.localize` gives."""
    return one_at_a_time(
        batch, spec.stride, lambda image, class_, _: gradient(network, image, class_)[0]
    )


def plain_smoothgrad(network: nn.Module, batch: Batch, spec: SmoothGrad) -> Tensor:
    """What `smoothgrad.localize` gives."""

    def class_map(image: Tensor, class_: int, generator: torch.Generator) -> Tensor:
        total = 0
        for _ in range(spec.samples):
            noise = torch.randn(image.shape, generator=generator)
            total = total + gradient(network, image + spec.sigma * noise, class_)[0]
        return total / spec.samples

    return one_at_a_time(batch, spec.stride, class_map)


def plain_randomcrop(network: nn.Module, batch: Batch, spec: RandomCrop) -> Tensor:
    """What `randomcrop.localize` gives."""

    def class_map(image: Tensor, class_: int, generator: torch.Generator) -> Tensor:
        size = image.shape[-2:]
        total = torch.zeros(1, *size)
        for box in randomcrop.draw_boxes(size, spec, generator):
            crop = F.interpolate(box.of(image)[None], size, mode="bilinear")[0]
            map_, logit = gradient(network, crop, class_)
            box.of(total).add_(
                logit.sigmoid() * F.adaptive_avg_pool2d(map_, (box.height, box.width))
            )
        return total / spec.samples

    return one_at_a_time(batch, spec.stride, class_map)


def needed_passes(batch: Batch, spec: Block) -> list[tuple[int, int]]:
    """(images, classes) of each pass that the method's maps need."""
    counts = batch.tagged.sum(1).tolist()
    if isinstance(spec, Saliency):
        return [(counts.count(tags), tags) for tags in sorted(set(counts) - {0})]
    starts = range(0, spec.samples, spec.samples_per_pass)
    sizes = [min(spec.samples_per_pass, spec.samples - start) for start in starts]
    return [(size, tags) for tags in counts if tags for size in sizes]


WAYS = {
    "saliency": (saliency.localize, plain_saliency),
    "smoothgrad": (smoothgrad.localize, plain_smoothgrad),
    "randomcrop": (randomcrop.localize, plain_randomcrop),
}


def measure(quick: bool) -> list[Row]:
    """Seconds per batch; of each method a row for the plain way and one for the floor."""
    keep_freed_memory()  # as every program that runs a network does
    size = (32, 40) if quick else (192, 256)
    network, rows = make_network(), []
    for name, (method, plain) in WAYS.items():
        sampled = name != "saliency"
        count = 2 if quick or sampled else 8
        spec = METHODS[name](samples=3 if quick else 20) if sampled else METHODS[name]()
        batch = make_batch(count, *size, network.head.out_channels)
        torch.testing.assert_close(
            method(network, batch, spec), plain(network, batch, spec), atol=1e-3, rtol=1e-3
        )
        bare = bare_passes(network, needed_passes(batch, spec), size)
        bare()
        runs = [partial(way, network, batch, spec) for way in (method, plain)]
        together, single, floor = alternate([*runs, bare], 2 if quick else 5)
        rows += described(name, batch, spec, together, single, floor)
    return rows


def described(
    name: str,
    batch: Batch,
    spec: Block,
    together: Sequence[float],
    single: Sequence[float],
    floor: Sequence[float],
) -> list[Row]:
    """The rows of a method, from its seconds in every round."""
    height, width = batch.images.shape[-2:]
    samples = f" × {spec.samples} samples" if hasattr(spec, "samples") else ""
    what = f"{len(batch.images)} images of {height} × {width}{samples}"
    maps = int(batch.tagged.sum())
    speeds = [maps / statistics.median(seconds) for seconds in (together, single)]
    share = statistics.median(bare / all_ for bare, all_ in zip(floor, together, strict=True))
    return [
        compared(
            f"{name}, {what}: one class and sample at a time",
            together,
            single,
            note=f"{speeds[0]:.3g} maps/s against {speeds[1]:.3g}",
        ),
        compared(
            f"{name}: floor, the passes alone",
            together,
            floor,
            note=f"{share:.0%} of their rate achieved",
        ),
    ]
