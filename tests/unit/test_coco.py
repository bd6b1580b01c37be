"""The COCO reader on a small data set, and on real files."""

import copy
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from tags2masks.config.coco import Coco
from tags2masks.data import coco
from tags2masks.data.index import build_index
from tags2masks.data.truth import check_masks, read_mask
from tags2masks.errors import UserError
from tests.unit.splits import list_all
from tests.unit.tiny_coco import (
    TRAIN,
    VAL,
    block,
    edited,
    truth_of,
    write,
)

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "coco_train100"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "coco").mkdir()
    return write(tmp_path / "coco")


def test_tags_are_the_categories_of_the_annotations_crowds_too(folder):
    listing, classes = list_all(coco, block(folder), folder)
    assert classes == ["dog", "person", "traffic light"]
    # c.jpg shows nothing, and is left out.
    assert listing.to_numpy().tolist() == [
        ["b", "train/b.jpg", "train", ("person", "traffic light")],
        ["a", "train/a.jpg", "train", ("dog", "person")],
        ["v", "val/v.jpg", "val", ("dog", "traffic light")],
    ]


def test_chosen_classes_and_lists(folder):
    (folder / "some.txt").write_text("a\n\nc.jpg\n")
    spec = block(folder, classes=("person", "dog"), train_list="some.txt", val_annotations=None)
    listing, classes = list_all(coco, spec, folder)
    assert classes == ["person", "dog"]
    assert listing.to_numpy().tolist() == [["a", "train/a.jpg", "train", ("person", "dog")]]


def test_one_file_divided_by_lists(folder):
    (folder / "train.txt").write_text("a\n")
    (folder / "val.txt").write_text("b\n")
    spec = block(
        folder,
        val_annotations="annotations/train.json",
        val_images="train",
        train_list="train.txt",
        val_list="val.txt",
    )
    listing, _ = list_all(coco, spec, folder)
    assert listing[["image", "split"]].to_numpy().tolist() == [["a", "train"], ["b", "val"]]


def test_masks_by_hand(folder, tmp_path):
    masks, truth = truth_of(folder, tmp_path)
    assert masks["a"].tolist() == [
        [2, 2, 2, 2, 0, 0],
        [2, 1, 1, 2, 0, 0],
        [2, 1, 1, 2, 0, 0],
        [2, 2, 2, 2, 0, 0],
    ]
    assert masks["b"].tolist() == [
        [0, 0, 2, 0, 3, 3],
        [0, 0, 2, 0, 3, 3],
        [0, 0, 2, 0, 0, 0],
        [0, 0, 2, 0, 0, 0],
    ]
    assert masks["v"].tolist() == [[3, 0, 1], [0, 0, 1], [0, 0, 1]]
    assert truth["mask"].tolist() == ["truth/a.png", "truth/b.png", "truth/v.png"]
    assert Image.open(tmp_path / "truth/a.png").mode == "P"


