"""Which module reads a data set, and its config block put together again from a recipe.

Every reader has the same functions:

list_classes(spec, root) -> list of names, in the order of our ids
list_images(spec, root, split, classes, seed) -> DataFrame[image, path, split, tags]: the images of
    one split; tags are tuples, some of the classes
list_boxes(spec, root, index, classes, seed) -> DataFrame[image, class, x1, y1, x2, y2, difficult]:
    see `data.boxes`; index: the images of train or val. Called where the block `offers_boxes`.
list_masks(spec, root, index, seed, folder) -> DataFrame[image, mask, instances, lacks]: the masks
    of the index's images, relative to root; drawn into root/folder where the block `makes_masks`.
    Of an image without a mask both are empty, and `lacks` says what would have to be there.
mask_table(spec, classes) -> uint8 [256]: from the ids in the mask files to ours, see `data.truth`
A reader may also have
measured_images(spec, root, index) -> DataFrame: the rows of the index whose masks are measured.
list_warnings(spec) -> list of `Warned`: what is odd about the data set's files.

`root` is the folder that the paths are relative to. Only digits make use of the seed.
"""

from importlib import import_module
from types import ModuleType

from pydantic import TypeAdapter, ValidationError

from tags2masks.config.datasets import KINDS, Dataset, DatasetSpec
from tags2masks.errors import UserError


def reader_module(kind: str) -> ModuleType:
    """The reader of a kind of data set, imported by its name so that no other's is."""
    return import_module(f"tags2masks.data.{kind}")


def dataset_block(values: dict, free: dict | None = None) -> Dataset:
    """The config block behind a recipe's `dataset` values.

    free: the fields that are in no recipe, as programs get them; places left out are empty.
    Raises UserError when the values are not a data set's.
    """
    kind = KINDS.get(values.get("kind"), Dataset)
    empty = {name: "" for name, info in kind.model_fields.items() if info.is_required()}
    try:
        return TypeAdapter(DatasetSpec).validate_python(empty | values | (free or {}))
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in ("dataset", *problem["loc"]))
        raise UserError(f"recipe: {key}: {problem['msg']}; take it from the config") from None
