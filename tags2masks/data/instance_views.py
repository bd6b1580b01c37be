"""Random views of images with the instances of an artifact, whole, resized by their short side."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tags2masks.data.boxed import fitted, read_resized, scaled
from tags2masks.data.boxes import Boxes
from tags2masks.data.masked import MaskedViews
from tags2masks.data.views import to_tensor
from tags2masks.instance_store import Instance, read_instances
from tags2masks.mask_ids import IGNORED


class InstanceViews(MaskedViews):
    """Random views of training images: (uint8 [3, h, w], boxes float32 [n, 4], classes int64 [n],
    masks uint8 [n, h, w]).

    A mask is 1 at the object's pixels, 0 where it is not, and 255 where it may be. The shards have
    instances, of their own or beside masks; `augment` is a `ShortSides`. Crowds are left out, as
    are instances without a box: those are background.
    """

    def instances(self, row: int) -> list[Instance]:
        """The instances of a row that are learned from."""
        return [
            each
            for each in read_instances(self._shard(row), self.images[row])
            if not each.crowd and each.box[2] >= each.box[0] and each.box[3] >= each.box[1]
        ]

    def _view(self, row: int, seeds: Sequence[int]) -> tuple[Tensor, ...]:
        rng, size = np.random.default_rng(seeds), self.sizes[row]
        wanted = fitted(size, int(rng.choice(self.augment.short_sides)), self.augment.longest)
        image = read_resized(self.paths[row], size, wanted)
        instances = self.instances(row)
        corners = np.array([each.box for each in instances], np.int64).reshape(-1, 4)
        classes = np.array([each.class_id for each in instances], np.int64)
        boxes = scaled(Boxes(corners, classes, np.zeros(len(classes), bool)).edges, size, wanted)
        masks = np.zeros((len(instances), *wanted), np.uint8)
        for mask, each in zip(masks, instances, strict=True):
            pixels = np.where(each.mask, np.uint8(1), np.uint8(IGNORED) * each.possible)
            drawn = Image.fromarray(pixels)
            mask[...] = np.asarray(drawn.resize(wanted[::-1], Image.Resampling.NEAREST))
        if rng.random() < self.augment.flip:
            image, masks = image[:, ::-1], masks[..., ::-1].copy()
            boxes[:, [0, 2]] = wanted[1] - boxes[:, [2, 0]]
        numbers = (boxes, classes, masks)
        return to_tensor(image), *map(torch.from_numpy, numbers)

    @staticmethod
    def collate(examples: Sequence[tuple[Tensor, ...]]) -> list[list[Tensor]]:
        """A batch: images, boxes, classes and masks, each a list, for images differ in size."""
        return [list(part) for part in zip(*examples, strict=True)]
