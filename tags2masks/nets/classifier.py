"""The network that class activation maps are read from: backbone, average pooling, linear head."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tags2masks.config.training import Backbone
from tags2masks.errors import UserError
from tags2masks.nets.backbones import Normalize, create_backbone


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
        self.head = nn.Conv2d(self._channels(backbone), classes, 1, bias=False)

    def _channels(self, backbone: Backbone) -> int:
        training = self.backbone.training
        try:
            with torch.no_grad():
                features = self.backbone.eval().forward_features(torch.zeros(1, 3, 64, 64))
        except (AssertionError, RuntimeError) as error:
            raise UserError(
                f"backbone.name: {backbone.name} takes no images of any size ({error}); choose a "
                "convolutional network"
            ) from None
        self.backbone.train(training)
        if features.ndim != 4 or features.shape[-1] > 64:
            raise UserError(
                f"backbone.name: {backbone.name} gives features of shape "
                f"{list(features.shape)}, not a map [B, C, h, w]; choose a convolutional network"
            )
        return features.shape[1]

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
