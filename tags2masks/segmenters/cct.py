"""Cross-consistency training (CCT; Ouali, Hudelot & Tami, CVPR 2020), semi-supervised.

An encoder and a main decoder learn from true masks. Auxiliary decoders get perturbed features of
images without a true mask, and learn to predict what the main decoder predicts from the unperturbed
ones. Pseudo-masks of these images teach the auxiliary decoders alone.

Differs from the paper and its code: any timm backbone (there a ResNet-50 with three 3 × 3
convolutions in its stem); logits are computed at the image's size for any output stride, by one
pixel shuffle for each factor of two; the last model is kept (there the best on val); see also
`perturbations.py`. The cross entropy on pseudo-masks is the mean over pixels that are not ignored.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tags2masks.config.segmenters import Cct, Perturbations
from tags2masks.data.mixed import PairedViews
from tags2masks.labels import unchecked_views
from tags2masks.mask_ids import IGNORED
from tags2masks.nets.backbones import Normalize, create_backbone, feature_shape
from tags2masks.nets.resize import resized
from tags2masks.segmenters.learning import cross_entropy
from tags2masks.segmenters.networks import pad_to_cells, top_left
from tags2masks.segmenters.perturbations import PERTURBATIONS, Prediction, Seen
from tags2masks.segmenters.true_masks import check_true_masks, true_masks
from tags2masks.task import Task
from tags2masks.training import Moment

SIDES = (1, 2, 3, 6)  # of the pooled maps, in cells


class PyramidPooling(nn.Module):
    """Pyramid pooling (Zhao et al., CVPR 2017): [B, C, h, w] to [B, C // 4, h, w]."""

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels // len(SIDES)
        self.pools = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(side), *_block(channels, self.channels, 1))
            for side in SIDES
        )
        joined = channels + len(SIDES) * self.channels
        self.join = nn.Sequential(*_block(joined, self.channels, 3))

    def forward(self, features: Tensor) -> Tensor:
        size = features.shape[-2:]
        pooled = [resized(pool(features), size) for pool in self.pools]
        return self.join(torch.cat([features, *pooled], 1))


