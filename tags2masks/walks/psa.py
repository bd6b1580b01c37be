"""AffinityNet: a random walk of maps and a background map (Ahn & Kwak, CVPR 2018).

The background map is (1 − highest score)^α, as in the public code. Differs from the code: maps are
averaged over cells of 8 × 8 pixels from the stored stride, in the code from full size, and the
background map is of these means, in the code the mean of it over the cell's pixels.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tags2masks.affinity.pairs import half_disc
from tags2masks.affinity.psa import AffinityNet, affinity
from tags2masks.affinity.walk import transition, walk
from tags2masks.config.walks import PsaWalk

BACKGROUND = -1


def refine(
    network: AffinityNet, images: Tensor, maps: Sequence[np.ndarray], spec: PsaWalk
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each image the maps after the walk, float32 [1 + K, h, w], and the row in `maps` of each.

    images: [B, 3, H, W] in 0 to 1; maps: float16 [K, ?, ?] of each image, averaged over the h × w
    cells of the network. The background map comes first; its row is -1.
    """
    walks = []
    for features, own in zip(network(images).float(), maps, strict=True):
        size = features.shape[-2:]
        scores = torch.from_numpy(own).to(features.device).float()
        scores = F.adaptive_avg_pool2d(scores, size) if len(scores) else scores.new_zeros(0, *size)
        walks.append((walked(scores, features, spec).cpu().numpy(), np.arange(-1, len(own))))
    return walks


def walked(scores: Tensor, features: Tensor, spec: PsaWalk) -> Tensor:
    """The background map and the scores after the walk, [1 + K, h, w].

    scores: [K, h, w], 0..1; features: [C, h, w].
    """
    scores = scores.pow(spec.map_power)
    highest = scores.amax(0) if len(scores) else scores.new_zeros(scores.shape[1:])
    if spec.background == "constant":
        background = torch.full_like(highest, spec.background_constant)
    else:
        background = (1 - highest).pow(spec.background_power)
    offsets = half_disc(spec.radius)
    affinities = [affinity(features[None], offset)[0] for offset in offsets]
    matrix = transition(affinities, offsets, tuple(features.shape[-2:]), spec.beta)
    return walk(matrix, torch.cat([background[None], scores]), spec.steps)
