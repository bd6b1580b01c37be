"""Random views of training images with the labels of an artifact."""

from collections.abc import Callable

from tags2masks.data.masked import MaskedViews
from tags2masks.errors import UserError
from tags2masks.mask_ids import IGNORED
from tags2masks.store import Shard
from tags2masks.task import Task


def labelled_views(
    task: Task, stage: str, kind: Callable[..., MaskedViews] = MaskedViews
) -> MaskedViews:
    """Random views of the training images with the labels of the stage's upstream artifact.

    kind: makes the views. Raises UserError as `MaskedViews`, and if no pixel of any image has a
    label.
    """
    views = unchecked_views(task, stage, kind)
    if not _some_label(views):
        raise UserError(
            f"{views.files[0].parent}: every pixel of every image is ignored (255), so there is "
            "nothing to learn from; make the labels less strict, for example with a lower "
            "foreground_score or a higher background_score"
        )
    return views


def unchecked_views(
    task: Task, stage: str, kind: Callable[..., MaskedViews] = MaskedViews
) -> MaskedViews:
    """`labelled_views`, of which no pixel need have a label."""
    shards, artifact = task.upstream(stage)
    spec = task.spec
    return kind(task.rows("train"), task.root, shards, artifact, spec.augment, spec.backbone.mean)


def _some_label(views: MaskedViews) -> bool:
    """Whether any pixel of any image has a label; usually the first image is enough."""
    for number, file in enumerate(views.files):
        with Shard(file, views.masks_id, views.shas[number]) as shard:
            for row in views.masked:
                own = views.shard_of[row] == number
                if own and (shard.read(views.images[row])[0] != IGNORED).any():
                    return True
    return False
