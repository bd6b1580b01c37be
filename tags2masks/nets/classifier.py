"""The network that class activation maps are read from: backbone, average pooling, linear head."""

import torch.nn.functional as F
from torch import Tensor, nn

from tags2masks.config.training import Backbone
from tags2masks.nets.backbones import Normalize, create_backbone, feature_shape


class Classifier(nn.Module):
    """Logits from the spatial mean of w·f, so that w·f at a location is its part in the logit.

    images: [B, 3, H, W] in 0 to 1; normalisation is part of the network.
    forward_methods: what a training may call on it beside itself.
    Raises UserError for a backbone whose features are no [B, C, h, w] map.
    """

    forward_methods = ("score_all",)

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
        """The score maps of images of several sizes, in one call, as several processes need it."""
        return [self.score_maps(self.features(images)) for images in batches]

    def logits(self, features: Tensor) -> Tensor:
        """Logits [B, K] from the last feature map."""
        return self.head(F.adaptive_avg_pool2d(features, 1)).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, K]."""
        return self.logits(self.features(images))

    def head_parameters(self) -> list[nn.Parameter]:
        """What is learned anew, with the higher rate."""
        return list(self.head.parameters())
