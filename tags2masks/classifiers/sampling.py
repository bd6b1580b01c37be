"""Importance sampling and the feature similarity loss.

Source: Jonnarth, Felsberg & Zhang, "Activation-based sampling for pixel- to image-level
aggregation"; equation numbers are the paper's. Softmax over the classes and the background gives a
map of each class. A cell, drawn from the map in proportion to its values, gives a prediction for
the class, beside the pooled prediction. The similarity loss makes predictions of near cells alike
if the cells look alike, and different if they look different.

`host: seam` adds SEAM's second scale, refined maps and equivariant losses, in the form of the
public code. PCM refines the logits. There are maps of two sizes, plain and refined: ER is the mean
|difference| over the four pairs that share a size or a kind, ECR that over the other two pairs.
`host: plain` has neither.

Differs from the paper and the code: the background, which is always present, is in no
classification loss (eq. 7 counts it; so does the code with GMP); the losses of the two sizes are
averaged as in SEAM, the code sums them; eq. 12 is not clamped (it is ±1 where δ is 0 or 1); pairs
of cells further apart than `window` are left out, and the similarity loss includes padding. The
code divides eq. 9 by the number of cells, not of pairs (`similarity_mean: cells`), fixes σ and μ,
draws 100 cells (`samples`), and also classifies refined maps (`refined_pooling: gmp`).

`normalization: sigmoid` replaces the softmax, as in the paper's table 5, which gives no details: a
class's map is the sigmoid of its logit, the background's map is 1 − the highest class.

`score_maps` are a class's logit minus the background's logit, so that CAM is their ReLU. The
published masks come from the softmax maps, plain and refined; refined maps are in `maps/pcm.py`.
"""

import math
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tags2masks.classifiers.seam import Correlation, tapped
from tags2masks.classifiers.vanilla import tag_loss
from tags2masks.config.classifiers import Sampling
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.resize import at_scale, resized
from tags2masks.training import Moment

EPSILON = 1e-3


class SampledClassifier(Classifier):
    """A classifier with a background logit, and with σ and μ of the similarity loss as parameters.

    images: [B, 3, H, W] in 0 to 1. Raises UserError for a backbone without the stages in `taps`.
    """

    forward_methods = ("score_all", "judge_all")

    def __init__(self, spec: Sampling, classes: int):
        super().__init__(spec.backbone, classes)
        self.normalization = spec.normalization
        self.background = None  # only with softmax
        if spec.normalization == "softmax":
            self.background = nn.Conv2d(self.head.in_channels, 1, 1, bias=False)
        self.dropout = nn.Dropout2d(spec.dropout)
        self.correlation = Correlation(self.backbone, spec.taps) if spec.host == "seam" else None
        self.log_sigma = nn.Parameter(torch.tensor(math.log(spec.sigma)))
        self.mu = nn.Parameter(torch.tensor(spec.mu))

    def score_maps(self, features: Tensor) -> Tensor:
        """(w_c − w_background)·f at every location, [B, K, h, w]; their mean is the logit.

        With sigmoid w_c·f.
        """
        scores = self.head(features)
        return scores if self.background is None else scores - self.background(features)

    def logits(self, features: Tensor) -> Tensor:
        """Logits [B, K] from the last feature map."""
        return self.score_maps(F.adaptive_avg_pool2d(features, 1)).flatten(1)

    def judge_all(self, *batches: Tensor) -> tuple[list[list[Tensor]], Tensor, Tensor]:
        """The logits of images of several sizes, and σ and μ, in one call.

        For each batch a list: logits [B, K + 1, h, w], the background first, or with sigmoid
        [B, K, h, w]; on SEAM also the logits refined by PCM. Dropout is active in training mode.
        """
        return [self._judged(images) for images in batches], self.log_sigma.exp(), self.mu

    def refined_maps(self, images: Tensor) -> Tensor:
        """The classes' maps after PCM, [B, K, h, w] in 0 to 1; images [B, 3, H, W]."""
        return to_maps(self._judged(images)[1], self.normalization)[:, 1:]

    def _judged(self, images: Tensor) -> list[Tensor]:
        if self.correlation is None:
            return [self._every_logit(self.dropout(self.features(images)))]
        images, features, stages = tapped(self, images)
        logits = self._every_logit(features)
        return [logits, self.correlation(logits, images, stages)]

    def _every_logit(self, features: Tensor) -> Tensor:
        logits = self.head(features)
        if self.background is None:
            return logits
        return torch.cat([self.background(features), logits], 1)

    def head_parameters(self) -> list[nn.Parameter]:
        """The parameters of new layers, which learn with the higher rate."""
        new = [self.head, self.background, self.correlation]
        return [parameter for module in new if module for parameter in module.parameters()]


