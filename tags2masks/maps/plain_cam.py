"""CAM of one image, from which disc-patch and disc-crop get probabilities (Maruf et al., eq. 1)."""

from torch import Tensor

from tags2masks.maps.scales import multi_scale
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.score_maps import normalize


def class_cams(network: Classifier, image: Tensor, classes: Tensor) -> Tensor:
    """CAM of the given classes at every pixel, float [T, H, W] in 0 to 1, on the CPU.

    image: [3, H, W]; classes: int [T]. One scale, no flip.
    """

    def score(images: Tensor) -> Tensor:
        return network.score_maps(network.features(images))[:, classes]

    return normalize(multi_scale(score, image[None], (1.0,), False, 1))[0].cpu()
