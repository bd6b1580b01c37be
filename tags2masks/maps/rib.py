"""RIB: maps of a network that is fine-tuned on each image (Lee et al., NeurIPS 2021).

Equation numbers are those of Lee, "Label-Efficient Learning for Object Recognition" (PhD thesis,
2023), section 3.4. For each image, K steps of gradient descent start from the trained weights and
reduce L = −Σ t_c·min(m, y_c) over the image and random companions. A logit y_c is pooled outside
the discriminative region (GNDRP). The maps of the K + 1 networks are summed.

The paper does not say the following; it is as in the public code. L is summed over the images. The
image is whole; companions are random crops of images that share no tag with it. The map of a step
is CAM, normalised by eq. 2.1 after its negative part is cut off. `config.maps.Rib` lists where the
public code differs from the paper. The code also divides in GNDRP by the number of all locations
instead of the pooled ones, trains the last two stages only, and adds part of the map at which it
stops because of its area.

Companions are drawn again at each step, without repetition. If fewer images than asked for share no
tag with the image, all of them are taken; if there are none, the image is learned from alone.

With `climb` the maps of all steps are of the image as AdvCAM's climb leaves it, for each class and
each scale on its own; the trained network leads the climb, and the fine-tuning learns from the
image itself. The thesis combines both methods (section 4.6, table 4.7) and does not say how: this
is our reading.

The images of a batch are processed one after the other, because each has its own weights.
`torch.func.vmap` over weights would hold weights and gradients for every image and turn the
convolutions into grouped ones. The companions of a step already fill the device.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tags2masks.config.climbing import Rib
from tags2masks.data.training_images import TrainingImages, View
from tags2masks.maps.batch import Batch, Localized, empty_maps
from tags2masks.maps.scales import in_units_of_first, multi_scale, sum_of_steps
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.score_maps import normalize


def localize(
    network: Classifier, batch: Batch, spec: Rib, *, training: TrainingImages
) -> Tensor | Localized:
    """Maps of the tagged classes; those of other classes are zero.

    Returns [B, K, ceil(H/stride), ceil(W/stride)] in 0 to 1, or with `keep_steps` a Localized with
    the maps of the trained network and of the K fine-tuned ones, NaN after an early exit. The
    network's weights are restored.
    """
    maps = empty_maps(batch, spec.stride)
    shape = (*maps.shape[:2], spec.steps + 1, *maps.shape[2:])
    kept = maps.new_zeros(shape) if spec.keep_steps else None
    disjoint = training.sharing_no_tag(batch.tagged.cpu().numpy())
    climbed: list[list[Tensor] | None] = [None] * len(batch.tagged)
    if spec.climb:
        # By name, so that an edit of the climb makes only the maps again that have one.
        ends = import_module("tags2masks.maps.advcam").ends
        pairs = zip(batch.images.split(1), batch.tagged, strict=True)
        climbed = [
            ends(network, image, tagged, spec) if tagged.any() else None for image, tagged in pairs
        ]
    with trainable(network) as restore:
        for row, tagged in enumerate(batch.tagged):
            if not tagged.any():
                continue
            draws = companions(np.flatnonzero(disjoint[row]), batch.seeds[row], spec)
            restore()
            step_maps = list(
                adapt(
                    network,
                    batch.images[row : row + 1],
                    tagged,
                    draws,
                    spec,
                    training,
                    climbed[row],
                )
            )
            steps = torch.stack(step_maps, 1)
            maps[row, tagged] = sum_of_steps(steps, spec.step_map).to(maps.dtype)
            if kept is not None:
                kept[row, tagged, len(step_maps) :] = torch.nan
                kept[row, tagged, : len(step_maps)] = in_units_of_first(steps).to(maps.dtype)
    return maps if kept is None else Localized(maps, kept)


@contextmanager
def trainable(network: nn.Module) -> Iterator:
    """Make all weights trainable; yield a function that restores their original values.

    Values and `requires_grad` are also restored at the end. Autocast's cache of converted weights
    is disabled, because the weights change.
    """
    parameters = list(network.parameters())
    learning = [parameter.requires_grad for parameter in parameters]
    before = [parameter.detach().clone() for parameter in parameters]
    device = parameters[0].device.type

    @torch.no_grad()
    def restore() -> None:
        torch._foreach_copy_(parameters, before)

    try:
        network.requires_grad_(True)
        with torch.autocast(
            device,
            torch.get_autocast_dtype(device),
            enabled=torch.is_autocast_enabled(device),
            cache_enabled=False,
        ):
            yield restore
    finally:
        restore()
        for parameter, learns in zip(parameters, learning, strict=True):
            parameter.requires_grad_(learns).grad = None


def companions(rows: np.ndarray, seed: int, spec: Rib) -> list[list[View]]:
    """Draw the companions' views for each step from the training images `rows`; [] without any."""
    count = min(spec.companions, len(rows))
    draws = []
    for step in range(spec.steps if count else 0):
        chosen = np.random.default_rng([seed, step]).choice(rows, count, replace=False)
        draws.append([(int(row), (seed, step, place)) for place, row in enumerate(chosen)])
    return draws


