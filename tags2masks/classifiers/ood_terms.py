"""The terms of W-OoD that any host's losses take: centres, distances, and the climb.

See `wood.py` for sources and differences.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tags2masks.classifiers.vanilla import tag_loss
from tags2masks.config.classifiers import Wood

EPSILON = 1e-12


class Centres(nn.Module):
    """Fixed centres in the space of pooled features.

    of_classes: [K, C], the mean feature of each class's images; of_ood: [clusters, C], those of
    clusters of out-of-distribution images, of which `used` says which there are.
    """

    def __init__(self, classes: int, spec: Wood, channels: int):
        super().__init__()
        clusters = spec.clusters if spec.clustering == "kmeans" else classes
        self.register_buffer("of_classes", torch.zeros(classes, channels))
        self.register_buffer("of_ood", torch.zeros(clusters, channels))
        self.register_buffer("used", torch.zeros(clusters, dtype=torch.bool))


class WithCentres(nn.Module):
    """What W-OoD adds to a classifier (`nets.classifier.Classifier`)."""

    def pooled_with_logits(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The pooled features [B, C] and the logits [B, K] of images [B, 3, H, W] in 0 to 1."""
        features = F.adaptive_avg_pool2d(self.features(images), 1)
        return features.flatten(1), self.head(features).flatten(1)

    def climbed(self, images: Tensor, reach: float) -> Tensor:
        """Images after one step towards their highest logits, which are summed.

        The largest change of a batch (of one process's part of it) is `reach`, in units of the
        channels' deviations; values stay within the range of the batch's. images: [B, 3, H, W] in 0
        to 1. Call it without gradients, so that processes that train together do not wait for this
        backward pass.
        """
        with torch.enable_grad():
            inputs = images.detach().requires_grad_()
            highest = self(inputs).amax(1).sum()
            (gradient,) = torch.autograd.grad(highest, inputs)
        mean, std = self.normalize.mean, self.normalize.std
        values, way = (images - mean) / std, gradient * std
        moved = values + reach * way / (way.abs().max() + EPSILON)
        return moved.clamp(values.min(), values.max()) * std + mean


def with_ood(
    figures: dict[str, Tensor],
    features: Tensor,
    tags: Tensor,
    logits: Tensor,
    centres: Centres,
    spec: Wood,
) -> dict[str, Tensor]:
    """A host's figures with the terms of out-of-distribution images in "loss".

    features: [B, C], pooled, of the tagged images, whose tags are [B, K]; logits: [B', K], of
    out-of-distribution images, which should be those of no class.
    """
    ood = tag_loss(logits.float(), torch.zeros_like(logits, dtype=tags.dtype), spec.label_smoothing)
    near, far = distances(features, tags, centres, spec)
    apart = spec.distance_in * near - spec.distance_ood * far
    loss = figures["loss"] + spec.ood_weight * ood + spec.distance_weight * apart
    return figures | {"loss": loss, "ood": ood, "distance_in": near, "distance_ood": far}


def distances(
    features: Tensor, tags: Tensor, centres: Centres, spec: Wood
) -> tuple[Tensor, Tensor]:
    """The two sums of eq. 4.2, means over the images: to own classes, and to closest clusters.

    features: [B, C]; tags: [B, K]. With `distance_mean: clusters` both are divided by the number
    of clusters.
    """
    with torch.autocast(features.device.type, enabled=False):
        features, count = features.float(), len(features)
        of_ood = centres.of_ood
        if spec.clustering == "predicted":
            of_ood = of_ood[centres.used]
        near = (_distances(features, centres.of_classes) * tags).sum() / count
        apart = _distances(features, of_ood)
        if spec.selection == "batch":
            apart = apart.flatten()[None]
        closest = max(1, int(spec.closest * apart.shape[1] + 1e-9))
        far = apart.topk(closest, 1, largest=False).values.sum() / count
    divisor = len(of_ood) if spec.distance_mean == "clusters" else 1
    return near / divisor, far / divisor


def _distances(features: Tensor, centres: Tensor) -> Tensor:
    """Euclidean distances [B, n] (eq. 4.1); the gradient is 0 where a distance is."""
    return torch.linalg.vector_norm(features[:, None] - centres, dim=2)
