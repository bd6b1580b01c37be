"""Training of affinity networks: from the training images and their certain labels."""

from torch import nn
from torch.utils.data import DataLoader

from tags2masks.data.masked import MaskedViews, ProbabilityViews
from tags2masks.labels import labelled_views
from tags2masks.progress import progress
from tags2masks.task import Task
from tags2masks.training import epoch_batches


def views(task: Task) -> MaskedViews:
    """Random views: batches are (images, labels), or with `cell_labels: mean` probabilities.

    Raises UserError as `labelled_views` does.
    """
    by_mean = getattr(task.spec, "cell_labels", None) == "mean"
    return labelled_views(task, "labels", ProbabilityViews if by_mean else MaskedViews)


def finish(task: Task, network: nn.Module, second: None) -> None:
    """Call the method's `centre`, if it has one, with another view of each training image."""
    if not hasattr(task.method, "centre"):
        return
    machine, spec, seen = task.machine, task.spec, views(task)
    # The views of the epoch after the last one.
    draws = epoch_batches(len(seen), spec.batch_size, task.recipe["seed"], spec.epochs, 0, 1)
    loader = DataLoader(seen, batch_sampler=draws, num_workers=machine.loaders)
    bar = progress(loader, "mean displacement", unit="batch")
    task.method.centre(network, (images.to(machine.device) for images, _ in bar))
