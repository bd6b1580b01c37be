"""The mask and the scores of one image, computed by a recipe's method in worker processes."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tags2masks.config.masks import Masks
from tags2masks.data.images import ImageFile, read_image
from tags2masks.methods import method_module

# An image's file, its maps, the ids of their classes, and its height and width.
Item = tuple[ImageFile, np.ndarray, list[int], tuple[int, int]]


@dataclass(frozen=True)
class Made:
    """A mask, uint8 [H, W]; further arrays of the image by kind (`store.KINDS`); attributes."""

    mask: np.ndarray
    further: dict[str, np.ndarray] = field(default_factory=dict)
    attributes: dict = field(default_factory=dict)


def mask_of(item: Item, recipe: dict, spec: Masks) -> Made:
    """The mask and what its method makes beside it.

    recipe, spec: those of the masks.
    """
    file, maps, class_ids, size = item
    method = method_module("masks", recipe)
    result = method.make_mask(_image(spec, file, size), maps, class_ids, spec)
    return result if isinstance(result, Made) else Made(result)


def scores_of(
    file: ImageFile, maps: np.ndarray, size: tuple[int, int], root: Path, recipe: dict, spec: Masks
) -> np.ndarray:
    """The scores behind the mask, float32 [K, H, W]; recipe, spec: those of the masks."""
    method = method_module("masks", recipe)
    return method.scores(_image(spec, file._replace(path=root / file.path), size), maps, spec)


def _image(spec: Masks, file: ImageFile, size: tuple[int, int]) -> np.ndarray:
    """The image, uint8 [H, W, 3]; for methods that do not use its pixels, an empty array."""
    return read_image(file, size) if spec.reads_images else np.empty((*size, 3), np.uint8)
