"""CLIP as a classifier, as it is: its image tower, and texts in the place of a trained head.

Nothing is trained. It is an entry of `classifiers` because maps, the choice of a background score,
regions and the leaderboard ask for a classifier: its weights and texts are one file as every
classifier's are, its mAP on val is measured, and chains go on as after any other.

CLIP (Radford et al., ICML 2021) has learned from pairs of images and texts; that is no supervision
of the data set's, and like weights of ImageNet not counted. From its tags, a chain takes which
classes an image's maps are of.
"""

import torch

from tags2masks.config.clip import Clip as Spec
from tags2masks.nets.clip import Clip, create_tower, random_texts


def build(spec: Spec, classes: int) -> Clip:
    """Return the network, with random weights and texts."""
    tower = create_tower(spec.backbone)
    texts = random_texts(classes + len(spec.background), tower)
    return with_texts(tower, texts, classes, spec)


def with_texts(tower: torch.nn.Module, texts: torch.Tensor, classes: int, spec: Spec) -> Clip:
    """The network of a tower and texts [classes + background, D]; raises UserError as `Clip`."""
    return Clip(tower, spec.backbone, classes, texts, spec.logit_scale)
