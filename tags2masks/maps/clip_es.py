"""Maps of CLIP without a training (CLIP-ES; Lin et al., CVPR 2023), at one scale.

Softmax Grad-CAM: the tokens that enter the last block's attention (its layer norm's output),
weighted with the gradient of a class's share in the softmax over the texts of the image's tags and
of the background (of its log-odds, which gives the same map); its positive part, from its minimum
to its maximum as 0 to 1.

Class-aware attention affinity: the mean attention W of the last layers and of their heads, between
patches. Columns and rows are divided by their sums in turn (Sinkhorn), D; A = (D + Dᵀ)/2. A map is
spread from the boxes B_c around what is above λ: A^t (B_c ⊙ M_c), again from minimum to maximum.

As in the public code: eight layers, three rounds of columns and rows, t = 2, λ = 0.4 of each part
(8-connected) of the map, and the boxes limit from where a map is spread, not where to. Since A^t is
applied to few maps it is never computed: t products with A.

Differs from the code: it rounds maps to 255 levels before λ, and cuts the last row and column of
boxes at the image's border; images are resized to whole patches upwards (here to the nearest), and
position embeddings bilinearly (here as timm does); weights are in float16. The gradient is summed
over the patches, there averaged, which normalisation removes. The paper's confidence-guided loss of
the segmenter is not here.
"""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from tags2masks.config.maps import ClipEs
from tags2masks.maps.batch import Batch, empty_maps
from tags2masks.maps.gradients import class_gradient
from tags2masks.nets.clip import Clip
from tags2masks.nets.resize import resized

NEIGHBOURS = np.ones((3, 3), int)


def localize(network: Clip, batch: Batch, spec: ClipEs) -> Tensor:
    """Maps of the tagged classes, the others zero.

    Returns [B, K, ceil(H/stride), ceil(W/stride)] in 0 to 1.
    """
    maps = empty_maps(batch, spec.stride)
    if not batch.tagged.any():
        return maps
    cams, attention = softmax_gradcam(network, batch.images, batch.tagged, spec.layers)
    with torch.autocast(cams.device.type, enabled=False):
        for row, tagged in enumerate(batch.tagged):
            if not tagged.any():
                continue
            found = cams[row, tagged]
            if spec.affinity:
                found = spread(found, affinity(attention[row], spec.rounds), spec)
            maps[row, tagged] = resized(found[None], maps.shape[-2:])[0]
    return maps


def softmax_gradcam(
    network: Clip, images: Tensor, tagged: Tensor, layers: int
) -> tuple[Tensor, Tensor]:
    """Maps of the tagged classes in 0 to 1, [B, K, h, w], the others zero; and W, [B, hw, hw].

    images: [B, 3, H, W] in 0 to 1; tagged: bool [B, K]. One forward pass, of which the last block
    alone is run with a graph, and a backward pass through it for the images' first tags, one for
    their second tags, and so on.
    """
    with torch.enable_grad(), network.observed(layers) as seen:
        features = network.features(images)
        logits = network.compared(features).float()
        asked = torch.cat(
            [tagged, tagged.new_ones(len(tagged), logits.shape[1] - tagged.shape[1])], 1
        )
        odds = log_odds(logits, asked)
    prefix, (height, width) = network.backbone.num_prefix_tokens, features.shape[-2:]
    tokens = seen.tokens[:, prefix:].detach().float()
    cams = tokens.new_zeros(*tagged.shape, height * width)
    place = tagged.cumsum(1) * tagged  # 1 at an image's first tag, 2 at its second
    for number in range(1, int(place.max()) + 1):
        chosen = place == number
        gradient = class_gradient(odds[:, : tagged.shape[1]], seen.tokens, chosen)
        weights = gradient[:, prefix:].sum(1)
        cams += chosen[:, :, None] * torch.einsum("bnc,bc->bn", tokens, weights)[:, None]
    maps = stretched(cams.relu()).unflatten(2, (height, width))
    attention = torch.stack(seen.attention).float().mean(0)[:, prefix:, prefix:]
    return maps, attention


def log_odds(logits: Tensor, asked: Tensor) -> Tensor:
    """log p/(1 − p) of each text's share p in the softmax over the texts that are asked for.

    logits: [B, T]; asked: bool [B, T]. Returns [B, T]; constant if no other text is asked for.
    A share's gradient is p(1 − p) times that of its log-odds, so both give the same map from its
    minimum to its maximum; but CLIP's shares are easily 0 or 1 to the last digit, where a share has
    no gradient left.
    """
    others = asked[:, None] & ~torch.eye(asked.shape[1], dtype=torch.bool, device=asked.device)
    lowest = torch.finfo(logits.dtype).min / 2  # finite: the gradient of nothing but it is 0
    against = logits[:, None].expand_as(others).masked_fill(~others, lowest).logsumexp(2)
    return (logits - against) * others.any(2)


def stretched(maps: Tensor) -> Tensor:
    """Each map [..., n] from its minimum to its maximum as 0 to 1; 0 if it is constant."""
    above = maps - maps.amin(-1, keepdim=True)
    return above / above.amax(-1, keepdim=True).clamp_min(torch.finfo(maps.dtype).tiny)


def affinity(attention: Tensor, rounds: int) -> Tensor:
    """A, [n, n], from W: columns and then rows sum to 1, `rounds` times; then symmetric."""
    for _ in range(rounds):
        attention = attention / attention.sum(0, keepdim=True)
        attention = attention / attention.sum(1, keepdim=True)
    return (attention + attention.T) / 2


def spread(maps: Tensor, along: Tensor, spec: ClipEs) -> Tensor:
    """Maps [T, h, w] in 0 to 1, spread from their boxes along A [n, n]; again in 0 to 1."""
    inside = torch.stack([in_boxes(map_, spec.box_score) for map_ in maps])
    vectors = (maps * inside).flatten(1)
    for _ in range(spec.steps):
        vectors = vectors @ along  # A is symmetric
    return stretched(vectors).unflatten(1, maps.shape[1:])


def in_boxes(map_: Tensor, score: float) -> Tensor:
    """Whether a cell is in the box around a connected part of what is above a share of the maximum.

    map_: [h, w], 0 or more. Returns bool [h, w].
    """
    inside = torch.zeros_like(map_, dtype=torch.bool)
    above = (map_ > score * map_.max()).cpu().numpy()
    for window in ndimage.find_objects(ndimage.label(above, NEIGHBOURS)[0]):
        inside[window] = True
    return inside
