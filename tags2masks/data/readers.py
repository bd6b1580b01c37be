"""The reader module of a data set, and its config block restored from a recipe.

Every reader has these functions:

list_classes(spec, root) -> list of names, in the order of our ids
list_images(spec, root, split, classes, seed) -> DataFrame[image, path, split, tags]: the images of
    one split; tags are tuples of class names. Kinds without tags are asked for split ood alone, and
    have no function but these two.
list_boxes(spec, root, index, classes, seed) -> DataFrame[image, class, x1, y1, x2, y2, difficult]:
    see `data.boxes`; index: the images of train or val. Called where the block `offers_boxes`.
list_masks(spec, root, index, seed, folder) -> DataFrame[image, mask, instances, lacks]: the masks
    of the index's images, relative to root; drawn into root/folder if the block `makes_masks`.
    For an image without a mask both are empty, and `lacks` names the missing file or entry.
mask_table(spec, classes) -> uint8 [256]: from the ids in the mask files to ours, see `data.truth`
true_instances(spec, root, truth, index, classes, seed) -> iterator of a list of `Instance` for each
    row of truth, some rows of truth.csv, or of None where an image's are not known; index: the
    index's rows of the same images. Called where the block `has_instances`.
A reader may also have
measured_images(spec, root, index) -> DataFrame: the rows of the index whose masks are measured.
list_warnings(spec) -> list of `Warned`: problems of the data set's files that do not stop a run.

`root` is the folder that paths are relative to. Only `digits` uses the seed.
"""

from importlib import import_module
from types import ModuleType

from pydantic import TypeAdapter, ValidationError

from tags2masks.config.dataset_base import Dataset
from tags2masks.config.datasets import KINDS, DatasetSpec
from tags2masks.errors import UserError


def reader_module(kind: str) -> ModuleType:
    """The reader of a kind of data set, imported by name so that no other reader is."""
    return import_module(f"tags2masks.data.{kind}")


def dataset_block(values: dict, free: dict | None = None) -> Dataset:
    """The config block of a recipe's `dataset` values.

    free: the fields that are not in recipes; paths that are missing there are empty.
    Raises UserError for invalid values.
    """
    kind = KINDS.get(values.get("kind"), Dataset)
    empty = {name: "" for name, info in kind.model_fields.items() if info.is_required()}
    try:
        return TypeAdapter(DatasetSpec).validate_python(empty | values | (free or {}))
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in ("dataset", *problem["loc"]))
        raise UserError(f"recipe: {key}: {problem['msg']}; take it from the config") from None
