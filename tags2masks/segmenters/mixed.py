"""DeepLabV3+ on true masks and pseudo-masks: half of a batch each, in one cross entropy.

The simplest way to use a few true masks beside tags (Lee's thesis, section 3.3.3, compares methods
for this task). A labelled image's true mask replaces its pseudo-mask. The mean is over all pixels
that are not ignored, whichever half they are from.
"""

from functools import partial

from tags2masks.data.mixed import MixedViews
from tags2masks.errors import UserError
from tags2masks.labels import labelled_views
from tags2masks.segmenters.encoder_deeplab import build
from tags2masks.segmenters.learning import step
from tags2masks.segmenters.true_masks import check_true_masks, true_masks
from tags2masks.task import Task

__all__ = ["build", "step", "views"]


def views(task: Task) -> MixedViews:
    """Random views: batches are (images, labels), every second one of a labelled image.

    Raises UserError if either half has nothing to learn from.
    """
    mixed = labelled_views(task, "masks", partial(_views, true_masks(task)))
    check_true_masks(mixed)
    return mixed


def _views(*args) -> MixedViews:
    mixed = MixedViews(*args)
    if not mixed.masked:
        raise UserError(
            f"{mixed.files[0].parent}: it has masks of labelled images alone, and mixed learns "
            "from the other images' pseudo-masks; let it follow masks that are made from maps"
        )
    return mixed
