"""Maps of many random passes of a FickleNet (Lee et al., CVPR 2019; Lee's thesis, section 3.2.1).

A pass keeps random cells of the head's windows. Its map is the gradient of the logit times the
activation, its negative part cut off, divided by its maximum. The maps of all passes become one:
their mean, again divided by its maximum. Mean and highest value of the passes are stored beside
it, for the mask method `any_pass`; with `keep_passes` also the maps of the first passes.

`passes: expected` is the map of the expected pass, without a random number: a control.

The head is linear, so a pass is a masked sum of scores that are computed once per image
(`nets/random_windows.py`): no expanded map, no backward pass. Passes are compared on the grid of
the features; mean and highest value are resized to the stored stride afterwards.

The thesis gives no number of passes; 200 is known of the CVPR paper, whose text has not been
compared. One scale, no mirror image: neither source says anything of them.
"""

import torch
from torch import Tensor

from tags2masks.config.maps import FickleNetMaps
from tags2masks.maps.batch import Batch, Localized, empty_maps
from tags2masks.maps.scales import stored_size
from tags2masks.nets.classifier import Classifier
from tags2masks.nets.random_windows import RandomWindows, activation_maps, offset_scores
from tags2masks.nets.resize import resized
from tags2masks.nets.score_maps import normalize

VALUES = 2**24
"""Values of masks in memory at a time: 64 MiB."""


def localize(network: Classifier, batch: Batch, spec: FickleNetMaps) -> Localized:
    """Maps of the tagged classes, the others zero, with the passes' mean and highest values.

    network: has `windows`, which the config ensures. Returns maps [B, K, ceil(H/stride),
    ceil(W/stride)] in 0 to 1; a class's is all zero where no pass has a positive value. With
    `expected` there are no passes.
    """
    features = network.features(batch.images).float()
    grid, size = features.shape[-2:], stored_size(batch.images.shape[-2:], spec.stride)
    expected = spec.passes == "expected"
    maps = empty_maps(batch, spec.stride)
    passes = maps.new_zeros((*maps.shape[:2], 2 + spec.keep_passes, *size))
    with torch.autocast(features.device.type, enabled=False):
        for row, seed in enumerate(batch.seeds):
            classes = batch.tagged[row].nonzero().flatten()
            if not len(classes):
                continue
            scores = offset_scores(features[row], network.head.weight[classes])
            if expected:
                found = expected_map(scores, grid, network.windows)[None]
            else:
                generator = torch.Generator().manual_seed(seed)
                found = random_passes(
                    scores, grid, network.windows, spec.passes, generator, spec.keep_passes
                )
                passes[row, classes] = resized(found, size).transpose(0, 1)
            maps[row, classes] = normalize(resized(found[:1], size)[0])
    if expected:
        return Localized(maps)
    singles = passes[:, :, 2:] if spec.keep_passes else None
    return Localized(maps, passes=passes[:, :, :2], singles=singles)


def expected_map(scores: Tensor, size: tuple[int, int], windows: RandomWindows) -> Tensor:
    """The map of the expected pass over its maximum, [K, h, w]; scores: from `offset_scores`."""
    masks = windows.expected(size).to(scores.device)
    return normalize(activation_maps(scores, masks[None])[0].relu().unflatten(1, size))


def random_passes(
    scores: Tensor,
    size: tuple[int, int],
    windows: RandomWindows,
    passes: int,
    generator: torch.Generator,
    keep: int = 0,
) -> Tensor:
    """Mean and highest value of the maps of so many passes, [2 + keep, K, h, w] in 0 to 1.

    They are followed by the maps of the first `keep` passes.

    scores: [K, s², h·w], from `offset_scores`; size: (h, w). Masks are drawn on the CPU, pass after
    pass, so that they are the same for every device and whatever else is in the batch.
    """
    cells = size[0] * size[1]
    counted = scores * windows.scale(size).to(scores.device).T
    total = scores.new_zeros((len(scores), *size))
    highest, kept_maps = torch.zeros_like(total), []
    at_a_time = max(1, VALUES // (cells * windows.kernel**2))
    for start in range(0, passes, at_a_time):
        count = min(at_a_time, passes - start)
        kept = torch.stack([windows.draw((cells,), generator) for _ in range(count)])
        maps = activation_maps(counted, kept.to(scores.device))
        maps = normalize(maps.relu().unflatten(2, size))
        total += maps.sum(0)
        highest = torch.maximum(highest, maps.amax(0))
        kept_maps.append(maps[: max(0, keep - start)])
    return torch.cat([torch.stack([total / passes, highest]), *kept_maps])
