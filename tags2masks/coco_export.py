"""Instances for other programs: in COCO's format, and as pictures of their numbers."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from pycocotools import mask as coco_mask

from tags2masks.instance_store import Instance

MOST = 254
"""Instances in a picture: 255 stands for ignored pixels."""


def annotated(
    rows: pd.DataFrame, classes: Sequence[str], found: Iterable[tuple[str, Sequence[Instance]]]
) -> dict:
    """A file in COCO's format: the images of rows, the classes, and the instances found.

    Images are numbered from 1 as in rows, classes from 1, as in masks. Of an annotation bbox is x,
    y, width and height of the instance's box, segmentation its compressed RLE, score 0 to 1.
    """
    numbers = {image: number for number, image in enumerate(rows["image"], start=1)}
    annotations = [
        {
            "image_id": numbers[image],
            "category_id": each.class_id,
            "segmentation": each.code | {"counts": each.code["counts"].decode()},
            "bbox": [x1, y1, x2 - x1 + 1, y2 - y1 + 1],
            "area": int(coco_mask.area(each.code)),
            "iscrowd": int(each.crowd),
            "score": each.score,
        }
        for image, instances in found
        for each in instances
        for x1, y1, x2, y2 in [each.box]
    ]
    return {
        "images": [
            {
                "id": numbers[row["image"]],
                "file_name": row["path"],
                "width": int(row["width"]),
                "height": int(row["height"]),
            }
            for row in rows.to_dict("records")
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes, 1)],
        "annotations": [{"id": number} | each for number, each in enumerate(annotations, start=1)],
    }


def instance_picture(instances: Sequence[Instance], size: tuple[int, int]) -> np.ndarray:
    """The number of the instance at each pixel, from 1 in order: uint8 [H, W], 0 for none.

    Of several at a pixel it is the one with the highest score, of equal ones the smallest. Of more
    than 254 those with the lowest scores are left out.
    """
    picture = np.zeros(size, np.uint8)
    numbered = sorted(
        enumerate(instances, start=1),
        key=lambda pair: (-pair[1].score, int(coco_mask.area(pair[1].code))),
    )
    kept = sorted(number for number, _ in numbered[:MOST])
    new = {number: place for place, number in enumerate(kept, start=1)}
    for number, each in reversed(numbered[:MOST]):
        picture[each.mask] = new[number]
    return picture
