"""Detectors applied to whole images."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from tags2masks.config.detectors import FasterRcnn
from tags2masks.data.boxed import ResizedImages, scaled
from tags2masks.data.boxes import Boxes
from tags2masks.machine import Machine
from tags2masks.metrics.box_ap import Detections, Truth, box_ap
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


def average_precisions(
    network: Detector,
    rows: pd.DataFrame,
    root: Path,
    boxes: Sequence[Boxes],
    classes: int,
    spec: FasterRcnn,
    machine: Machine,
) -> dict[str, np.ndarray]:
    """The AP of the boxes of these images, as `box_ap` has it; boxes: of each of the rows.

    Difficult boxes and crowds are ignored as COCO ignores crowds. VOC's evaluation ignores one
    detection for each difficult box, and holds others against the detector.
    """
    found = dict(detected(network, rows, root, spec, machine))
    truth = (Truth(own.edges, own.classes, own.difficult) for own in boxes)
    return box_ap(((true, found[row]) for row, true in enumerate(truth)), classes)
