"""Maps of a classifier of cells that is told the tags (AMN; Lee et al., CVPR 2022)."""

from torch import Tensor

from tags2masks.config.map_base import MultiScale
from tags2masks.maps.batch import Batch
from tags2masks.maps.scales import multi_scale
from tags2masks.nets.classifier import Classifier

SMALLEST = 1e-5  # as in other maps


def probabilities(network: Classifier, batch: Batch, spec: MultiScale) -> Tensor:
    """Probabilities of the classes [B, K, ceil(H/stride), ceil(W/stride)] beside the background.

    network: has `gated_logits`. The logits are averaged over scales and mirror images; softmax is
    over the background and all classes.
    """
    tags = batch.tagged.float()

    def logits(scaled: Tensor) -> Tensor:
        views = len(scaled) // len(batch.images)  # 2 with mirrored images
        return network.gated_logits(scaled, tags.repeat(views, 1))

    total = multi_scale(logits, batch.images, spec.scales, spec.flip, spec.stride, rectify=False)
    count = len(spec.scales) * (2 if spec.flip else 1)
    return (total / count).softmax(1)[:, 1:]


def stretched(maps: Tensor, smallest: float = SMALLEST) -> Tensor:
    """Every map of [..., h, w] from its minimum to its maximum, as 0 to almost 1.

    smallest: what is added to the range.
    """
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / (high - low + smallest)


def gated_maps(network: Classifier, batch: Batch, spec: MultiScale) -> Tensor:
    """The probabilities, each class's stretched over the image."""
    return stretched(probabilities(network, batch, spec))