def test_crowds_and_classes_not_chosen(folder, tmp_path):
    masks, _ = truth_of(folder, tmp_path, crowd="ignore")
    assert masks["b"][:, 2].tolist() == [255] * 4
    masks, _ = truth_of(folder, tmp_path, classes=("person", "dog"), others="ignore")
    assert masks["b"][0].tolist() == [0, 0, 1, 0, 255, 255]
    masks, _ = truth_of(folder, tmp_path, classes=("person", "dog"))
    assert masks["b"][0].tolist() == [0, 0, 1, 0, 0, 0]
    # What is in front and not chosen hides what is behind.
    masks, _ = truth_of(folder, tmp_path, classes=("person", "traffic light"))
    assert masks["a"][1].tolist() == [1, 0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        (7, "no polygon and no RLE"),
        ([[0, 0, 1, 1, 2]], "a polygon that is no flat list"),
        ([0, 0, 1, 1, 2, 0], "a polygon that is no flat list"),
        ([[0, 0, "x", 1, 2, 0]], "a polygon with something that is no number"),
        ([[0, 0, 1, float("nan"), 2, 0]], "a polygon far outside the image of 6 × 4 pixels"),
        ([[0, 0, 1e9, 1, 2, 0]], "a polygon far outside"),
        ({"counts": [24]}, "an RLE of size None, but the image has [4, 6]"),
        ({"size": [6, 4], "counts": [24]}, "an RLE of size [6, 4]"),
        ({"size": [4, 6], "counts": [3, 2]}, "an RLE of 5 pixels, but the image has 24"),
        ({"size": [4, 6], "counts": [-3, 27]}, "an RLE whose counts are no numbers from 0"),
        ({"size": [4, 6], "counts": 24}, "an RLE whose counts are no numbers from 0"),
        ({"size": [4, 6], "counts": "a b"}, "an RLE with the character ' '"),
        ({"size": [4, 6], "counts": "h"}, "an RLE that ends within a number"),
        ({"size": [4, 6], "counts": "8"}, "an RLE of 8 pixels, but the image has 24"),
    ],
)
def test_a_damaged_region_is_refused(folder, tmp_path, segmentation, said):
    harmed = copy.deepcopy(TRAIN)
    harmed["annotations"][0]["segmentation"] = segmentation
    write(folder, train=harmed)
    line = f"{folder}/annotations/train.json: annotation 10 of image 'train/a.jpg': {said}"
    with pytest.raises(UserError, match=f"^{re.escape(line)}"):
        truth_of(folder, tmp_path)
    assert not (tmp_path / "truth").exists()


def test_without_some_regions_there_are_some_masks(folder, tmp_path):
    given = copy.deepcopy(TRAIN)
    del given["annotations"][0]["segmentation"]
    write(folder, train=given)
    spec = block(folder)
    listing, classes = list_all(coco, spec, folder)
    index = build_index(listing, folder, classes, 1, 1)
    found = coco.list_masks(spec, tmp_path, index, 0, "some").set_index("image")
    assert found["mask"].to_dict() == {"a": "", "b": "some/b.png", "v": "some/v.png"}
    lacks = f"the segmentation of annotation 10 in {folder}/annotations/train.json"
    assert found["lacks"].to_dict() == {"a": lacks, "b": "", "v": ""}
    assert sorted(path.name for path in (tmp_path / "some").iterdir()) == ["b.png", "v.png"]


@pytest.mark.parametrize("regions", [[None, None], [[], None], [[], []], ["absent", "absent"]])
def test_a_file_of_boxes_alone_has_no_truth(folder, regions):
    assert block(folder).has_truth
    for split, content, region in zip(("train", "val"), (TRAIN, VAL), regions, strict=True):
        bare = copy.deepcopy(content)
        for one in bare["annotations"]:
            del one["segmentation"]
            one["bbox"] = [0, 0, 1, 1]
            if region != "absent":
                one["segmentation"] = region
        (folder / f"annotations/{split}.json").write_text(json.dumps(bare, indent=1))
    assert not block(folder).has_truth
    listing, _ = list_all(coco, block(folder), folder)
    assert len(listing) == 3 and len(boxes_of(folder)) == 6


@pytest.mark.parametrize(
    "text",
    [
        '{"segmentation": [[1, 2]]}',
        '{"segmentation":{"counts": [1]}}',
        '{"segmentation" :\n [\n 1]}',
    ],
)
def test_one_region_is_enough_for_truth(folder, text):
    (folder / "annotations/train.json").write_text("")
    (folder / "annotations/val.json").write_text(text)
    assert block(folder).has_truth
    assert not block(folder, val_annotations=None).has_truth


def test_files_that_are_not_there_count_as_published(tmp_path):
    assert block(tmp_path).has_truth


def boxes_of(root, **options):
    spec = block(root, **options)
    listing, classes = list_all(coco, spec, root)
    return coco.list_boxes(spec, root, build_index(listing, root, classes, 1, 1), classes)


