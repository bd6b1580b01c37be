"""AdvCAM: maps along an adversarial climb of the image (Lee et al., CVPR 2021).

Equation numbers are those of Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis,
2023), section 3.3. The image ascends L (eq. 3.6): the class's logit, less the other logits, less λ
times the change of the map where it is above τ. The maps of all climb steps are summed (eq. 3.3).

The paper does not say the following; it is as in the public code. An image and its mirror image
climb together, with one map. Images are normalised, so a climb step is in units of the channels'
deviations. Every scale climbs separately. The map in the mask term has the unit of the code's
Grad-CAM, to which λ = 7 belongs: a channel's weight is its gradient summed over the locations,
divided by the number of positive gradients of both views. With a linear head this is CAM/(2·n₊), n₊
being the number of the class's positive weights: about a thousandth of CAM. Eq. 2.1 would divide by
the maximum (`restrict_map: normalized`), where λ = 7 is so strong that the image does not climb.

Here the map of a climb step is the sum over scales, as in CAM, normalised by eq. 2.1 after its
negative part is cut off. `config.maps.AdvCam` lists where the public code differs from the paper;
the code also leaves out the map of the last climbed image.

An image and a class are a pair; pairs climb in batches. Batch norm is in evaluation mode, so the
climb of a pair does not depend on the others.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from tags2masks.config.climbing import AdvCam, Climb, Rib
from tags2masks.maps.batch import Batch, Localized, empty_maps
from tags2masks.maps.scales import in_units_of_first, multi_scale, stored_size, sum_of_steps
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.resize import resized
from tags2masks.nets.score_maps import normalize

_REST = (0, 2, 3, 4)  # of [V, P, 3, h, w], all but the pair


def localize(network: Classifier, batch: Batch, spec: AdvCam) -> Tensor | Localized:
    """Maps of the tagged classes; those of other classes are zero.

    Returns [B, K, ceil(H/stride), ceil(W/stride)] in 0 to 1, or with `keep_steps` a Localized with
    the maps of the original image and of the T climbed images; a scale with a shorter climb adds
    nothing to later maps. With a mask term it also has the masks M of the T steps (eq. 3.4).
    """
    maps = empty_maps(batch, spec.stride)
    shape = (*maps.shape[:2], spec.steps + 1, *maps.shape[2:])
    kept = maps.new_zeros(shape) if spec.keep_steps else None
    restricts = kept is not None and spec.restrict_weight > 0 and spec.steps > 0
    masks = torch.zeros_like(kept[:, :, 1:]) if restricts else None
    tagged = batch.tagged.nonzero()
    for pairs in tagged.split(spec.pairs_per_pass) if len(tagged) else ():
        rows, classes = pairs.unbind(1)
        steps, restricted = climb(network, batch.images[rows], classes, spec)
        maps[rows, classes] = sum_of_steps(steps, spec.step_map).to(maps.dtype)
        if kept is not None:
            kept[rows, classes] = in_units_of_first(steps).to(maps.dtype)
        if masks is not None:
            masks[rows, classes] = restricted.to(maps.dtype)
    return maps if kept is None else Localized(maps, kept, restricted=masks)


def climb(
    network: Classifier, images: Tensor, classes: Tensor, spec: AdvCam
) -> tuple[Tensor, Tensor]:
    """The maps of each pair's class along the climb, and where they are restricted.

    images: [P, 3, H, W] in 0 to 1; classes: int64 [P]. Returns the maps, summed over scales and not
    normalised, [P, T + 1, h, w], and the mean over scales of the masks M of the T steps,
    [P, T, h, w] in 0 to 1. A mask is of the map before its step; after a shorter climb it is 0.
    """
    size = stored_size(images.shape[-2:], spec.stride)
    restricted = images.new_zeros(len(images), spec.steps, *size)

    def score(views: Tensor) -> Tensor:
        steps, masks = _steps_of(views, images, spec), []
        maps = [scores for scores, _ in ascend(network, views, classes, steps, spec, masks)]
        if masks:
            restricted[:, :steps] += resized(torch.stack(masks, 1).to(images.dtype), size)
        return torch.stack(maps + [torch.zeros_like(maps[0])] * (spec.steps - steps), 1)

    maps = multi_scale(score, images, spec.scales, spec.flip, spec.stride)
    return maps, restricted / len(spec.scales)


def ends(network: Classifier, image: Tensor, tagged: Tensor, spec: Rib) -> list[Tensor]:
    """The image at the end of its climb for each of its classes, at each of the spec's scales.

    image: [1, 3, H, W] in 0 to 1; tagged: bool [K]; spec: of a map method with a `climb`.
    Returns for each scale [V, k, 3, h, w], V = 2 with the mirror images, for the k tagged classes;
    values may be below 0 or above 1.
    """
    mean, std = network.normalize.mean, network.normalize.std
    parts: list[list[Tensor]] = [[] for _ in spec.scales]
    for classes in tagged.nonzero().flatten().split(spec.climb.pairs_per_pass):
        scales = iter(parts)

        def score(views: Tensor, classes: Tensor = classes, scales: Iterator = scales) -> Tensor:
            views = views.repeat_interleave(len(classes), 0)
            steps = _steps_of(views, image, spec.climb)
            *_, (maps, climbed) = ascend(network, views, classes, steps, spec.climb)
            next(scales).append((climbed * std + mean).unflatten(0, (-1, len(classes))))
            return maps[:, None]

        multi_scale(score, image, spec.scales, spec.flip, spec.stride)
    return [torch.cat(of_scale, 1) for of_scale in parts]


def _steps_of(views: Tensor, images: Tensor, spec: Climb) -> int:
    """The length of the climb of views of the images."""
    smaller = views.shape[-2] < images.shape[-2] or views.shape[-1] < images.shape[-1]
    if smaller and spec.steps_below_one is not None:
        return min(spec.steps_below_one, spec.steps)
    return spec.steps


def ascend(
    network: Classifier,
    views: Tensor,
    classes: Tensor,
    steps: int,
    spec: Climb,
    masks: list[Tensor] | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Climb at one scale; yield the score maps of the classes, and the images, along the climb.

    views: [V·P, 3, h, w] in 0 to 1: the P images, followed by their mirror images if V = 2.
    Yields `steps` + 1 times ([V·P, h', w'], normalised images [V·P, 3, h, w]), with a forward and a
    backward pass each, the last time only a forward pass. To `masks` the masks M of eq. 3.4 are
    appended, bool [P, h', w'], one after each yield but the last.
    """
    pairs = len(classes)
    own = classes.repeat(len(views) // pairs)
    rows = torch.arange(len(own), device=own.device)
    mean, std = network.normalize.mean, network.normalize.std
    images = (views - mean) / std
    for step in range(steps + 1):
        images = images.detach().requires_grad_(step < steps)
        with torch.set_grad_enabled(step < steps):
            features = network.features(images * std + mean)
            scores = network.score_maps(features).to(images.dtype)
            own_scores = scores[rows, own]
        yield own_scores.detach(), images.detach()
        if step == steps:
            return
        with torch.enable_grad():
            pooled = scores.relu() if spec.logit == "rectified" else scores
            if spec.restrict_map == "gradcam":
                present = _map_of_pairs(_gradcam(features, pooled[rows, own], pairs), pairs)
            else:
                present = normalize(_map_of_pairs(own_scores, pairs))
            if step == 0:
                first = present.detach()
            mask = _mask(present.detach(), spec)
            if masks is not None:
                masks.append(mask)
            gain = _objective(pooled, pooled[rows, own], mask * (present - first).abs(), spec)
            (gradient,) = torch.autograd.grad(gain, images)
        if spec.step == "scaled":
            largest = gradient.abs().unflatten(0, (-1, pairs)).amax(_REST)
            gradient = gradient / _per_view(largest + 1e-12, len(views))
        before = images.detach().unflatten(0, (-1, pairs))
        images = images.detach() + spec.step_size * gradient
        if spec.step == "scaled":
            bounds = (before.amin(_REST), before.amax(_REST))
            images = images.clamp(*(_per_view(bound, len(views)) for bound in bounds))


def _gradcam(features: Tensor, pooled: Tensor, pairs: int) -> Tensor:
    """Grad-CAM in the public code's unit, [V·P, h, w], before ReLU.

    features: [V·P, C, h, w]; pooled: [V·P, h, w], computed from them, with the logit as their sum.
    A pair's channel weights are divided by the number of its positive gradients, over both views,
    and are detached.
    """
    (gradients,) = torch.autograd.grad(pooled.sum(), features, retain_graph=True)
    by_pair = gradients.unflatten(0, (-1, pairs))
    positive = _per_view((by_pair > 0).sum(_REST).clamp(min=1), len(features))
    weights = gradients.to(pooled.dtype).sum((2, 3), keepdim=True) / positive
    return (weights * features).sum(1)


def _mask(present: Tensor, spec: Climb) -> Tensor:
    """M of eq. 3.4: where the maps [P, h, w] are above τ of their maximum."""
    return present > spec.restrict_above * present.amax((-2, -1), keepdim=True)


def _objective(pooled: Tensor, own: Tensor, change: Tensor, spec: Climb) -> Tensor:
    """The sum of eq. 3.6 over pairs; pairs are independent, so each gets its own gradient.

    pooled: [V·P, K, h, w], whose means are the logits; own: the part of each pair's class;
    change: [P, h, w], that of the maps since the start where they are masked, in the unit of λ.
    """
    others = pooled.mean((-2, -1)).sum() - own.mean((-2, -1)).sum()
    return own.mean((-2, -1)).sum() - others - spec.restrict_weight * change.sum()


def _map_of_pairs(maps: Tensor, pairs: int) -> Tensor:
    """[V·P, h, w] to [P, h, w]: ReLU, summed over the image and the flipped mirror image."""
    straight, *mirrored = maps.relu().split(pairs)
    return straight + mirrored[0].flip(-1) if mirrored else straight


def _per_view(values: Tensor, views: int) -> Tensor:
    """Repeat a value per pair, [P], for each view: [V·P, 1, 1, 1]."""
    return values.repeat(views // len(values)).view(-1, 1, 1, 1)
