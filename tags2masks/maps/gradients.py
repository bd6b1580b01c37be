"""Gradients of class scores, and saliency maps over random versions of an image.

Source: Maruf et al., "Beyond discriminative regions" (2023), eq. 4 and 14.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from tags2masks.config.saliency_maps import Sampled
from tags2masks.maps.batch import Batch, empty_maps
from tags2masks.maps.scales import stored_size

# Gradients of a mean over many locations underflow in float16 (precision 16-mixed). A power of two
# can be divided out without rounding.
UPSCALED = 2.0**12


def class_gradient(logits: Tensor, inputs: Tensor, chosen: Tensor) -> Tensor:
    """The gradient of one chosen logit per image with respect to the image's input.

    logits: [N, K]; inputs: [N, ...], from which the logits were computed; chosen: bool [N, K], at
    most one class per image; without one the gradient is zero. Returns float [N, ...]. Images are
    independent in the network, so one backward pass is enough; the graph is kept.
    """
    (gradient,) = torch.autograd.grad(
        logits, inputs, grad_outputs=chosen.to(logits.dtype) * UPSCALED, retain_graph=True
    )
    return gradient.float() / UPSCALED


def saliency_maps(network: nn.Module, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """|dS_c/dI| at every pixel, maximum over the colours (eq. 4); S_c is the logit of class c.

    images: [N, 3, H, W]; classes: int [N, T], T classes per image.
    Returns maps [N, T, H, W] and logits [N, T], with one forward and T backward passes.
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

    versions: returns the next n versions, [n, 3, H, W]; classes: int [T].
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
    """Compute maps image by image, so that they do not depend on other images of the batch.

    aggregate: from an image [3, H, W], its classes int [T] and its random generator to maps
    [T, H, W]. Returns [B, K, ceil(H/stride), ceil(W/stride)] in 0 to 1, zero for other classes.
    Random numbers are drawn on the CPU, so that they are the same for every device.
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
    """Downsample maps [..., H, W] to [..., ceil(H/stride), ceil(W/stride)] and normalise them.

    Each cell is the average of its pixels, because saliency varies from pixel to pixel and bilinear
    sampling would use only a few of them. Each map is then divided by its maximum, as CAMs in eq.
    1; the paper does not say how it normalises saliency, but its background scores (0.01 to 0.5)
    imply maps in 0 to 1. Unlike for CAM, nothing is added to the maximum: gradients of a mean are
    around 1e-5. A map of zeros stays zero.
    """
    cells = F.adaptive_avg_pool2d(maps, stored_size(maps.shape[-2:], stride))
    largest = cells.amax((-2, -1), keepdim=True)
    return cells / largest.clamp_min(torch.finfo(cells.dtype).tiny)
