"""Training of detectors: from the training images and their boxes."""

from tags2masks.data.boxed import BoxedViews
from tags2masks.data.boxes import boxes_of
from tags2masks.detectors.detecting import measure_boxes
from tags2masks.errors import UserError
from tags2masks.task import Task
from tags2masks.training import Measure


def views(task: Task) -> BoxedViews:
    """Random views: batches are (images, boxes, classes). Images without a box are background.

    Raises UserError if no training image has a box to learn from.
    """
    rows = task.rows("train")
    if task.boxes is None:
        raise UserError(f"{task.recipe['method']} learns from boxes; give their table as --boxes")
    boxes = boxes_of(task.boxes, rows, task.classes, task.spec.difficult == "keep")
    if not any(len(own.classes) for own in boxes):
        raise UserError(
            f"{task.boxes}: no training image has a box to learn from"
            + ("; set difficult: keep" if task.spec.difficult == "leave_out" else "; add some")
        )
    return BoxedViews(rows, task.root, boxes, task.spec.augment)


def measure(task: Task) -> Measure:
    """COCO's AP of the boxes of val, as `measure_boxes` has it."""
    return measure_boxes(task, (task.spec.test_short_side, task.spec.augment.longest))
