"""A small data set in COCO's format, with masks counted by hand."""

import copy
import json

from PIL import Image

from tags2masks.config.coco import Coco
from tags2masks.data import coco
from tags2masks.data.index import build_index
from tags2masks.data.truth import check_masks, read_mask
from tests.unit.splits import list_all

CATEGORIES = [
    {"id": 7, "name": "dog"},
    {"id": 1, "name": "person"},
    {"id": 90, "name": "traffic light"},
]


def square(x1, y1, x2, y2):
    """A polygon whose pixels are x1 to x2 and y1 to y2."""
    return [[x1, y1, x2 + 1, y1, x2 + 1, y2 + 1, x1, y2 + 1]]


def thing(number, image, category, segmentation, crowd=0):
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "segmentation": segmentation,
        "iscrowd": crowd,
    }


# 6 wide, 4 high, down the columns: 8 background, column 2 whole, the rest background.
CROWD = {"size": [4, 6], "counts": [8, 4, 12]}
TRAIN = {
    "images": [
        {"id": 2, "file_name": "b.jpg", "width": 6, "height": 4},
        {"id": 1, "file_name": "a.jpg", "width": 6, "height": 4},
        {"id": 3, "file_name": "c.jpg", "width": 6, "height": 4},
    ],
    "categories": CATEGORIES,
    "annotations": [
        # In a.jpg a small dog before a large person, listed first and so hidden if drawn in order.
        thing(10, 1, 7, square(1, 1, 2, 2)),
        thing(11, 1, 1, square(0, 0, 3, 3)),
        thing(12, 2, 1, CROWD, crowd=1),
        thing(13, 2, 90, square(4, 0, 5, 1)),
    ],
}
VAL = {
    "images": [{"id": 1, "file_name": "v.jpg", "width": 3, "height": 3}],
    "categories": [{"id": 5, "name": "traffic light"}, *CATEGORIES[:2]],
    "annotations": [thing(1, 1, 5, square(0, 0, 0, 0)), thing(2, 1, 7, square(2, 0, 2, 2))],
}


def write(folder, train=TRAIN, val=VAL):
    """The folder of a data set in COCO's form."""
    (folder / "annotations").mkdir(exist_ok=True)
    for split, content in (("train", train), ("val", val)):
        (folder / split).mkdir(exist_ok=True)
        (folder / f"annotations/{split}.json").write_text(json.dumps(content))
        for one in (TRAIN if split == "train" else VAL)["images"]:
            size = (one["width"], one["height"])
            Image.new("RGB", size).save(folder / split / one["file_name"])
    return folder


def block(root, **options):
    places = {
        "train_annotations": "annotations/train.json",
        "val_annotations": "annotations/val.json",
        "train_images": "train",
        "val_images": "val",
    }
    return Coco(root=str(root), **(places | options))


def truth_of(root, out, **options):
    """The masks by image, and the table."""
    spec = block(root, **options)
    listing, classes = list_all(coco, spec, root)
    index = build_index(listing, root, classes, 1, 1)
    truth = coco.list_masks(spec, out, index)
    table = coco.mask_table(spec, classes)
    check_masks(truth, index, out, table, classes, 1)
    sizes = index.set_index("image")[["height", "width"]]
    masks = {
        row.image: read_mask(out / row.mask, table, tuple(sizes.loc[row.image]))
        for row in truth.itertuples()
    }
    return masks, truth.set_index("image")


def edited(place, value):
    """TRAIN with the value at the place (key, entry, field)."""
    content = copy.deepcopy(TRAIN)
    key, entry, field = place
    content[key][entry][field] = value
    return json.dumps(content)
