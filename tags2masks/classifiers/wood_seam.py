"""W-OoD on SEAM: SEAM's losses on tagged images, and the same terms as on the ordinary classifier.

Source: Lee's thesis (see `wood.py`), table 4.1, which has the figures of the combination and no
details. Here the distances are of the features of the image at its size, before the channel
dropout; the logits of out-of-distribution images are of features after it, as those of others.
"""

import torch
from torch import Tensor

from tags2masks.classifiers.ood_terms import Centres, WithCentres, with_ood
from tags2masks.classifiers.seam import RefinedClassifier, seam_losses
from tags2masks.config.classifiers import Wood
from tags2masks.nets.resize import at_scale


class RefinedWood(WithCentres, RefinedClassifier):
    """SEAM's network, with centres."""

    forward_methods = ("score_all", "refine_all", "refine_beside", "climbed")

    def __init__(self, spec: Wood, classes: int):
        super().__init__(spec, classes)
        self.centres = Centres(classes, spec, self.head.in_channels)

    def refine_beside(
        self, images: Tensor, smaller: Tensor, others: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor, Tensor]:
        """What `refine_all` returns of images and of smaller ones, with one pass for the others.

        Also the pooled features [B, C] of the images, and the logits [B', K] of the others.
        """
        count = len(images)
        seen = self.normalize(torch.cat([images, others]))
        taps = max(self.correlation.taps)
        features, stages = self.backbone.forward_intermediates(seen, indices=taps)
        dropped = self.dropout(features)
        of_images = self.refine(seen[:count], dropped[:count], [stage[:count] for stage in stages])
        logits = self.logits(dropped[count:])
        return of_images, self._refined(smaller), features[:count].mean((2, 3)), logits


def build(spec: Wood, classes: int) -> RefinedWood:
    """Return the network, with random weights and no centres yet."""
    return RefinedWood(spec, classes)


def losses(
    network: RefinedWood, images: Tensor, tags: Tensor, others: Tensor, spec: Wood
) -> dict[str, Tensor]:
    """SEAM's losses with those of W-OoD; images and others: [B, 3, S, S] in 0 to 1."""
    smaller = at_scale(images, spec.scale)
    of_images, of_smaller, features, logits = network.refine_beside(images, smaller, others)
    figures = seam_losses(of_images, of_smaller, tags, smaller.shape[-2:], spec)
    return with_ood(figures, features, tags, logits, network.centres, spec)
