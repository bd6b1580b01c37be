"""Segmenting a table of images with a trained model, batch by batch."""

from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from tags2masks.config.base import Entry
from tags2masks.config.crf import crf_processes, on_device
from tags2masks.config.inference import Inference
from tags2masks.data.images import accept_huge_images
from tags2masks.data.views import WholeImages, size_by_size
from tags2masks.errors import UserError
from tags2masks.machine import Machine
from tags2masks.masks.dense_crf import refined
from tags2masks.methods import method_module
from tags2masks.parallel import ahead, map_ordered
from tags2masks.progress import progress
from tags2masks.segmenters.inference import predict, predict_strips
from tags2masks.store import Entry as Stored


def entries_of(
    recipe: dict,
    network: nn.Module,
    rows: pd.DataFrame,
    root: Path,
    inference: Entry,
    machine: Machine,
    keep_probabilities: bool = False,
) -> Iterator[Stored]:
    """The store's entry of every row, by the recipe's method: `segmented`, or its module's own.

    inference: the block `test` of the method; keep_probabilities: see `segmented`. Raises UserError
    if they are asked of a method of instances.
    """
    inference = on_device(inference, machine.device)
    own = getattr(method_module("segmenters", recipe), "segmented", None)
    if own is None:
        return segmented(network, rows, root, inference, machine, keep_probabilities)
    if keep_probabilities:
        raise UserError(
            f"probabilities: {recipe['method']} gives instances and no probabilities of each pixel"
        )
    return own(network, rows, root, inference, machine)


def segmented(
    network: nn.Module,
    rows: pd.DataFrame,
    root: Path,
    inference: Inference,
    machine: Machine,
    keep_probabilities: bool = False,
) -> Iterator[Stored]:
    """(image, uint8 [H, W], attributes) of every row; rows have image, path, height, width.

    keep_probabilities: with a fourth part, {"probabilities": float16 [K + 1, H, W]}, those of the
    network, before a CRF.
    A CRF runs in `machine.threads` processes while the network processes the next images.
    """
    views = whole_images(rows, root, inference)
    kept: deque[np.ndarray] = deque()
    seen = probabilities(network, views, inference, machine)
    if keep_probabilities:
        seen = _keeping(seen, kept)
    if inference.crf is None and inference.tiles is not None and not keep_probabilities:
        found = _masks_of_strips(network, views, inference, machine)
        masks = progress(found, "segment", total=len(rows))
    elif inference.crf is None:
        best = (shares.argmax(0).to(torch.uint8).cpu().numpy() for _, _, shares in seen)
        masks = progress(best, "segment", total=len(rows))
    else:
        items = ((pixels.permute(1, 2, 0).numpy(), s.cpu().numpy()) for _, pixels, s in seen)
        workers = crf_processes(inference, max(1, min(machine.threads, len(rows))))
        few = 2 * workers  # probabilities are large: 16 MB for an image of VOC
        masks = map_ordered(
            partial(refined, spec=inference.crf),
            ahead(items, few),
            workers=workers,
            batch=few,
            desc="segment",
            total=len(rows),
        )
    images = rows["image"].tolist()
    order = (images[row] for batch in views.batches for row in batch)
    for image, mask in zip(order, masks, strict=True):
        further = ({"probabilities": kept.popleft()},) if keep_probabilities else ()
        yield image, mask, {"size": list(mask.shape)}, *further


def whole_images(rows: pd.DataFrame, root: Path, inference: Inference) -> WholeImages:
    """Batches of the images of rows: of equal size, or each by itself where it is cut into tiles.

    For tiles, this process accepts images of up to `images.HUGE` pixels.
    """
    if inference.tiles is None:
        return WholeImages(rows, root, inference.batch_size)
    accept_huge_images()
    return WholeImages(rows, root, 1)


def _masks_of_strips(
    network: nn.Module, views: WholeImages, inference: Inference, machine: Machine
) -> Iterator[np.ndarray]:
    """The mask of every image, uint8 [H, W], without the whole image's probabilities in memory."""
    for _, batch in _loaded(network, views, inference, machine):
        for image in batch:
            mask = np.empty(image.shape[1:], np.uint8)
            for rows, shares in predict_strips(network, image, inference, machine.device):
                mask[rows] = shares.argmax(0).to(torch.uint8).numpy()
            yield mask


def _keeping(
    seen: Iterator[tuple[int, Tensor, Tensor]], kept: deque[np.ndarray]
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """The same, with each image's probabilities appended to `kept` as it passes."""
    for row, pixels, shares in seen:
        kept.append(shares.half().cpu().numpy())
        yield row, pixels, shares


def probabilities(
    network: nn.Module, views: WholeImages, inference: Inference, machine: Machine
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Every image's row number, its pixels, uint8 [3, H, W], and its probabilities [K + 1, H, W].

    views: of `whole_images`. Probabilities are on the device; of tiles, on the CPU.
    """
    for numbers, batch in _loaded(network, views, inference, machine):
        if inference.tiles is None:
            shares = predict(network, batch.to(machine.device).float() / 255, inference)
        else:
            strips = (predict_strips(network, image, inference, machine.device) for image in batch)
            shares = [torch.cat([part for _, part in of_image], 1) for of_image in strips]
        yield from zip(numbers, batch, shares, strict=True)


def _loaded(
    network: nn.Module, views: WholeImages, inference: Inference, machine: Machine
) -> Iterator[tuple[list[int], Tensor]]:
    """The batches of views, with the network ready on its device.

    Huge images are not loaded ahead: memory holds one.
    """
    network.requires_grad_(False).to(machine.device).to(memory_format=torch.channels_last)
    yield from size_by_size(views, machine.loaders if inference.tiles is None else 0)
