"""Detectors applied to whole images."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader

from tags2masks.data.boxed import ResizedImages, scaled
from tags2masks.data.boxes import Boxes, boxes_of
from tags2masks.machine import Machine
from tags2masks.metrics.box_ap import Detections, Truth, box_ap, mean_over_classes
from tags2masks.nets.detector import Detector
from tags2masks.task import Task
from tags2masks.training import Measure

BATCH = 8
"""Images of like size per forward pass."""


@torch.no_grad()
def found_in(
    network: Detector,
    rows: pd.DataFrame,
    root: Path,
    sides: tuple[int, int],
    machine: Machine,
    batch_size: int = BATCH,
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Of every image its row and what the network finds, `boxes` in pixels of the listed image.

    network: on the machine's device, in evaluation mode. sides: the short side of images, and the
    longest that they may be. Rows are in another order.
    """
    images = ResizedImages(rows, root, *sides, batch_size)
    for numbers, pixels in DataLoader(images, batch_size=None, num_workers=machine.loaders):
        answers = network(list(pixels.to(machine.device).float() / 255))
        for number, answer in zip(numbers, answers, strict=True):
            found = {name: values.cpu().numpy() for name, values in answer.items()}
            edges = scaled(found["boxes"], images.wanted[number], images.sizes[number])
            yield number, found | {"boxes": edges}


def average_precisions(
    network: Detector,
    rows: pd.DataFrame,
    root: Path,
    boxes: Sequence[Boxes],
    classes: int,
    sides: tuple[int, int],
    machine: Machine,
) -> dict[str, np.ndarray]:
    """The AP of the boxes of these images, as `box_ap` has it; boxes: of each of the rows.

    sides: as for `found_in`. Difficult boxes and crowds are ignored as COCO ignores crowds. VOC's
    evaluation ignores one detection for each difficult box, and holds others against the detector.
    """
    found = {
        row: Detections(answer["boxes"], answer["labels"], answer["scores"])
        for row, answer in found_in(network, rows, root, sides, machine)
    }
    truth = (Truth(own.edges, own.classes, own.difficult) for own in boxes)
    return box_ap(((true, found[row]) for row, true in enumerate(truth)), classes)


def measure_boxes(task: Task, sides: tuple[int, int]) -> Measure:
    """COCO's AP of the boxes of val, every `validate_every` epochs: `val_ap`, `…50` and `…75`.

    Without boxes of val, none.
    """
    rows = task.rows("val")
    if not len(rows) or task.val_boxes is None:
        return lambda network, epoch: {}
    boxes, count = boxes_of(task.val_boxes, rows, task.classes), len(task.classes)

    def measured(network: nn.Module, epoch: int) -> dict[str, float]:
        if epoch % task.spec.validate_every and epoch != task.spec.epochs:
            return {}
        of_classes = average_precisions(network, rows, task.root, boxes, count, sides, task.machine)
        figures = mean_over_classes(of_classes)
        return {f"val_{name}": value for name, value in figures.items()}

    return measured
