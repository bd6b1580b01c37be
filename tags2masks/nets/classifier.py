"""The classifier behind class activation maps: backbone, average pooling, linear head."""

import torch.nn.functional as F
from torch import Tensor, nn

from tags2masks.config.training import Backbone
from tags2masks.nets.backbones import Normalize, create_backbone, feature_shape


class Classifier(nn.Module):
    """Logits are the spatial mean of w·f: w·f at a location is its contribution to the logit.

    images: [B, 3, H, W] in 0 to 1; normalisation is part of the network.
    forward_methods: methods that training steps may call in addition to `forward`.
    Raises UserError for a backbone whose features are not [B, C, h, w].
    """

    forward_methods = ("score_all", "of_pooled")

    def __init__(self, backbone: Backbone, classes: int):
        super().__init__()
        self.normalize = Normalize(backbone)
        self.backbone = create_backbone(backbone)
        channels, _ = feature_shape(self.backbone, backbone.name)
        self.head = nn.Conv2d(channels, classes, 1, bias=False)

    def features(self, images: Tensor) -> Tensor:
        """The last feature map, [B, C, h, w]."""
        return self.backbone.forward_features(self.normalize(images))

    def score_maps(self, features: Tensor) -> Tensor:
        """w_c·f at every location, [B, K, h, w]; their mean is the logit."""
        return self.head(features)

    def score_all(self, *batches: Tensor) -> list[Tensor]:
        """The score maps of images of several sizes, in one call, as distributed training needs."""
        return [self.score_maps(self.features(images)) for images in batches]

    def logits(self, features: Tensor) -> Tensor:
        """Logits [B, K] from the last feature map."""
        return self.head(F.adaptive_avg_pool2d(features, 1)).flatten(1)

    def pooled(self, images: Tensor) -> Tensor:
        """The mean of the last features over each image, [B, C]."""
        return self.features(images).mean((2, 3))

    def of_pooled(self, pooled: Tensor) -> Tensor:
        """Logits [B, K] from means of features [B, C]."""
        return self.head(pooled[:, :, None, None]).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, K]."""
        return self.logits(self.features(images))

    def head_parameters(self) -> list[nn.Parameter]:
        """The parameters of new layers, which learn with the higher rate."""
        return list(self.head.parameters())
