"""Training of detectors: from the training images and their boxes."""

from pathlib import Path

from torch import nn

from tags2masks.data.boxed import BoxedViews, Boxes, boxes_of
from tags2masks.detectors.detecting import detected
from tags2masks.errors import UserError
from tags2masks.metrics.box_ap import Truth, box_ap
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
    """COCO's AP of the boxes of val, every `validate_every` epochs: `val_ap`, `…50` and `…75`.

    Difficult boxes and crowds are ignored, in VOC's evaluation one detection each.
    """
    rows = task.rows("val")
    if not len(rows) or task.val_boxes is None:
        return lambda network, epoch: {}
    truth = [
        Truth(own.edges, own.classes, own.difficult)
        for own in _boxes(task, task.val_boxes, "val", True)
    ]

    def measured(network: nn.Module, epoch: int) -> dict[str, float]:
        if epoch % task.spec.validate_every and epoch != task.spec.epochs:
            return {}
        found = dict(detected(network, rows, task.root, task.spec, task.machine))
        pairs = ((truth[row], found[row]) for row in range(len(rows)))
        return {f"val_{name}": value for name, value in box_ap(pairs, len(task.classes)).items()}

    return measured


def _boxes(task: Task, table: Path | None, split: str, keep_difficult: bool) -> list[Boxes]:
    if table is None:
        raise UserError(f"{task.recipe['method']} learns from boxes; give their table as --boxes")
    return boxes_of(table, task.rows(split), task.classes, keep_difficult)