def test_boxes_take_in_every_pixel_that_they_touch_and_crowds_are_difficult(folder):
    given = copy.deepcopy(TRAIN)
    boxes = [[1, 1, 2, 2], [0, 0, 4, 4], [2.0, 0, 1, 4.2], [3.9, -0.3, 2.1, 2.3]]
    for one, bbox in zip(given["annotations"], boxes, strict=True):
        one["bbox"] = bbox
    write(folder, train=given)
    found = boxes_of(folder).to_numpy().tolist()
    assert found == [
        ["a", "dog", 1, 1, 2, 2, False],
        ["a", "person", 0, 0, 3, 3, False],
        ["b", "person", 2, 0, 2, 3, True],
        ["b", "traffic light", 3, 0, 5, 1, False],
        # Without bbox, the extents of the regions.
        ["v", "traffic light", 0, 0, 0, 0, False],
        ["v", "dog", 2, 0, 2, 2, False],
    ]
    chosen = boxes_of(folder, classes=("dog",))
    assert chosen[["image", "class"]].to_numpy().tolist() == [["a", "dog"], ["v", "dog"]]


@pytest.mark.parametrize(
    ("bbox", "said"),
    [
        ([1, 1, 0, 2], "the box from 1,1 to 0,2 has no area"),
        ([1, 1, -2, 2], "the box from 1,1 to -2,2 has no area"),
        (
            [4, 1, 4, 2],
            "the box from 4,1 to 7,2 leaves the image, whose last pixel is 5,3",
        ),
        ([-2, 1, 4, 2], "the box from -2,1 to 1,2 leaves the image"),
        ([1, 1, 2], "a bbox is x, y, width and height, but this is [1, 1, 2]"),
        ([1, 1, 2, "b"], "a bbox is x, y, width and height, but this is [1, 1, 2, 'b']"),
        ([1, 1, 2, float("nan")], "a bbox is x, y, width and height, but this is [1, 1, 2, nan]"),
        (7, "a bbox is x, y, width and height, but this is 7"),
        ([10**400, 1, 2, 2], f"a bbox is x, y, width and height, but this is [1{'0' * 38};"),
    ],
)
def test_boxes_that_cannot_be_are_refused(folder, bbox, said):
    harmed = copy.deepcopy(TRAIN)
    harmed["annotations"][1]["bbox"] = bbox
    write(folder, train=harmed)
    line = f"{folder}/annotations/train.json: annotation 11 of image 'train/a.jpg': {said}"
    with pytest.raises(UserError, match=f"^{re.escape(line)}"):
        boxes_of(folder)


def test_a_wrong_size_is_refused(folder, tmp_path):
    Image.new("RGB", (4, 6)).save(folder / "train/a.jpg")
    with pytest.raises(UserError, match=r"'train/a\.jpg' is given as 6 × 4 pixels, but it has 4 ×"):
        truth_of(folder, tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no whole JSON (Expecting value"),
        (json.dumps(TRAIN)[:-100], "no whole JSON ("),
        ("[" * 100_000, "no whole JSON ("),
        ("[]", "no list 'images'; expected a file of instances, with images, categories, anno"),
        (json.dumps({"images": [], "annotations": []}), "no list 'categories'; expected"),
        (edited(("annotations", 1, "category_id"), 8), "annotation 11: unknown category 8"),
        (edited(("annotations", 1, "image_id"), 99), "annotation 11: no image 99"),
        (edited(("annotations", 1, "image_id"), "1"), "annotations, entry 1: image_id is '1'"),
        (edited(("images", 1, "height"), None), "images, entry 1: height is None"),
        (edited(("images", 1, "id"), 2), "images: id 2 is there twice"),
        (edited(("images", 1, "file_name"), "../a.jpg"), "image '../a.jpg' may lie outside "),
        (edited(("categories", 1, "name"), "dog"), "categories: name 'dog' is there twice"),
        (edited(("categories", 1, "name"), "mean"), "'mean' cannot be a class; set classes"),
        (edited(("categories", 1, "name"), "a;b"), "'a;b' cannot be a class"),
    ],
)
def test_a_damaged_file_is_refused(folder, text, said):
    path = folder / "annotations/train.json"
    path.write_text(text)
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}: {said}')}"):
        list_all(coco, block(folder), folder)


