"""Detectors applied to whole images."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch
from torch.utils.data import DataLoader

from tags2masks.config.detectors import FasterRcnn
from tags2masks.data.boxed import ResizedImages, scaled
from tags2masks.machine import Machine
from tags2masks.metrics.box_ap import Detections
from tags2masks.nets.detector import Detector

BATCH = 8
"""Images of like size per forward pass."""


@torch.no_grad()
def detected(
    network: Detector, rows: pd.DataFrame, root: Path, spec: FasterRcnn, machine: Machine
) -> Iterator[tuple[int, Detections]]:
    """Of every image its row and what is found in it, in pixels of the image as it is listed.

    network: on the machine's device, in evaluation mode. Rows are in another order.
    """
    images = ResizedImages(rows, root, spec.test_short_side, spec.augment.longest, BATCH)
    for numbers, pixels in DataLoader(images, batch_size=None, num_workers=machine.loaders):
        found = network(list(pixels.to(machine.device).float() / 255))
        for number, boxes in zip(numbers, found, strict=True):
            edges, classes, scores = (
                boxes[name].cpu().numpy() for name in ("boxes", "labels", "scores")
            )
            edges = scaled(edges, images.wanted[number], images.sizes[number])
            yield number, Detections(edges, classes, scores)