def _block(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


def make_decoder(channels: int, outputs: int, stride: int) -> nn.Sequential:
    """[B, channels, h, w] to logits [B, outputs, stride · h, stride · w], none negative.

    A 1 × 1 convolution, then for each factor of two a 1 × 1 convolution, ReLU and pixel shuffle.
    """
    first = nn.Conv2d(channels, outputs, 1, bias=False)
    nn.init.kaiming_normal_(first.weight, nonlinearity="relu")
    layers: list[nn.Module] = [first]
    for _ in range(int(math.log2(stride))):
        spread = nn.Conv2d(outputs, 4 * outputs, 1)
        # The four pixels of a cell start equal (Aitken et al., 2017), against checkerboards.
        same = nn.init.kaiming_normal_(torch.empty(outputs, outputs, 1, 1))
        with torch.no_grad():
            spread.weight.copy_(same.repeat_interleave(4, 0))
        layers += [spread, nn.ReLU(), nn.PixelShuffle(2)]
    return nn.Sequential(*layers)


class CctNetwork(nn.Module):
    """Encoder, main decoder and auxiliary decoders.

    Logits [B, K+1, H, W] of the main decoder for images [B, 3, H, W] in 0 to 1, any size.
    """

    forward_methods = ("all_logits",)

    def __init__(self, spec: Cct, classes: int):
        super().__init__()
        self.spec = spec.perturbations
        self.normalize = Normalize(spec.backbone)
        self.backbone = create_backbone(spec.backbone)
        channels, self.stride = feature_shape(self.backbone, spec.backbone.name)
        self.pool = PyramidPooling(channels)
        shape = self.pool.channels, classes + 1, self.stride
        self.main = make_decoder(*shape)
        self.kinds = kinds(self.spec)
        self.auxiliary = nn.ModuleList(make_decoder(*shape) for _ in self.kinds)

    def _features(self, images: Tensor) -> Tensor:
        padded = pad_to_cells(self.normalize(images), self.stride)
        return self.pool(self.backbone.forward_features(padded))

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        return top_left(self.main(self._features(images)), height, width)

    def all_logits(
        self, labelled: Tensor, unlabelled: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """Logits of the labelled images; of the unlabelled ones, by main and auxiliary decoders.

        The main decoder's logits of unlabelled images have no gradient. Without auxiliary decoders
        the unlabelled images are not looked at.
        """
        of_labelled = self(labelled)
        if not self.kinds:
            return of_labelled, None, []
        height, width = unlabelled.shape[-2:]
        features = self._features(unlabelled)
        with torch.no_grad():
            main = self.main(features)
        prediction, auxiliary = Prediction.of(main), []
        for kind, decoder in zip(self.kinds, self.auxiliary, strict=True):
            seen = Seen(decoder, prediction, self.spec, generator)
            logits = decoder(PERTURBATIONS[kind](features, seen))
            auxiliary.append(logits[..., :height, :width])
        return of_labelled, main[..., :height, :width], auxiliary

    def head_parameters(self) -> list[nn.Parameter]:
        """The parameters of new layers, which learn with the higher rate."""
        return [p for part in (self.pool, self.main, self.auxiliary) for p in part.parameters()]


def kinds(spec: Perturbations) -> list[str]:
    """The perturbation of each auxiliary decoder."""
    return [kind for kind in PERTURBATIONS for _ in range(getattr(spec, kind))]


def build(spec: Cct, classes: int) -> nn.Module:
    """The network, with random weights. Raises UserError as `feature_shape` does."""
    return CctNetwork(spec, classes)


def views(task: Task) -> PairedViews:
    """Random views: batches are (images, masks, images without a mask, pseudo-masks).

    Raises UserError if all training images have masks, or if no pixel of a mask is known.
    """
    masks = true_masks(task)
    pairs = unchecked_views(task, "masks", lambda *args: PairedViews(masks, *args))
    check_true_masks(pairs)
    return pairs


def rise(progress: float, share: float) -> float:
    """The weight of consistency relative to its final one: exp(−5 (1 − t)²), t up to 1.

    progress: share of the training's steps that are done; t = progress / share.
    """
    return math.exp(-5 * (1 - min(1.0, progress / share)) ** 2) if share else 1.0


def step(
    network: nn.Module, batch: list[Tensor], moment: Moment, spec: Cct
) -> dict[str, Tensor | float]:
    """The loss on a batch of `views`, its parts before their weights, and the first weight.

    "supervised": cross entropy of the main decoder on true masks. "consistency": mean square
    between the probabilities of auxiliary and main decoder, over pixels, classes and decoders.
    "weak": cross entropy of the auxiliary decoders on pseudo-masks. The last two are 0 without
    auxiliary decoders.
    """
    images, masks, unlabelled, pseudo_masks = batch
    main, target, auxiliary = network.all_logits(
        images.float() / 255, unlabelled.float() / 255, moment.generator(images.device)
    )
    main, masks, pseudo_masks = main.float(), masks.long(), pseudo_masks.long()
    known = masks != IGNORED
    with torch.no_grad():
        agreement = ((main.argmax(1) == masks) & known).sum() / known.sum().clamp(min=1)
    supervised = cross_entropy(main, masks)
    consistency = weak = torch.zeros((), device=main.device)
    if auxiliary:
        shares = target.float().softmax(1)
        every = [logits.float() for logits in auxiliary]
        consistency = sum(F.mse_loss(one.softmax(1), shares) for one in every) / len(every)
        weak = sum(cross_entropy(one, pseudo_masks) for one in every) / len(every)
    risen = rise(moment.progress, spec.ramp_up)
    return {
        "loss": supervised
        + risen * (spec.consistency_weight * consistency + spec.weak_weight * weak),
        "supervised": supervised,
        "consistency": consistency,
        "weak": weak,
        "consistency_weight": risen * spec.consistency_weight,
        "pixel_agreement": agreement,
    }
