"""Saliency maps (Simonyan et al., 2013; Maruf et al., eq. 4): |dS_c/dI|, maximum over the colours.

I is the image in 0 to 1, before the network's colour normalisation. One scale, no flip.
"""

from torch import Tensor, nn

from tags2masks.config.saliency_maps import Saliency
from tags2masks.maps.batch import Batch, empty_maps
from tags2masks.maps.gradients import saliency_maps, stored


def localize(network: nn.Module, batch: Batch, spec: Saliency) -> Tensor:
    """Maps of the tagged classes, the others zero.

    Returns [B, K, ceil(H/stride), ceil(W/stride)] in 0 to 1. Images with the same number of tags
    share passes, so that no image has a backward pass for a class that it does not show.
    """
    batch_maps = empty_maps(batch, spec.stride)
    counts = batch.tagged.sum(1).tolist()
    for count in sorted(set(counts) - {0}):
        members = [number for number, tags in enumerate(counts) if tags == count]
        classes = batch.tagged[members].nonzero()[:, 1].view(-1, count)
        maps, _ = saliency_maps(network, batch.images[members], classes)
        for number, wanted, class_maps in zip(
            members, classes, stored(maps, spec.stride), strict=True
        ):
            batch_maps[number, wanted] = class_maps
    return batch_maps
