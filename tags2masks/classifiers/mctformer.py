"""MCTformer (V2): a vision transformer with a class token for each class, and a map of its patches.

Source: Xu et al., "Multi-class token transformer for weakly supervised semantic segmentation", CVPR
2022. The class tokens take part in attention with the patches; the logit of a class is the mean of
its token's channels. A 3 × 3 convolution of the patches' tokens gives a score map of each class
(PatchCAM), whose mean is a second logit. The loss is the sum of the multi-label soft margin losses
of both. All class tokens begin as copies of the pretrained one, with its position embedding.

The public code (of its present version 2, at commit 355a4aa) takes tokens as they leave the last
block; `final_norm: false` does. With the norm at its initial weights, as it is without pretrained
ones, the mean of a token is 0 whatever it says, so that class tokens learn nothing at first.

Differs from the code: the rate decays polynomially (there a cosine), and weight decay is on biases
and norms too; RandAugment is torchvision's, without random erasing. Position embeddings stay as the
weights have them and are resized to each image by timm (bicubic).

`score_maps` is PatchCAM and `logits` its mean, so that every map method can use it; `forward`, and
so the mean average precision, are of the class tokens, as in the code. Its own maps: method
`mctformer` of maps.
"""

from torch import Tensor, nn

from tags2masks.classifiers.vanilla import tag_loss
from tags2masks.config.hosts import MctFormer
from tags2masks.nets.class_tokens import repeat_class_token
from tags2masks.nets.classifier import Classifier
from tags2masks.training import Moment


class TokenClassifier(Classifier):
    """A classifier by class tokens, with score maps of the patches' tokens.

    images: [B, 3, H, W] in 0 to 1; normalisation is part of the network. Raises UserError for a
    backbone without a class token.
    """

    forward_methods = ("token_logits",)

    def __init__(self, spec: MctFormer, classes: int):
        super().__init__(spec.backbone, classes)
        repeat_class_token(self.backbone, classes, spec.backbone.name)
        if not spec.final_norm:
            self.backbone.norm = nn.Identity()
        self.head = nn.Conv2d(self.head.in_channels, classes, 3, padding=1)

    def token_logits(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of the class tokens, and those of the patches, each [B, K]."""
        tokens, features = self.backbone.forward_tokens(self.normalize(images))
        return tokens[:, : self.backbone.class_tokens].mean(2), self.logits(features)

    def logits(self, features: Tensor) -> Tensor:
        """The patches' logits, the means of `score_maps`, [B, K]."""
        return self.score_maps(features).mean((2, 3))

    def vector_scores(self, vectors: Tensor) -> Tensor:
        """The scores where a feature [n, C] is all around, by the sum of all taps: [n, K]."""
        return vectors @ self.head.weight.sum((2, 3)).T + self.head.bias

    def forward(self, images: Tensor) -> Tensor:
        """The logits of the class tokens, [B, K]."""
        return self.token_logits(images)[0]


def build(spec: MctFormer, classes: int) -> TokenClassifier:
    """Return the network, with random weights."""
    return TokenClassifier(spec, classes)


def step(
    network: TokenClassifier, batch: list[Tensor], moment: Moment, spec: MctFormer
) -> dict[str, Tensor]:
    """The loss on a batch: images [B, 3, S, S] in 0 to 255 and multi-hot tags [B, K]."""
    images, tags = batch
    of_tokens, of_patches = (
        tag_loss(logits, tags, spec.label_smoothing)
        for logits in network.token_logits(images.float() / 255)
    )
    figures = {"token_loss": of_tokens, "patch_loss": of_patches}
    return {"loss": of_tokens + of_patches} | figures
