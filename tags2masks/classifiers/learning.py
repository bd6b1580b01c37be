"""Training of classifiers: from the training images and their tags."""

from torch import Tensor, nn

from tags2masks.classifiers.validation import plain_views, scores_of
from tags2masks.data.index import multi_hot
from tags2masks.data.pooled import PooledViews
from tags2masks.data.views import TaggedViews
from tags2masks.metrics.classification import average_precisions, mean_average_precision
from tags2masks.nets.checkpoint import save_model
from tags2masks.nets.trained import load_trained
from tags2masks.task import Task
from tags2masks.training import Measure


def views(task: Task) -> TaggedViews | PooledViews:
    """Random views: batches are (images, tags); with a frozen backbone (pooled features, tags).

    The module of a method may have its own `views`.
    """
    if own := getattr(task.method, "views", None):
        return own(task)
    train, spec = task.rows("train"), task.spec
    tags = multi_hot(train["tags"], task.classes)
    if spec.backbone.freeze:
        return PooledViews(train, tags, *task.upstream("features"), spec.augment.flip)
    return TaggedViews(train, task.root, tags, spec.augment, spec.backbone.mean)


def begin(task: Task, network: nn.Module, views: TaggedViews) -> None:
    """What the module of a method does before the training, if it has a `begin`."""
    if own := getattr(task.method, "begin", None):
        own(task, network, views)


def consulted(task: Task) -> nn.Module | None:
    """The ordinary classifier of methods that have one; with ORDINARY_LEARNS it is trained too.

    Methods with a `begin` use it there alone.
    """
    if not hasattr(task.spec, "ordinary") or hasattr(task.method, "begin"):
        return None
    return ordinary(task).requires_grad_(_learns(task))


def ordinary(task: Task) -> nn.Module:
    """The ordinary classifier, in evaluation mode and frozen."""
    (model,), _ = task.upstream("classifier")
    spec = model.with_name("spec.json")
    return load_trained("classifier", model, spec, task.recipe["upstream"])[0]


def measure(task: Task) -> Measure:
    """The mean average precision on the split val, `val_map`, every `validate_every` epochs.

    A frozen backbone sees val once.
    """
    plain = plain_views(task.rows("val"), task.root, task.classes, task.spec)
    kept: list[Tensor] = []

    def scores(network: nn.Module) -> Tensor:
        if not task.spec.backbone.freeze:
            return scores_of(network, plain, task.machine)
        if not kept:
            kept.append(scores_of(network.pooled, plain, task.machine))
        return network.of_pooled(kept[0].to(task.machine.device)).float().cpu()

    def measured(network: nn.Module, epoch: int) -> dict[str, float]:
        due = epoch % task.spec.validate_every == 0 or epoch == task.spec.epochs
        if not (due and len(plain)):
            return {}
        precisions = average_precisions(scores(network).numpy(), plain.targets.numpy())
        return {"val_map": mean_average_precision(precisions)}

    return measured


def finish(task: Task, network: nn.Module, second: nn.Module | None) -> None:
    """Write the ordinary classifier beside the model if it was trained too."""
    if _learns(task):
        save_model(second, task.model.with_name(task.spec.further_outputs["noc"]))


def _learns(task: Task) -> bool:
    return getattr(task.method, "ORDINARY_LEARNS", False)
