"""Training of saliency networks: from images, and what a method's upstream has of them."""

import numpy as np
from torch import Tensor, nn
from torch.utils.data import Dataset

from tags2masks.data.images import read_image
from tags2masks.data.index import files_of, sizes_of
from tags2masks.data.views import Draw, random_view, to_tensor
from tags2masks.task import Task, further_views


class ImageViews(Dataset):
    """Random views of the training images alone: (uint8 [3, S, S],)."""

    def __init__(self, task: Task):
        rows, spec = task.rows("train"), task.spec
        self.paths, self.sizes = files_of(rows, task.root), sizes_of(rows)
        self.augment, self.fill = spec.augment, spec.backbone.mean

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, draw: Draw) -> tuple[Tensor]:
        row, *seeds = draw
        image = read_image(self.paths[row], self.sizes[row])
        view, _ = random_view(image, None, self.augment, self.fill, np.random.default_rng(seeds))
        return (to_tensor(view),)


def views(task: Task) -> Dataset:
    """Random views: batches are (images,), unless the method's module has its own `views`."""
    own = getattr(task.method, "views", None)
    return own(task) if own else ImageViews(task)


def finish(task: Task, network: nn.Module, second: None) -> None:
    """Call the method's `settle`, if it has one, with another view of each training image."""
    if hasattr(task.method, "settle"):
        batches = further_views(task, views(task), "object or background")
        task.method.settle(network, (images for (images,) in batches), task.spec)
