"""Training of detectors: from the training images and their boxes."""

from pathlib import Path

from torch import nn

from tags2masks.data.boxed import BoxedViews
from tags2masks.data.boxes import Boxes, boxes_of
from tags2masks.detectors.detecting import average_precisions
from tags2masks.errors import UserError
from tags2masks.metrics.box_ap import mean_over_classes
from tags2masks.task import Task
from tags2masks.training import Measure


def views(task: Task) -> BoxedViews:
    """Random views: batches are (images, boxes, classes). Images without a box are background.

    Raises UserError if no training image has a box to learn from.
    """
    rows = task.rows("train")
    boxes = _boxes(task, task.boxes, "train", task.spec.difficult == "keep")
    if not any(len(own.classes) for own in boxes):
        raise UserError(
            f"{task.boxes}: no training image has a box to learn from"
            + ("; set difficult: keep" if task.spec.difficult == "leave_out" else "; add some")
        )
    return BoxedViews(rows, task.root, boxes, task.spec.augment)


def measure(task: Task) -> Measure:
    """COCO's AP of the boxes of val, every `validate_every` epochs: `val_ap`, `…50` and `…75`."""
    rows = task.rows("val")
    if not len(rows) or task.val_boxes is None:
        return lambda network, epoch: {}
    boxes, count = _boxes(task, task.val_boxes, "val", True), len(task.classes)

    def measured(network: nn.Module, epoch: int) -> dict[str, float]:
        if epoch % task.spec.validate_every and epoch != task.spec.epochs:
            return {}
        of_classes = average_precisions(
            network, rows, task.root, boxes, count, task.spec, task.machine
        )
        figures = mean_over_classes(of_classes)
        return {f"val_{name}": value for name, value in figures.items()}

    return measured


def _boxes(task: Task, table: Path | None, split: str, keep_difficult: bool) -> list[Boxes]:
    if table is None:
        raise UserError(f"{task.recipe['method']} learns from boxes; give their table as --boxes")
    return boxes_of(table, task.rows(split), task.classes, keep_difficult)
