"""Gradients of class scores, and saliency maps over random versions of an image.

Source: Maruf et al., "Beyond discriminative regions" (2023), eq. 4 and 14.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from tags2masks.config.maps import Sampled
from tags2masks.maps.batch import Batch, empty_maps
from tags2masks.maps.scales import stored_size

# Gradients of a mean over many locations are small: in float16 (precision 16-mixed) they would
# vanish. A power of two is taken out again without a rounding error.
UPSCALED = 2.0**12


def class_gradient(logits: Tensor, inputs: Tensor, chosen: Tensor) -> Tensor:
    """The gradient, with respect to its own input, of the one logit chosen for each image.

    logits: [N, K]; inputs: [N, ...], from which the logits were made; chosen: bool [N, K], one
    class an image or none, whose gradient is then zero. Returns float [N, ...].
    The images don't meet in the network, so one backward pass serves all; its graph is kept.
    """
    (gradient,) = torch.autograd.grad(
        logits, inputs, grad_outputs=chosen.to(logits.dtype) * UPSCALED, retain_graph=True
    )
    return gradient.float() / UPSCALED


def saliency_maps(network: nn.Module, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """|dS_c/dI| at every pixel, the largest over the colours (eq. 4), S_c being a logit.

    images: [N, 3, H, W]; classes: int [N, T], those asked for of each image.
    Returns the maps [N, T, H, W] and the logits [N, T]: one forward pass and T backward ones.
    """
    images = images.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    with torch.enable_grad():
        logits = network(images)
    maps = []
    for wanted in classes.unbind(1):
        chosen = F.one_hot(wanted, logits.shape[1])
        maps.append(class_gradient(logits, images, chosen).abs().amax(1))
    return torch.stack(maps, 1), logits.detach().float().gather(1, classes)


def mean_saliency(
    network: nn.Module, versions: Callable[[int], Tensor], classes: Tensor, spec: Sampled
) -> Tensor:
    """The mean saliency of random versions of an image (eq. 14), [T, H, W].

    versions: makes the next so many, [n, 3, H, W]; classes: int [T].
    """
    total = 0
    for start in range(0, spec.samples, spec.samples_per_pass):
        images = versions(min(spec.samples_per_pass, spec.samples - start))
        maps, _ = saliency_maps(network, images, classes.expand(len(images), -1))
        total = total + maps.sum(0)
    return total / spec.samples


def each_image(
    batch: Batch, stride: int, aggregate: Callable[[Tensor, Tensor, Generator], Tensor]
) -> Tensor:
    """Maps of one image after the other, so that none depends on what else is in the batch.

    aggregate: from an image [3, H, W], its classes int [T] and its random numbers to maps
    [T, H, W]. Returns [B, K, ceil(H/stride), ceil(W/stride)] in 0 to 1, zero for other classes.
    The random numbers are drawn on the CPU, so that every device gets the same.
    """
    batch_maps = empty_maps(batch, stride)
    for number, seed in enumerate(batch.seeds):
        classes = batch.tagged[number].nonzero().flatten()
        if len(classes):
            generator = torch.Generator().manual_seed(seed)
            maps = aggregate(batch.images[number], classes, generator)
            batch_maps[number, classes] = stored(maps, stride)
    return batch_maps


def stored(maps: Tensor, stride: int) -> Tensor:
    """Maps of pixels [..., H, W] as they are stored, [..., ceil(H/stride), ceil(W/stride)].

    Every cell is the average of its pixels: a saliency map jumps from pixel to pixel, and bilinear
    sampling would look at a few of them. Then each map is divided by its maximum, as eq. 1 divides
    CAMs; the paper doesn't say how it normalises saliency, but its background scores (0.01 to 0.5)
    are for maps in 0 to 1. Nothing is added to the maximum, as for CAM: gradients of a mean are
    around 1e-5 themselves. A map of zeros stays so.
    """
    cells = F.adaptive_avg_pool2d(maps, stored_size(maps.shape[-2:], stride))
    largest = cells.amax((-2, -1), keepdim=True)
    return cells / largest.clamp_min(torch.finfo(cells.dtype).tiny)
