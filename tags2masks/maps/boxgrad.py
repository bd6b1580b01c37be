"""Saliency (Simonyan et al., 2013) of a detector: the gradient of the class score of each box."""

from collections.abc import Sequence

from torch import Tensor

from tags2masks.config.object_maps import BoxGrad
from tags2masks.maps.box_gradients import Asked, each_object, pixel_gradients
from tags2masks.maps.objects import Wanted
from tags2masks.nets.detector import Detector


def localize(
    network: Detector, images: Tensor, objects: Sequence[Wanted], spec: BoxGrad
) -> list[tuple[Tensor, int]]:
    """As `box_gradients.each_object`."""

    def gradients(asked: Asked) -> Tensor:
        return pixel_gradients(network, images[asked.images], asked)

    return each_object(network, images, objects, spec, gradients)
