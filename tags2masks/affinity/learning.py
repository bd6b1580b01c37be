"""Training of affinity networks: from the training images and their certain labels."""

from torch import nn

from tags2masks.data.masked import MaskedViews, ProbabilityViews
from tags2masks.labels import labelled_views
from tags2masks.task import Task, further_views


def views(task: Task) -> MaskedViews:
    """Random views: batches are (images, labels), or with `cell_labels: mean` probabilities.

    Raises UserError as `labelled_views` does.
    """
    by_mean = getattr(task.spec, "cell_labels", None) == "mean"
    return labelled_views(task, "labels", ProbabilityViews if by_mean else MaskedViews)


def finish(task: Task, network: nn.Module, second: None) -> None:
    """Call the method's `centre`, if it has one, with another view of each training image."""
    if hasattr(task.method, "centre"):
        batches = further_views(task, views(task), "mean displacement")
        task.method.centre(network, (images for images, _ in batches))
