"""The kinds of data sets: where the images are, which classes count, what evaluation may read.

A kind is a block, registered in `KINDS`, and a reader `data/<kind>.py`.
"""

import operator
from functools import reduce
from typing import Annotated

from pydantic import Field

from tags2masks.config.coco import Coco
from tags2masks.config.dataset_base import Dataset
from tags2masks.config.digits import Digits, Mnist
from tags2masks.config.folders import Folder, Tiled
from tags2masks.config.pools import OpenImages, Untagged
from tags2masks.config.voc import Voc

KINDS: dict[str, type[Dataset]] = {
    "coco": Coco,
    "digits": Digits,
    "folder": Folder,
    "mnist": Mnist,
    "openimages": OpenImages,
    "tiled": Tiled,
    "untagged": Untagged,
    "voc": Voc,
}

DatasetSpec = Annotated[reduce(operator.or_, KINDS.values()), Field(discriminator="kind")]
