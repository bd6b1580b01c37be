"""Random crop (Maruf et al., section 7.1): Σ w_i·SM(crop_i)/n, w_i the sigmoid of the crop's logit.

Details of crops that the paper does not give are in `maps/crops.py`.
"""

from torch import Generator, Tensor, nn

from tags2masks.config.saliency_maps import RandomCrop
from tags2masks.maps.batch import Batch
from tags2masks.maps.crops import crop_saliency, draw_boxes
from tags2masks.maps.gradients import each_image


def localize(network: nn.Module, batch: Batch, spec: RandomCrop) -> Tensor:
    """Maps of the tagged classes, the others zero.

    Returns [B, K, ceil(H/stride), ceil(W/stride)] in 0 to 1.
    """

    def aggregate(image: Tensor, classes: Tensor, generator: Generator) -> Tensor:
        boxes = draw_boxes(image.shape[-2:], spec, generator)
        return crop_saliency(network, image, classes, boxes, spec)

    return each_image(batch, spec.stride, aggregate)
