"""Applying a segmentation network to whole images, or to tiles of them."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tags2masks.config.inference import Inference
from tags2masks.data.tiles import tiles_of
from tags2masks.nets.resize import at_scale, resized


def predict(network: nn.Module, images: Tensor, inference: Inference) -> Tensor:
    """Probabilities of background and classes, averaged over scales and flips.

    images: [B, 3, H, W] in 0 to 1. Returns float32 [B, K+1, H, W].
    """
    total = 0
    for scale in inference.scales:
        scaled = at_scale(images, scale)
        if inference.flip:
            scaled = torch.cat([scaled, scaled.flip(-1)])
        shares = network(scaled.contiguous(memory_format=torch.channels_last)).float().softmax(1)
        if inference.flip:
            straight, mirrored = shares.chunk(2)
            shares = (straight + mirrored.flip(-1)) / 2
        total = total + resized(shares, images.shape[-2:])
    return total / len(inference.scales)


def predict_strips(
    network: nn.Module, image: Tensor, inference: Inference, device: str
) -> Iterator[tuple[slice, Tensor]]:
    """Rows of an image, from the top, with the mean of the probabilities of the tiles over them.

    image: uint8 [3, H, W]; inference: with `tiles`. Yields float32 [K+1, rows, W] on the CPU.
    Memory holds a row of tiles, not the whole image's probabilities.
    """
    height, width = image.shape[1:]
    tiles = tiles_of(height, width, inference.tiles)
    sums = counts = None
    top = 0
    for start in range(0, len(tiles), inference.batch_size):
        batch = tiles[start : start + inference.batch_size]
        cut = torch.stack([image[:, *tile.part] for tile in batch])
        shares = predict(network, cut.to(device).float() / 255, inference).cpu()
        for tile, probabilities in zip(batch, shares, strict=True):
            if sums is None:
                sums = torch.zeros(len(probabilities), tile.height, width)
                counts = torch.zeros(tile.height, width)
            if ready := tile.y - top:  # no later tile lies there
                yield slice(top, tile.y), sums[:, :ready] / counts[:ready]
                top = tile.y
                for kept in (sums, counts):
                    kept[..., :-ready, :] = kept[..., ready:, :].clone()
                    kept[..., -ready:, :] = 0
            columns = tile.part[1]
            sums[:, :, columns] += probabilities
            counts[:, columns] += 1
    yield slice(top, height), sums / counts
