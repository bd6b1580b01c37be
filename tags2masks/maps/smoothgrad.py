"""SmoothGrad (Smilkov et al., 2017) as in Maruf et al., eq. 14 and 15.

The mean saliency of an image with Gaussian noise. The noise is added to values in 0 to 1, without
clipping.
"""

import torch
from torch import Generator, Tensor, nn

from tags2masks.config.saliency_maps import SmoothGrad
from tags2masks.maps.batch import Batch
from tags2masks.maps.gradients import each_image, mean_saliency


def localize(network: nn.Module, batch: Batch, spec: SmoothGrad) -> Tensor:
    """Maps of the tagged classes, the others zero.

    Returns [B, K, ceil(H/stride), ceil(W/stride)] in 0 to 1.
    """

    def aggregate(image: Tensor, classes: Tensor, generator: Generator) -> Tensor:
        def noisy(count: int) -> Tensor:
            # Drawn one by one, so that the number per pass does not change them.
            noise = [torch.randn(image.shape, generator=generator) for _ in range(count)]
            return image + spec.sigma * torch.stack(noise).to(image.device)

        return mean_saliency(network, noisy, classes, spec)

    return each_image(batch, spec.stride, aggregate)
