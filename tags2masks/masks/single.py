"""The mask and the scores of one image, computed by a recipe's method in worker processes."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tags2masks.config.masks import Masks
from tags2masks.data.images import ImageFile, read_image
from tags2masks.methods import method_module


@dataclass(frozen=True)
class Item:
    """What an image's mask is made from.

    maps: float16 [K, h, w]; class_ids: of the K classes; size: (H, W); further: arguments that the
    method takes by name: `saliency`, and the further arrays of maps that it `needs`.
    """

    file: ImageFile
    maps: np.ndarray
    class_ids: list[int]
    size: tuple[int, int]
    further: dict[str, np.ndarray] = field(default_factory=dict)


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
    make_mask = method_module("masks", recipe).make_mask
    image = _image(spec, item.file, item.size)
    result = make_mask(image, item.maps, item.class_ids, spec, **item.further)
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
