"""Perturbations of an encoder's features (Ouali, Hudelot & Tami, CVPR 2020, section 3.3).

Each takes features [B, C, h, w] and gives features of the same shape. What is random depends on the
generator alone. As in the authors' code, a drop threshold and the noise are drawn once for a batch.

Differs from the authors' code: objects are connected regions of at least `SMALLEST` pixels (there:
whose contour has more than 50 points); the adversarial direction is the exact limit of vanishing
steps, by a product with the Jacobian and one with its transpose, because differences of 1e-6 (ξ)
are lost in float32.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import find_objects, label
from torch import Tensor

from tags2masks.config.segmenters import Perturbations

SMALLEST = 50  # pixels of an object for guided cutout
EIGHT_NEIGHBOURS = np.ones((3, 3), bool)

Box = tuple[int, int, int, int]  # top, left, height, width, in pixels


class Prediction(NamedTuple):
    """What the main decoder predicts, without gradient.

    objects: bool [B, 1, H, W], pixels whose class is not background; boxes: of each image's
    connected objects.
    """

    objects: Tensor
    boxes: list[list[Box]]

    @classmethod
    def of(cls, logits: Tensor) -> "Prediction":
        """The prediction of logits [B, K+1, H, W]."""
        objects = logits.detach().argmax(1, keepdim=True) > 0
        return cls(objects, [_boxes(mask) for mask in objects[:, 0].cpu().numpy()])


def _boxes(mask: np.ndarray) -> list[Box]:
    regions, count = label(mask, EIGHT_NEIGHBOURS)
    sizes = np.bincount(regions.ravel(), minlength=count + 1)[1:]
    found = zip(find_objects(regions), sizes, strict=True)
    return [
        (rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
        for (rows, columns), size in found
        if size >= SMALLEST
    ]


class Seen(NamedTuple):
    """What a perturbation may use in addition to the features: the decoder that will get them, the
    main decoder's prediction, the options, random numbers.
    """

    decoder: Callable[[Tensor], Tensor]
    prediction: Prediction
    spec: Perturbations
    generator: torch.Generator


def dropout(features: Tensor, seen: Seen) -> Tensor:
    """Set random channels of each image to 0, and scale the others by 1 / (1 − rate)."""
    kept = _uniform(features.shape[:2], features, seen) >= seen.spec.dropout_rate
    return features * kept[..., None, None] / (1 - seen.spec.dropout_rate)


def cutout(features: Tensor, seen: Seen) -> Tensor:
    """Set to 0 a rectangle within every predicted object: `cutout_share` of its height and width.

    A cell of the features is erased if its top left pixel is in the rectangle.
    """
    prediction, share = seen.prediction, seen.spec.cutout_share
    kept = np.ones(prediction.objects.shape, np.float32)
    where = _uniform((sum(map(len, prediction.boxes)), 2), features, seen).tolist()
    for image, boxes in zip(kept, prediction.boxes, strict=True):
        for top, left, height, width in boxes:
            (down, right), *where = where
            tall, wide = int(height * share), int(width * share)
            top += int(down * (height - tall + 1))
            left += int(right * (width - wide + 1))
            image[0, top : top + tall, left : left + wide] = 0
    return features * _at_cells(torch.from_numpy(kept).to(features), features)


def vat(features: Tensor, seen: Seen) -> Tensor:
    """Add a step of length `vat_distance` in the direction that changes the output most.

    Virtual adversarial training (Miyato et al., TPAMI 2018), one power iteration; the direction is
    one of each image's features.
    """
    start = _unit(_uniform(features.shape, features, seen) - 0.5)
    return features + seen.spec.vat_distance * adversarial(seen.decoder, features, start)


def context_masking(features: Tensor, seen: Seen) -> Tensor:
    """Set the predicted background to 0."""
    return features * _at_cells(seen.prediction.objects.to(features), features)


def object_masking(features: Tensor, seen: Seen) -> Tensor:
    """Set the predicted objects to 0."""
    return features * (1 - _at_cells(seen.prediction.objects.to(features), features))


def feature_drop(features: Tensor, seen: Seen) -> Tensor:
    """Set the most active cells to 0.

    They are those whose mean over channels reaches a share of the image's highest, which is drawn
    from `drop_range`.
    """
    low, high = seen.spec.drop_range
    share = low + (high - low) * _uniform((), features, seen)
    activity = features.detach().mean(1, keepdim=True)
    return features * (activity < share * activity.amax((2, 3), keepdim=True))


def feature_noise(features: Tensor, seen: Seen) -> Tensor:
    """Multiply every feature by 1 + a number within ± `noise_range`, equal in all images."""
    noise = (2 * _uniform(features.shape[1:], features, seen) - 1) * seen.spec.noise_range
    return features * (1 + noise)


PERTURBATIONS: dict[str, Callable[[Tensor, Seen], Tensor]] = {
    function.__name__: function
    for function in (
        dropout, cutout, vat, context_masking, object_masking, feature_drop, feature_noise
    )
}  # fmt: skip
"""By the field of `Perturbations` that says how many decoders have it."""


def adversarial(decoder: Callable[[Tensor], Tensor], features: Tensor, start: Tensor) -> Tensor:
    """The direction after one power iteration from unit vectors: [B, C, h, w], of length 1 (or 0).

    It is the gradient at x + ξd, for ξ → 0, of KL(softmax(decoder(x)) || softmax(decoder(x + ξd))),
    divided by its length: Jᵀ (diag(p) − p pᵀ) J d with the decoder's Jacobian J. The decoder's
    weights get no gradient from it.
    """
    with torch.no_grad():
        # Under autocast lengths, and so `start`, are float32 on GPUs, and features are not.
        tangents = (start.to(features.dtype),)
        logits, change = torch.func.jvp(decoder, (features.detach(),), tangents)
        shares = logits.float().softmax(1)
        change = shares * change
        change = change - shares * change.sum(1, keepdim=True)
    with torch.enable_grad():
        inputs = features.detach().requires_grad_()
        outputs = decoder(inputs)
        (gradient,) = torch.autograd.grad(outputs, inputs, change.to(outputs.dtype))
    return _unit(gradient)


def _unit(vectors: Tensor) -> Tensor:
    lengths = vectors.flatten(1).norm(dim=1).clamp(min=torch.finfo(vectors.dtype).tiny)
    return vectors / lengths.view(-1, 1, 1, 1)


def _at_cells(pixels: Tensor, features: Tensor) -> Tensor:
    return F.interpolate(pixels, features.shape[-2:], mode="nearest")


def _uniform(shape: tuple[int, ...], like: Tensor, seen: Seen) -> Tensor:
    return torch.rand(shape, generator=seen.generator, device=like.device, dtype=like.dtype)
