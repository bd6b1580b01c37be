"""BinaryMask (Maruf et al., eq. 14 and 16): mean saliency of an image with random black pixels.

A pixel is set to 0 in all colours, in an image of values in 0 to 1.
"""

import torch
from torch import Generator, Tensor, nn

from tags2masks.config.saliency_maps import BinaryMask
from tags2masks.maps.batch import Batch
from tags2masks.maps.gradients import each_image, mean_saliency


def localize(network: nn.Module, batch: Batch, spec: BinaryMask) -> Tensor:
    """Maps of the tagged classes, the others zero.

    Returns [B, K, ceil(H/stride), ceil(W/stride)] in 0 to 1.
    """

    def aggregate(image: Tensor, classes: Tensor, generator: Generator) -> Tensor:
        size = (1, *image.shape[-2:])

        def masked(count: int) -> Tensor:
            # Drawn one by one, so that the number per pass does not change them.
            drawn = [torch.rand(size, generator=generator) for _ in range(count)]
            return image * (torch.stack(drawn) < spec.keep).to(image.device)

        return mean_saliency(network, masked, classes, spec)

    return each_image(batch, spec.stride, aggregate)