def build(spec: Sampling, classes: int) -> SampledClassifier:
    """Return the network, with random weights."""
    return SampledClassifier(spec, classes)


def step(
    network: SampledClassifier, batch: list[Tensor], moment: Moment, spec: Sampling
) -> dict[str, Tensor]:
    """The losses on a batch: images [B, 3, S, S] in 0 to 255 and multi-hot tags [B, K]."""
    images, tags = batch
    images = images.float() / 255
    sizes = [images, at_scale(images, spec.scale)] if spec.host == "seam" else [images]
    judged, sigma, mu = network.judge_all(*sizes)
    shape = (len(sizes), tags.shape[1], spec.samples)
    uniform = uniforms(moment, len(tags), shape).to(images.device).unbind(1)
    cls, maps = 0.0, []
    for (logits, *refined), numbers in zip(judged, uniform, strict=True):
        maps.append([to_maps(values, spec.normalization) for values in (logits, *refined)])
        cls = cls + class_loss(logits, tags, numbers, spec) / len(sizes)
        if refined and spec.refined_pooling:
            pooled = pool(refined[0], spec.refined_pooling, spec.normalization)
            cls = cls + tag_loss(pooled, tags, spec.label_smoothing) / len(sizes)
    small = resized(images, maps[0][0].shape[-2:])
    fs = similarity_loss(maps[0][0], small, sigma, mu, spec.window, spec.similarity_mean)
    figures = {"cls": cls, "fs": fs, "sigma": sigma, "mu": mu}
    loss = cls + spec.similarity_weight * fs
    if spec.host == "seam":
        figures["er"], figures["ecr"] = equivariance(*maps)
        loss = loss + spec.equivariance_weight * (figures["er"] + figures["ecr"])
    return {"loss": loss} | figures


def uniforms(moment: Moment, count: int, shape: tuple[int, ...]) -> Tensor:
    """Random numbers in 0 to 1 for each image of this process's batch: [count, *shape].

    They do not depend on the number of processes that share the batch.
    """
    numbers = (moment.uniform(count).double() * 2**24).long().tolist()
    rows = [np.random.default_rng([*moment.seeds, number]).random(shape) for number in numbers]
    return torch.from_numpy(np.stack(rows))


def class_loss(logits: Tensor, tags: Tensor, uniform: Tensor, spec: Sampling) -> Tensor:
    """(1 − λ) · loss of the pooled prediction + λ · loss of the drawn cells (eq. 8).

    logits: from `judge_all`; tags: [B, K]; uniform: [B, K, n].
    """
    drawn = draw(to_maps(logits, spec.normalization)[:, 1:], uniform)
    of_drawn = sum(
        tag_loss(to_logits(sample), tags, spec.label_smoothing) for sample in drawn.unbind(2)
    ) / len(drawn.unbind(2))
    pooled = pool(logits, spec.pooling, spec.normalization)
    of_pooled = tag_loss(pooled, tags, spec.label_smoothing)
    return (1 - spec.lambda_sampled) * of_pooled + spec.lambda_sampled * of_drawn


def to_maps(logits: Tensor, normalization: str) -> Tensor:
    """Maps [B, K + 1, h, w] in 0 to 1, the background first, from logits of `judge_all`."""
    if normalization == "softmax":
        return logits.softmax(1)
    classes = logits.sigmoid()
    return torch.cat([1 - classes.amax(1, keepdim=True), classes], 1)