def test_unknown_classes_and_names(folder):
    with pytest.raises(UserError, match=r"train\.json: no category 'dgo'; did you mean 'dog'\?"):
        list_all(coco, block(folder, classes=("dgo",)), folder)
    val = copy.deepcopy(VAL) | {"annotations": []}
    val["categories"][0]["name"] = "lamp"
    write(folder, val=val)
    with pytest.raises(UserError, match=r"val\.json: no category 'traffic light', but train has"):
        list_all(coco, block(folder), folder)
    write(folder)
    (folder / "some.txt").write_text("a\nd\n")
    with pytest.raises(UserError, match=r"some\.txt, line 2: no image 'd' in the annotations"):
        list_all(coco, block(folder, train_list="some.txt"), folder)
    with pytest.raises(UserError, match=r"no\.txt: cannot be read \(No such file"):
        list_all(coco, block(folder, train_list="no.txt"), folder)
    with pytest.raises(UserError, match=r"no\.json: cannot be read \(No such file"):
        list_all(coco, block(folder, train_annotations="no.json"), folder)


def test_absent_images_are_named(folder):
    (folder / "train/a.jpg").unlink()
    (folder / "train/c.jpg").unlink()  # shows no class, and is not asked for
    with pytest.raises(UserError, match=r"train/a\.jpg: no such image, but .*train\.json names it"):
        list_all(coco, block(folder), folder)


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real data is absent: no folder {REAL}")
def test_real_images(tmp_path):
    """All masks as they come from the smallest object to the largest, each where nothing is yet."""
    spec = Coco(
        root=str(REAL),
        train_annotations="annotations/instances.json",
        val_annotations=None,
        train_images="images",
    )
    raw = json.loads((REAL / "annotations/instances.json").read_text())
    names = {one["id"]: one["name"] for one in raw["categories"]}
    shown = {names[one["category_id"]] for one in raw["annotations"]}
    classes = tuple(name for name in names.values() if name in shown)
    assert len(classes) == 69
    spec = spec.model_copy(update={"classes": classes})
    listing, _ = list_all(coco, spec, REAL)
    assert len(listing) == 98
    assert sum(map(len, listing["tags"])) == len(
        {(one["image_id"], one["category_id"]) for one in raw["annotations"]}
    )
    index = build_index(listing, REAL, classes, 1, 2)
    truth = coco.list_masks(spec, tmp_path, index)
    table = coco.mask_table(spec, classes)
    check_masks(truth, index, tmp_path, table, classes, 2)
    assert len(coco.list_boxes(spec, REAL, index, classes)) == len(raw["annotations"]) == 746
    objects = {Path(one["file_name"]).stem: [] for one in raw["images"]}
    stems = {one["id"]: Path(one["file_name"]).stem for one in raw["images"]}
    for one in raw["annotations"]:
        objects[stems[one["image_id"]]].append(one)
    for row, size in zip(
        truth.itertuples(), index[["height", "width"]].to_numpy().tolist(), strict=True
    ):
        parts = [
            (
                coco_mask.decode(
                    coco_mask.merge(coco_mask.frPyObjects(one["segmentation"], *size))
                ),
                classes.index(names[one["category_id"]]) + 1,
                one["area"],
            )
            for one in objects[row.image]
        ]
        for region, _, area in parts:
            assert abs(region.sum() - area) < 30 + 0.05 * area
        expected = np.zeros(size, np.uint8)
        for region, number, _ in sorted(parts, key=lambda part: part[0].sum()):
            expected[(expected == 0) & (region == 1)] = number
        np.testing.assert_array_equal(read_mask(tmp_path / row.mask, table, size), expected)
