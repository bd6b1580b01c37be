"""SmoothGrad (Smilkov et al., 2017) of a detector: the mean gradient of images with noise.

The noise is added to values in 0 to 1, without clipping. Proposals are those of the image without
noise.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tags2masks.config.object_maps import BoxSmoothGrad
from tags2masks.maps.box_gradients import Asked, each_object, pixel_gradients
from tags2masks.maps.objects import Wanted
from tags2masks.nets.detector import Detector


def localize(
    network: Detector, images: Tensor, objects: Sequence[Wanted], spec: BoxSmoothGrad
) -> list[tuple[Tensor, int]]:
    """As `box_gradients.each_object`."""

    def gradients(asked: Asked) -> Tensor:
        # Each object draws its own noise, on the CPU: others and the device do not change it.
        generators = [torch.Generator().manual_seed(wanted.seed) for wanted in asked.objects]
        plain, total = images[asked.images], torch.zeros((), device=images.device)
        for _ in range(spec.samples):
            noise = [torch.randn(images.shape[1:], generator=own) for own in generators]
            noisy = plain + spec.sigma * torch.stack(noise).to(images.device)
            total = total + pixel_gradients(network, noisy, asked)
        return total / spec.samples

    return each_object(network, images, objects, spec, gradients)
