"""Maps of classes that images are not tagged with: what a classifier takes for another class.

Source: Chen & Sun, "Extracting Class Activation Maps from Non-Discriminative Features as well"
(CVPR 2023), figure 1: on an image of a bus, CAMs by the weights of "bus", "car" and "train". Any
map method that needs a classifier and no masks gives such maps: it is told further tags.
"""

from collections.abc import Sequence

import pandas as pd

from tags2masks.config.analyses import Untagged
from tags2masks.config.mistakes import choices
from tags2masks.data.index import spaced
from tags2masks.errors import UserError

WHERE = "evaluation.untagged"


def further_tagged(train: pd.DataFrame, classes: Sequence[str], spec: Untagged) -> pd.DataFrame:
    """The rows of the images, whose `tags` are their own and the classes of `spec`.

    train: the training images, with columns image and tags. Raises UserError for a class or an
    image that is none of the data set, and if no image can be chosen.
    """
    wanted = [("classes", name) for name in spec.classes]
    wanted += [("tagged", spec.tagged)] if spec.tagged is not None else []
    for key, name in wanted:
        if name not in classes:
            raise UserError(f"{WHERE}.{key}: no class '{name}'; {choices(name, classes)}")
    rows = train[train["image"].isin(_images(train, spec))]
    tags = [tuple(dict.fromkeys((*own, *spec.classes))) for own in rows["tags"]]
    return rows.assign(tags=pd.Series(tags, rows.index, dtype=object))


def _images(train: pd.DataFrame, spec: Untagged) -> list[str]:
    if not isinstance(spec.images, int):
        for name in set(spec.images) - set(train["image"]):
            raise UserError(
                f"{WHERE}.images: no training image '{name}'; write names of train.csv, or a number"
            )
        return list(spec.images)
    asked = set(spec.classes)
    fit = [
        image
        for image, tags in zip(train["image"], train["tags"], strict=True)
        if tags and not asked & set(tags) and (spec.tagged is None or spec.tagged in tags)
    ]
    if not fit:
        of = f"with the tag '{spec.tagged}' and " if spec.tagged else "with a tag and "
        raise UserError(f"{WHERE}: no training image {of}without {', '.join(spec.classes)}")
    return spaced(fit, spec.images)
