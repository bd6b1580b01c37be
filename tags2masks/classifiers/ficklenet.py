"""FickleNet: a classifier that sees random cells of each window of its last features.

Source: Lee et al., CVPR 2019; Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis,
2023), section 3.2.1. Its head is a convolution to the classes whose windows, one around each cell,
keep random cells: anew for each image and step, the same cells for all channels. The mean of its
score map is the logit. `nets/random_windows.py` has the identity that needs no expanded map.

The thesis gives no numbers. Kernel 9, drop 0.9 and the centre that is always kept are known of the
CVPR paper, whose text has not been compared.

Differs from the source: any backbone, learning as of `vanilla` (there VGG-16 and Adam); kept cells
count 1/(1 − drop), the centre 1, so that training agrees with the expected map, from which logits
are when no masks are drawn (average precision, other map methods). LPCAM judges a prototype as if
it were in every cell of a window.
"""

from torch import Generator, Tensor, nn

from tags2masks.classifiers.vanilla import tag_loss
from tags2masks.config.hosts import FickleNet
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.random_windows import RandomWindows, pooled_logits
from tags2masks.training import Moment


class WindowClassifier(Classifier):
    """A classifier with a convolution as its head, of which windows keep random cells.

    `score_maps` are the expected score maps, [B, K, h, w]; their mean is the expected logit.
    """

    def __init__(self, spec: FickleNet, classes: int):
        super().__init__(spec.backbone, classes)
        self.windows = RandomWindows(spec.kernel, spec.drop, spec.keep_centre)
        channels = self.head.in_channels
        self.head = nn.Conv2d(channels, classes, spec.kernel, padding=spec.kernel // 2, bias=False)

    def logits(self, features: Tensor, generator: Generator | None = None) -> Tensor:
        """Logits [B, K] from the last feature map: random with a generator, else expected."""
        size = features.shape[-2:]
        if generator is None:
            masks = self.windows.expected(size).to(features.device)
        else:
            kept = self.windows.draw((len(features), size[0] * size[1]), generator)
            masks = kept * self.windows.scale(size).to(kept.device)
        return pooled_logits(features, self.head.weight, masks)

    def vector_scores(self, vectors: Tensor) -> Tensor:
        """The expected scores where a feature [n, C] is all around, by the sum of all taps: [n, K].

        The middle tap alone, of 81, hardly tells classes apart.
        """
        return vectors @ self.head.weight.sum((2, 3)).T

    def forward(self, images: Tensor, generator: Generator | None = None) -> Tensor:
        """Logits [B, K] of images [B, 3, H, W] in 0 to 1, as `logits`."""
        return self.logits(self.features(images), generator)


def build(spec: FickleNet, classes: int) -> WindowClassifier:
    """Return the network, with random weights."""
    return WindowClassifier(spec, classes)


def step(
    network: WindowClassifier, batch: list[Tensor], moment: Moment, spec: FickleNet
) -> dict[str, Tensor]:
    """The loss on a batch: images [B, 3, S, S] in 0 to 255 and multi-hot tags [B, K]."""
    images, tags = batch
    logits = network(images.float() / 255, moment.generator(images.device))
    return {"loss": tag_loss(logits, tags, spec.label_smoothing)}