def adapt(
    network: Classifier,
    image: Tensor,
    tagged: Tensor,
    draws: list[list[View]],
    spec: Rib,
    training: TrainingImages,
    climbed: list[Tensor] | None = None,
) -> Iterator[Tensor]:
    """Fine-tune the network on an image; yield the tagged classes' maps before each step and after.

    image: [1, 3, H, W] in 0 to 1; tagged: bool [K]; draws: the companions of each step, or [].
    climbed: what the maps are of instead of the image, as `advcam.ends` returns it.
    Yields unnormalised CAMs [k, h, w] of the k tagged classes, K + 1 times, or fewer after an early
    exit. The weights must be those of the trained network.
    """
    head = {id(parameter) for parameter in network.head_parameters()}
    groups = [
        {"params": [p for p in network.parameters() if (id(p) in head) == new], "factor": factor}
        for new, factor in ((False, 1), (True, spec.head_factor))
    ]
    optimizer = torch.optim.SGD(groups)
    fill = network.normalize.mean.flatten().tolist()
    views = training.views(draws, spec.augment, fill)
    for step in range(spec.steps + 1):
        learns = step < spec.steps
        optimizer.zero_grad()
        maps, logits = _look(network, image, tagged, spec, learns, climbed)
        if spec.early_exit and step and _area(maps, spec) > spec.exit_area:
            return
        yield maps
        if not learns:
            return
        if draws:
            _learn_from_companions(network, next(views), draws[step], spec, training)
        rate = spec.lr * (1 - step / spec.steps) ** spec.poly_power
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        optimizer.step()
        if spec.early_exit and logits > spec.margin:
            return


def _look(
    network: Classifier,
    image: Tensor,
    tagged: Tensor,
    spec: Rib,
    learns: bool,
    climbed: list[Tensor] | None,
) -> tuple[Tensor, Tensor]:
    """The step's maps of the tagged classes, and the sum of the logits in the loss.

    If `learns`, the gradients of the image's loss are added to the weights'. One forward pass per
    view is used for both, where the maps are of the image.
    """
    height, width = image.shape[-2:]
    total = image.new_zeros(())
    ends = iter(climbed or ())

    def score(views: Tensor) -> Tensor:
        if spec.learn_from == "views":
            count = len(views) if views.shape[-2] >= height and views.shape[-1] >= width else 0
        else:
            count = 1 if views.shape[-2:] == image.shape[-2:] else 0
        count *= learns
        scores = []
        if count:
            with torch.enable_grad():
                view_maps = network.score_maps(network.features(views[:count]))
                logits = pooled(view_maps, spec)
                descend(logits, tagged.expand_as(logits), spec)
            total.add_(logits.detach()[:, tagged].sum())
            scores.append(view_maps.detach())
        if climbed is not None:
            return _maps_of(network, next(ends), tagged, spec)
        if count < len(views):
            with torch.no_grad():
                scores.append(network.score_maps(network.features(views[count:])))
        return torch.cat(scores)[:, tagged]

    maps = multi_scale(score, image, spec.scales, spec.flip, spec.stride)
    return maps[0], total


@torch.no_grad()
def _maps_of(network: Classifier, climbed: Tensor, tagged: Tensor, spec: Rib) -> Tensor:
    """The score maps [V, k, h', w'] of the k tagged classes, each of its own image.

    climbed: [V, k, 3, h, w].
    """
    numbers = tagged.nonzero().flatten()
    maps = []
    for images, classes in zip(
        climbed.split(spec.climb.pairs_per_pass, 1),
        numbers.split(spec.climb.pairs_per_pass),
        strict=True,
    ):
        scores = network.score_maps(network.features(images.flatten(0, 1)))
        rows = torch.arange(len(scores), device=scores.device)
        own = scores[rows, classes.repeat(len(images))]
        maps.append(own.unflatten(0, (len(images), -1)))
    return torch.cat(maps, 1)


def pooled(scores: Tensor, spec: Rib) -> Tensor:
    """Logits [B, K] of score maps [B, K, h, w], by average pooling or GNDRP.

    GNDRP is the mean over the locations where the normalised, detached map is at most τ; 0 if there
    are none.
    """
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if spec.pooling == "gap":
        return scores.mean((-2, -1))
    region = normalize(scores.detach().relu()) <= spec.pooled_below
    return (scores * region).sum((-2, -1)) / region.sum((-2, -1)).clamp(min=1)


def descend(logits: Tensor, tagged: Tensor, spec: Rib) -> None:
    """Add the gradients of the loss, summed over images, to those of the weights.

    logits: y, [B, K]; tagged: bool [B, K].
    """
    loss_of(logits, tagged, spec).backward()


def loss_of(logits: Tensor, tagged: Tensor, spec: Rib) -> Tensor:
    """L_RIB = −Σ t_c·min(m, y_c), or L_BCE = −Σ t_c·log a(y_c) + (1 − t_c)·log(1 − a(y_c)).

    a is the sigmoid, (tanh + 1)/2 or (softsign + 1)/2. Arguments as for `descend`.
    """
    if spec.loss == "rib":
        return -logits[tagged].clamp(max=spec.margin).sum()
    signed = torch.where(tagged, logits, -logits)  # 1 − a(y) is a(−y) for all three
    if spec.loss == "bce_softsign":
        # (1 + y/(1 + |y|))/2, written without cancellation for large negative y.
        own, size = 1 + 2 * signed.relu(), 2 * (1 + signed.abs())
        return -(own.log() - size.log()).sum()
    return -F.logsigmoid(2 * signed if spec.loss == "bce_tanh" else signed).sum()


def _learn_from_companions(
    network: Classifier, views: Tensor, drawn: list[View], spec: Rib, training: TrainingImages
) -> None:
    device = network.normalize.mean.device
    tagged = torch.from_numpy(training.tagged[[row for row, _ in drawn]]).to(device)
    parts = (images.split(spec.companions_per_pass) for images in (views, tagged))
    for part, tags in zip(*parts, strict=True):
        images = part.to(device).to(memory_format=torch.channels_last).float() / 255
        with torch.enable_grad():
            descend(pooled(network.score_maps(network.features(images)), spec), tags, spec)


def _area(maps: Tensor, spec: Rib) -> float:
    """Share of the image where the normalised map of some tagged class exceeds exit_score."""
    return (normalize(maps) > spec.exit_score).any(0).float().mean().item()
