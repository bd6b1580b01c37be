"""The true masks of labelled images, for segmenters that learn from them and from pseudo-masks."""

from tags2masks.data.labelled import TrueMasks, read_true_masks
from tags2masks.data.mixed import MixedViews
from tags2masks.data.readers import dataset_block, reader_module
from tags2masks.errors import UserError
from tags2masks.task import Task


def true_masks(task: Task) -> TrueMasks:
    """The task's masks of labelled images; raises UserError if it has none."""
    if task.labelled is None or task.mask_root is None:
        raise UserError(
            f"{task.recipe['method']} learns from true masks; give their table as --labelled and "
            "their folder as --mask-root"
        )
    spec = dataset_block(task.recipe["dataset"])
    table = reader_module(spec.kind).mask_table(spec, task.classes)
    return read_true_masks(task.labelled, task.mask_root, table)


def check_true_masks(views: MixedViews) -> None:
    """Raise UserError if every pixel of every true mask is ignored."""
    if not views.true_mask_known():
        raise UserError(
            "labelled: every pixel of every true mask is ignored (255), so there is nothing to "
            "learn from; choose other images"
        )