def pool(logits: Tensor, pooling: str, normalization: str = "softmax") -> Tensor:
    """Pooled logits of the classes, [B, K]: the mean (eq. 3) or the highest probability (eq. 4).

    logits: from `judge_all`.
    """
    if pooling == "gap":
        return (logits[:, 1:] if normalization == "softmax" else logits).mean((2, 3))
    return to_logits(to_maps(logits, normalization)[:, 1:].amax((2, 3)))


def to_logits(probabilities: Tensor) -> Tensor:
    """log p/(1 − p), bounded to about ±6.9 as in the public code."""
    kept = probabilities * (1 - EPSILON)
    return (kept + EPSILON).log() - (1 - kept).log()


def draw(maps: Tensor, uniform: Tensor) -> Tensor:
    """Draw cells with probability proportional to their value, and return the values (eq. 5, 6).

    maps: [B, K, h, w], 0 or more; uniform: random numbers [B, K, n] in [0, 1). Returns [B, K, n],
    with gradients to the maps. A cell of value 0 is never drawn, unless all are 0.
    """
    flat = maps.flatten(2)
    upto = flat.detach().double().cumsum(2)
    chosen = torch.searchsorted(upto, uniform.double() * upto[..., -1:], right=True)
    return flat.gather(2, chosen.clamp(max=flat.shape[2] - 1))


def similarity_loss(
    maps: Tensor, images: Tensor, sigma: Tensor, mu: Tensor, window: int, mean: str
) -> Tensor:
    """Eq. 9 to 12, averaged over a batch, for pairs of cells nearer to each other than `window`.

    maps: [B, K, h, w], predictions; images: [B, 3, h, w] in 0 to 1; mean: over the (h·w)² `pairs`
    as in eq. 9, or over the `cells`. Each row is compared with the row dy below by matrix products
    of 2·window columns: time for at most h·w·4·window² pairs.
    """
    height, width = maps.shape[-2:]
    columns, total = torch.arange(width, device=maps.device), 0.0
    with torch.autocast(maps.device.type, enabled=False):  # nearly equal numbers are subtracted
        rows = maps.float().movedim(1, 3)
        halves = rows.square().sum(3) / 2
        for dy, left in product(range(min(window, height)), range(0, width, 2 * window)):
            upper, lower = slice(height - dy), slice(dy, height)
            of = slice(left, left + 2 * window)
            by = slice(max(0, left + 1 - window), left + 3 * window - 1)
            apart = halves[:, upper, of, None] + halves[:, lower, None, by]
            apart = apart - rows[:, upper, of] @ rows[:, lower, by].mT
            delta = images[:, :, upper, of, None] - images[:, :, lower, None, by]
            far = dy * dy + (columns[of, None] - columns[by]).square()
            counts = ((far > 0) & (far < window * window)) * (2 if dy else 1)  # (i, j) and (j, i)
            weight = counts * (-far / (2 * sigma**2)).exp()
            alike = (apart * unlike(delta.abs().mean(1), mu)).sum((0, 1))
            total = total - (weight * alike).sum()
    count = height * width
    return total / (2 * math.pi * sigma**2 * len(maps) * count * (count if mean == "pairs" else 1))


def unlike(delta: Tensor, mu: Tensor) -> Tensor:
    """tanh(μ + log δ/(1 − δ)) (eq. 12), −1 at δ = 0 and 1 at δ = 1.

    delta: 0 or more; differences above 1, of noisy views, count as 1.
    """
    return (mu + delta.clamp(max=1).logit()).tanh()


def equivariance(of_image: list[Tensor], of_smaller: list[Tensor]) -> tuple[Tensor, Tensor]:
    """ER and ECR of maps and refined maps, [B, K + 1, h, w], at the smaller image's size."""
    plain, refined = (resized(maps, of_smaller[0].shape[-2:]) for maps in of_image)
    small, small_refined = of_smaller

    def apart(first: Tensor, second: Tensor) -> Tensor:
        return (first - second).abs().mean()

    er = apart(plain, small) + apart(refined, small_refined)
    er = er + apart(plain, refined) + apart(small, small_refined)
    return er, apart(plain, small_refined) + apart(small, refined)
