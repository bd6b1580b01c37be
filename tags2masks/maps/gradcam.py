"""Grad-CAM (Selvaraju et al., ICCV 2017, eq. 1 and 2), multi-scale as `maps/cam.py`.

The channels of the last feature map are weighted with the gradient of a class's logit, for any
layers above. Differs from the paper: the gradient is summed over the locations, not averaged. At
one scale that is a constant factor, which normalisation removes. Over several scales an average
would give large images less weight than small ones. With average pooling and a linear head the
result is CAM.
"""

import torch
from torch import Tensor

from tags2masks.config.maps import GradCam
from tags2masks.maps.batch import Batch
from tags2masks.maps.gradients import class_gradient
from tags2masks.maps.scales import multi_scale
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.score_maps import normalize


def localize(network: Classifier, batch: Batch, spec: GradCam) -> Tensor:
    """Maps of the tagged classes, the others zero.

    Returns [B, K, ceil(H/stride), ceil(W/stride)] in 0 to 1.
    """

    def score(scaled: Tensor) -> Tensor:
        views = len(scaled) // len(batch.images)  # 2 with mirrored images
        return gradcam(network, scaled, batch.tagged.repeat(views, 1))

    return normalize(multi_scale(score, batch.images, spec.scales, spec.flip, spec.stride))


def gradcam(network: Classifier, images: Tensor, tagged: Tensor) -> Tensor:
    """Feature maps weighted with the gradients of the tagged logits, [N, K, h, w], before ReLU.

    images: [N, 3, H, W]; tagged: bool [N, K]. Takes one forward pass, and a backward pass through
    the head for the first tag of all images, one for the second tag, and so on.
    """
    features = network.features(images).detach().float().requires_grad_()
    with torch.enable_grad():
        logits = network.logits(features)
    place = tagged.cumsum(1) * tagged  # 1 at an image's first tag, 2 at its second
    maps = torch.zeros(*tagged.shape, *features.shape[-2:], device=features.device)
    for number in range(1, int(place.max()) + 1):
        chosen = place == number
        weights = class_gradient(logits, features, chosen).sum((2, 3))
        weighted = torch.einsum("nc,nchw->nhw", weights, features.detach())
        maps += chosen[:, :, None, None] * weighted[:, None]
    return maps
