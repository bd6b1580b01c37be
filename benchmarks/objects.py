"""Training of saliency networks: C²AM against its bare passes, whole and in micro-batches."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import Row, alternate, compared
from benchmarks.training import BACKBONE, forget
from tags2masks.allocator import keep_freed_memory
from tags2masks.config.saliency_networks import C2am, C2amH, Contrast
from tags2masks.methods import method_module
from tags2masks.saliency_networks.contrast import ContrastNetwork

TITLE = "Training of saliency networks"
HEADINGS = ("ours", "beside it")
ABOUT = (
    "A step of C²AM, with and without hints, on MobileNetV2 (output stride 16, float32), without "
    "the update. Bare passes: the network forward and backward, and no losses; a ratio of 0.85 or "
    "more means at least 85 % of their throughput. Micro-batches: the same step with the "
    "activations of a quarter of the images in memory at a time, which computes their features "
    "twice: three passes become four, so that a ratio of 0.75 is to be expected."
)


def real_step(network: ContrastNetwork, batch: list[Tensor], spec: Contrast) -> None:
    """A step with its backward pass, as `training.fit` makes it."""
    module = method_module("saliency_networks", {"method": spec.method})
    module.step(network, batch, None, spec)["loss"].backward()
    forget(network)


def bare_step(network: ContrastNetwork, batch: list[Tensor], spec: Contrast) -> None:
    """The network's passes alone."""
    images = (batch[0].float() / 255).contiguous(memory_format=torch.channels_last)
    network.logits(images).mean().backward()
    forget(network)


def measure(quick: bool) -> list[Row]:
    """Seconds per step."""
    keep_freed_memory()
    count, crop, repeats = (4, 64, 2) if quick else (32, 192, 3)
    images = torch.randint(256, (count, 3, crop, crop), dtype=torch.uint8)
    torch.manual_seed(0)
    plain = C2am(backbone=BACKBONE)
    network = method_module("saliency_networks", {"method": "c2am"}).build(plain, 20)
    network.to(memory_format=torch.channels_last).train()
    hinted = C2amH(backbone=BACKBONE, hints="vanilla/cam")
    parts = plain.model_copy(update={"micro_batch": count // 4})
    compared_with = {
        "c2am, its bare passes": (plain, [images], bare_step, plain),
        "c2am_h, its bare passes": (hinted, [images, images[:, 0]], bare_step, hinted),
        f"c2am in micro-batches of {count // 4}, whole": (parts, [images], real_step, plain),
    }
    rows = []
    for what, (spec, batch, beside, other) in compared_with.items():
        work = [partial(real_step, network, batch, spec), partial(beside, network, batch, other)]
        [run() for run in 3 * work]  # until the process holds all the memory that they need
        times = alternate(work, repeats)
        note = f"{count / np.median(times[0]):.3g} images/s"
        rows.append(compared(what, *times, note=note))
    return rows
