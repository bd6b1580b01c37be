"""Class activation maps as the program makes them, against plainer ways."""

import statistics

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.timing import Row, alternate, compared
from tags2masks.allocator import keep_freed_memory
from tags2masks.config.maps import Cam
from tags2masks.config.training import Backbone
from tags2masks.machine import Machine
from tags2masks.maps.batch import plain_batch
from tags2masks.maps.cam import localize
from tags2masks.maps.localizing import ready
from tags2masks.maps.scales import multi_scale, stored_size
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.score_maps import normalize

TITLE = "Class activation maps"
HEADINGS = ("batched", "beside it")
ABOUT = (
    "Maps of 20 classes by MobileNetV2 at output stride 16 over four scales and flips, float32. "
    "Batch norm is folded, and a pass has a few images, as in the localizing program. "
    "Plain: one image, one scale and one flip at a time. The floor is the network's arithmetic at "
    "the rate of this machine's matrix product, measured in the same rounds. All with freed memory "
    "kept by the process (`tags2masks/allocator.py`)."
)


def make_network() -> Classifier:
    """MobileNetV2 with random weights, in the memory order that the localizing program gives it."""
    torch.manual_seed(0)
    backbone = Backbone(name="mobilenetv2_100", output_stride=16)
    network = Classifier(backbone, 20).eval().requires_grad_(False)
    return network.to(memory_format=torch.channels_last)


def in_passes(network: Classifier, images: Tensor, spec: Cam) -> Tensor:
    """`batched`, as many images at a time as the localizing program takes on a CPU."""
    height, width = images.shape[-2:]
    passes = images.split(max(1, Machine().pass_pixels // (height * width)))
    return torch.cat([batched(network, some, spec) for some in passes])


def batched(network: Classifier, images: Tensor, spec: Cam) -> Tensor:
    """The method itself, with every class asked for."""
    return localize(network, plain_batch(images, network.head.out_channels), spec)


def one_view_at_a_time(
    network: Classifier, images: Tensor, spec: Cam, with_mirror: bool = False
) -> Tensor:
    """What `batched` gives; with_mirror: an image and its mirror image share a forward pass."""
    height, width = images.shape[-2:]
    size = stored_size((height, width), spec.stride)
    results = []
    for image in images.split(1):
        total = torch.zeros(1, network.head.out_channels, *size)
        for scale in spec.scales:
            sides = (round(height * scale), round(width * scale))
            scaled = F.interpolate(image, sides, mode="bilinear", align_corners=False)
            views = [scaled, scaled.flip(-1)]
            if with_mirror:
                maps = network.score_maps(network.features(torch.cat(views))).relu().split(1)
            else:
                maps = [network.score_maps(network.features(view)).relu() for view in views]
            for map_ in (maps[0], maps[1].flip(-1)):
                total += F.interpolate(map_, size, mode="bilinear", align_corners=False)
        results.append(normalize(total))
    return torch.cat(results)


def contiguous(network: Classifier, images: Tensor, spec: Cam) -> Tensor:
    """`batched` with a channel's pixels, not a pixel's channels, side by side in memory."""

    def score(scaled: Tensor) -> Tensor:
        return network.score_maps(network.features(scaled.contiguous()))

    return normalize(multi_scale(score, images, spec.scales, spec.flip, spec.stride))


def half(network: Classifier, images: Tensor, spec: Cam) -> Tensor:
    """`batched` under bf16 autocast, as the localizing program runs it where that is asked for."""
    with torch.autocast("cpu", torch.bfloat16):
        return batched(network, images, spec)


def flops(network: Classifier, images: Tensor, spec: Cam) -> int:
    """Floating point operations of the convolutions, two for a multiply-add."""
    with FlopCounterMode(display=False) as counter:
        batched(network, images, spec)
    return counter.get_total_flops()


def measure(quick: bool) -> list[Row]:
    """Seconds per batch."""
    keep_freed_memory()  # as every program that runs a network does
    count, height, width, side = (2, 40, 48, 512) if quick else (16, 256, 192, 2048)
    spec = Cam()
    apart, network = make_network(), ready(make_network(), spec, Machine())
    ordinary = ready(make_network(), spec, Machine()).to(memory_format=torch.contiguous_format)
    images = torch.rand(count, 3, height, width)
    left, right = torch.rand(2, side, side)
    work = flops(network, images[:1], spec) * count
    fast = in_passes(network, images, spec)
    variants = [
        lambda: one_view_at_a_time(network, images, spec),
        lambda: one_view_at_a_time(network, images, spec, with_mirror=True),
        lambda: contiguous(ordinary, images, spec),
        lambda: batched(network, images, spec),
        lambda: batched(apart, images, spec),
    ]
    for variant in variants:
        torch.testing.assert_close(variant(), fast, atol=1e-3, rtol=1e-3)
    runs = [lambda: in_passes(network, images, spec), lambda: left @ right, *variants]
    has_half = any(
        on is True for name, on in torch.cpu.get_capabilities().items() if "bf16" in name
    )
    if has_half:
        difference = (half(network, images, spec) - fast).abs().mean().item()
        assert difference < 0.02
        runs.append(lambda: half(network, images, spec))
    times = alternate(runs, 2 if quick else 3)
    together, product, single, mirrored, plain_order, whole, before = times[:7]
    floor = [work / (2 * side**3 / seconds) for seconds in product]
    speed = count / statistics.median(together)
    share = statistics.median(f / s for f, s in zip(floor, together, strict=True))
    rate = 2 * side**3 / statistics.median(product) / 1e9
    rows = [
        compared(
            f"one view at a time, {count} images of {height} × {width}",
            together,
            single,
            note=f"{speed:.3g} images/s against {count / statistics.median(single):.3g}",
        ),
        compared("one image and scale at a time, its mirror image with it", together, mirrored),
        compared("contiguous instead of channels_last, all in a pass", together, plain_order),
        compared("all in a pass", together, whole),
        compared("all in a pass, and batch norm apart", together, before),
        compared(
            "floor: the arithmetic alone",
            together,
            floor,
            note=f"{work / count / 1e9:.3g} GFLOP an image, matrix product at {rate:.3g} GFLOP/s: "
            f"{share:.0%} of it achieved",
        ),
    ]
    if has_half:
        note = f"maps differ by {difference:.2g} in the mean"
        return [*rows, compared("all in a pass, bf16 autocast", together, times[7], note=note)]
    return [
        *rows,
        Row("all in a pass, bf16 autocast", None, None, None, "s", "no bf16 on this CPU"),
    ]
