"""`tags2masks import`: what each format becomes."""

import base64
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from tags2masks.checking.dataset import check_dataset
from tags2masks.coco_export import annotated
from tags2masks.config.folders import Folder
from tags2masks.errors import UserError
from tags2masks.importing.brush import decode_brush
from tags2masks.importing.formats import FORMATS, reader_of
from tags2masks.importing.items import NO_IMAGE, Options
from tags2masks.importing.writing import Division, write_dataset
from tags2masks.instance_store import instance
from tests.unit.import_source import SIZE, imported, photo, reasons, table, write


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    """Work in an empty folder with an empty source."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()


def mask(name):
    return np.asarray(Image.open(f"out/masks/{name}.png")).tolist()


def drawn(*rows):
    return [[int(cell) for cell in row] for row in rows]


EMPTY = ("00000000",) * 6


def test_every_format_has_a_reader_and_a_test():
    mine = Path(__file__).read_text(encoding="utf-8")
    for kind in FORMATS:
        assert callable(reader_of(kind))
        assert f'imported("{kind}"' in mine, kind


def test_folders_of_classes_and_of_splits():
    for name in ("train/cat/0.jpg", "train/dog/1.png", "valid/cat/2.jpg", "test/dog/3.jpg"):
        photo(name)
    photo("train/none/4.jpg")
    photo("train/5.jpg")
    write("train/cat/notes.txt", "no image")
    result = imported("folders")
    assert table() == [
        ("train/cat/0.jpg", "cat", "train"),
        ("train/dog/1.png", "dog", "train"),
        ("train/none/4.jpg", "", "train"),
        ("valid/cat/2.jpg", "cat", "val"),
    ]
    assert reasons(result) == [
        ("train/5.jpg", "in no folder of a class; move it into one"),
        ("test/dog/3.jpg", "of split test; give --val to divide anew"),
    ]
    assert table("dropped.csv") == reasons(result)
    assert yaml.safe_load(Path("out/dataset.yaml").read_text()) == {
        "kind": "folder", "images": "in", "tags": "out/tags.csv", "classes": ["cat", "dog"],
    }  # fmt: skip
    assert (result.images, result.tagged) == ({"train": 3, "val": 1}, {"cat": 2, "dog": 1})


def test_a_test_split_is_val_where_there_is_no_other():
    for name in ("train/cat/0.jpg", "test/cat/1.jpg"):
        photo(name)
    assert imported("folders").images == {"train": 1, "val": 1}


def test_a_one_hot_table():
    for name in ("a.jpg", "sub/b.png", "c.jpg"):
        photo(name)
    write(
        "labels.csv",
        "filename,dog,cat,score,split\na.jpg,1,0,.5,train\nsub/b,1.0,True,.2,val\nc.jpg,,0,.1,"
        "train\ngone.jpg,1,0,.3,train\n",
    )
    result = imported("one-hot", "in/labels.csv")
    assert table() == [
        ("a.jpg", "dog", "train"), ("sub/b.png", "dog;cat", "val"), ("c.jpg", "", "train"),
    ]  # fmt: skip
    assert reasons(result) == [
        ("in/labels.csv", "column 'score' is no class: it has '.5', not 0 and 1 alone"),
        ("line 5: gone.jpg", NO_IMAGE),
    ]
    assert yaml.safe_load(Path("out/dataset.yaml").read_text())["classes"] == ["dog", "cat"]


def test_yolo_boxes():
    for name in ("train/images/a.jpg", "train/images/b.jpg", "valid/images/c.jpg"):
        photo(name)
    write("data.yaml", "names: [cat, dog]\nnc: 2\n")
    # x 2 to 6 of 8 pixels, y 0 to 3 of 6; the second leaves the image at the right.
    write("train/labels/a.txt", "0 0.5 0.25 0.5 0.5\n1 1.0 0.5 0.5 1.0 0.9\n\n")
    write("valid/labels/c.txt", "7 .5 .5 .5 .5\n1 .5 .5 .5\n0 .5 .5 nan .5\n0 .5 .5 0 0\n")
    result = imported("yolo", "in/data.yaml")
    assert table() == [
        ("train/images/a.jpg", "cat;dog", "train"),
        ("train/images/b.jpg", "", "train"),
        ("valid/images/c.jpg", "cat", "val"),
    ]
    assert reasons(result) == [
        ("in/valid/labels/c.txt, line 1", "label 7 has no name"),
        ("in/valid/labels/c.txt, line 2", "neither a box (4 shares) nor a polygon (6 or more)"),
        ("in/valid/labels/c.txt, line 3", "no class number and shares"),
        ("valid/images/c.jpg", "cat: a box without a pixel"),
        ("valid/images/c.jpg", "boxes.csv is left out: 1 tags have no box, the first is cat"),
    ]
    Path("in/valid/labels/c.txt").write_text("0 .5 .5 1 1\n")
    Path("out").rename("old")
    assert imported("yolo").boxes == 3
    assert table("boxes.csv") == [
        ("train/images/a.jpg", "cat", "2", "0", "5", "2", "0"),
        ("train/images/a.jpg", "dog", "6", "0", "7", "5", "0"),
        ("valid/images/c.jpg", "cat", "0", "0", "7", "5", "0"),
    ]


def test_yolo_lists_and_names_of_darknet():
    for name in ("obj_train_data/a.jpg", "obj_valid_data/b.jpg"):
        photo(name)
        write(f"{name[:-4]}.txt", "0 .5 .5 1 1\n")
    write("obj.names", "cat\n\n")
    write("train.txt", "data/obj_train_data/a.jpg\n")
    write("valid.txt", "data/obj_valid_data/b.jpg\n")
    imported("yolo")
    assert table() == [
        ("obj_train_data/a.jpg", "cat", "train"), ("obj_valid_data/b.jpg", "cat", "val"),
    ]  # fmt: skip


def test_yolo_polygons():
    photo("images/a.jpg")
    write("classes.txt", "cat\n")
    write("labels/a.txt", "0 .25 0 .75 0 .75 .5 .25 .5\n")
    assert imported("yolo", division=Division(0)).masks == 1
    assert mask("images/a") == drawn(*("00111100",) * 3, *EMPTY[:3])
    assert table("boxes.csv") == [("images/a.jpg", "cat", "2", "0", "5", "2", "0")]


def test_yolo_poses_are_boxes_and_their_keypoints_no_polygons():
    photo("images/a.jpg")
    write("data.yaml", "names: [cat]\nkpt_shape: [3, 2]\n")
    pose, confident = "0 .5 .25 .5 .5 .1 .1 .2 .2 .9 .9\n", "0 .5 .25 1 .5 .1 .1 .2 .2 .9 .9 .8\n"
    write("labels/a.txt", f"{pose}{confident}0 .5 .25 .5 .5 .1 .1\n")
    result = imported("yolo", division=Division(0))
    assert (result.boxes, result.masks) == (2, None)
    assert table("boxes.csv") == [
        ("images/a.jpg", "cat", "2", "0", "5", "2", "0"),
        ("images/a.jpg", "cat", "0", "0", "7", "2", "0"),
    ]
    assert ("in/labels/a.txt, line 3", "no box and 6 values of keypoints") in reasons(result)


@pytest.mark.parametrize("shape", ["17", "[]", "[17, many]", "[17, 0]"])
def test_keypoints_without_a_shape_are_named(shape):
    photo("images/a.jpg")
    write("data.yaml", f"names: [cat]\nkpt_shape: {shape}\n")
    with pytest.raises(UserError, match=r"in/data\.yaml: kpt_shape: .* is no list of numbers"):
        imported("yolo")


def test_coco_files_of_two_splits():
    for name in ("train/0.jpg", "val/0.jpg", "val/1.jpg"):
        photo(name)
    categories = [{"id": 3, "name": "dog"}, {"id": 5, "name": "cat"}, {"id": 9, "name": "unused"}]

    def instances(images, annotations):
        images = [
            {"id": number, "file_name": name, "width": 8, "height": 6}
            for number, name in enumerate(images)
        ]
        return {"images": images, "categories": categories, "annotations": annotations}

    square = [[2, 0, 6, 0, 6, 3, 2, 3]]
    large = {"image_id": 0, "category_id": 3, "segmentation": square, "bbox": [2, 0, 4, 3]}
    small = {"image_id": 0, "category_id": 5, "segmentation": [[2, 0, 4, 0, 4, 1, 2, 1]]}
    small |= {"bbox": [2, 0, 2, 1], "iscrowd": 1}
    write("train/_annotations.coco.json", instances(["0.jpg"], [large, small]))
    boxed = {"image_id": 0, "category_id": 3, "bbox": [1, 1, 2, 2]}
    lost = [large | {"id": 7, "image_id": 9}, large | {"id": 8, "category_id": 1}]
    wrong = {"image_id": 1, "category_id": 5, "segmentation": [[0, 0, 99, 0, 9, 9]]}
    write(
        "val/_annotations.coco.json", instances(["0.jpg", "1.jpg", "2.jpg"], [boxed, wrong, *lost])
    )
    result = imported("coco")
    assert table() == [
        ("train/0.jpg", "dog;cat", "train"),
        ("val/0.jpg", "dog", "val"),
        ("val/1.jpg", "cat", "val"),
    ]
    # The smaller object is in front; images without all their regions have no mask.
    assert mask("train/0") == drawn("00221100", *("00111100",) * 2, *EMPTY[:3])
    assert result.masks == 1
    assert reasons(result) == [
        ("in/val/_annotations.coco.json, annotation 7", "no image 9"),
        ("in/val/_annotations.coco.json, annotation 8", "unknown category 1"),
        ("2.jpg", NO_IMAGE),
        ("val/1.jpg", "cat: a polygon far outside the image of 8 × 6 pixels"),
        ("val/1.jpg", "boxes.csv is left out: 1 tags have no box, the first is cat"),
    ]
    block = yaml.safe_load(Path("out/dataset.yaml").read_text())
    assert block["classes"] == ["dog", "cat"] and block["masks"] == "out/masks"


def test_what_the_workflow_exports_comes_back_as_the_same_masks():
    rng, regions = np.random.default_rng(0), []
    for number in range(4):
        photo(f"{number}.jpg")
        # Two objects that do not touch, of any shape.
        left = np.zeros(SIZE[::-1], bool)
        left[:, :4] = rng.random((6, 4)) < 0.5
        right = np.zeros(SIZE[::-1], bool)
        right[:, 4:] = rng.random((6, 4)) < 0.5
        regions.append((left, right))
    rows = pd.DataFrame(
        [(str(n), f"{n}.jpg", *SIZE) for n in range(4)],
        columns=["image", "path", "width", "height"],
    )
    found = [
        (str(n), [instance(2, left), instance(1, right)]) for n, (left, right) in enumerate(regions)
    ]
    write("coco.json", annotated(rows, ["cat", "dog"], found))
    assert imported("coco", "in/coco.json", division=Division(0.5)).images == {"train": 2, "val": 2}
    for number, (left, right) in enumerate(regions):
        assert mask(str(number)) == (2 * left + right).tolist()
    block = yaml.safe_load(Path("out/dataset.yaml").read_text())
    seen = check_dataset(
        Folder(**block | {"classes": ("cat", "dog")}), 0, "val", masks=True, threads=1
    )
    assert not seen.stops and seen.masks == {"train": 2, "val": 2}


VOC = """<annotation><filename>/home/me/a.jpg</filename>
<size><width>8</width><height>6</height><depth>3</depth></size>
<object><name>cat</name><difficult>1</difficult>
<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>8.2</xmax><ymax>3</ymax></bndbox></object>
<object><name>dog</name><bndbox><xmin>x</xmin></bndbox></object>
<object><name> </name></object></annotation>"""


def test_voc():
    for name in ("JPEGImages/a.jpg", "JPEGImages/b.jpg", "JPEGImages/c.jpg"):
        photo(name)
    write("Annotations/a.xml", VOC)
    write(
        "Annotations/b.xml", VOC.replace("<width>8", "<width>6").replace("<height>6", "<height>8")
    )
    write("Annotations/c.xml", "<annotation></annotation>")
    write("Annotations/d.xml", "<annotation>")
    write("Annotations/e.xml", "<annotation></annotation>")
    write("ImageSets/Main/train.txt", "a\n")
    write("ImageSets/Main/val.txt", "c\n")
    result = imported("voc")
    assert table() == [("JPEGImages/a.jpg", "cat;dog", "train"), ("JPEGImages/c.jpg", "", "val")]
    assert [why for _, why in reasons(result)] == [
        "dog: no bndbox of four numbers; only its tag",
        "an object without a name",
        "dog: no bndbox of four numbers; only its tag",
        "an object without a name",
        "no XML that can be read (no element found: line 1, column 12)",
        NO_IMAGE,
        "annotated at 6 × 8 pixels, before it was turned (EXIF), but it has 8 × 6",
        "boxes.csv is left out: 1 tags have no box, the first is dog",
    ]
    Path("out").rename("old")
    imported("voc", only=["cat"])
    assert table("boxes.csv") == [("JPEGImages/a.jpg", "cat", "0", "0", "7", "2", "1")]


def test_labelme():
    photo("a.jpg")
    png = io.BytesIO()
    Image.fromarray(np.array([[0, 255], [255, 255]], np.uint8)).save(png, "PNG")
    shapes = [
        {"label": "cat", "points": [[0, 0], [3, 0], [3, 2], [0, 2]]},
        {"label": "dog", "points": [[6, 4]], "shape_type": "mask"},
        {"label": "dog", "points": [[0, 0], [1, 1]], "shape_type": "line"},
    ]
    shapes[1]["mask"] = base64.b64encode(png.getvalue()).decode()
    about = {"imagePath": "..\\a.jpg", "imageHeight": 6, "imageWidth": 8, "shapes": shapes}
    write("a.json", about | {"flags": {"wet": True, "dry": False}})
    write("b.json", {"shapes": []})
    write("c.json", about | {"imagePath": "c.jpg", "imageData": "abcd"})
    result = imported("labelme")
    # The flag and the line have no region, and so the mask would not be whole.
    assert table() == [("a.jpg", "cat;dog;wet", "train")] and result.masks == 0
    assert [why for _, why in reasons(result)][:3] == [
        "dog: no area (a line); only its tag",
        "no LabelMe annotation (KeyError('imagePath'))",
        f"{NO_IMAGE}; it is in the JSON alone: save it",
    ]
    Path("out").rename("old")
    del shapes[2]
    write("a.json", about)
    assert imported("labelme", only=["dog", "cat"]).masks == 1
    assert mask("a") == drawn(*("22200000",) * 2, *EMPTY[:2], "00000001", "00000011")
    shapes[:] = [
        {"label": "cat", "points": [[4, 4], [1, 1]], "shape_type": "rectangle"},
        {"label": "dog", "points": [[4, 3], [4, 5]], "shape_type": "circle"},
    ]
    write("a.json", about)
    Path("out").rename("older")
    imported("labelme")
    assert table("boxes.csv") == [
        ("a.jpg", "cat", "1", "1", "3", "3", "0"), ("a.jpg", "dog", "2", "1", "5", "4", "0"),
    ]  # fmt: skip


CVAT = """<annotations><version>1.1</version><meta><task><labels>
<label><name>dog</name></label><label><name>cat</name></label></labels></task></meta>
<image id="0" name="a.jpg" subset="Train" width="8" height="6">
<polygon label="cat" points="2,0;6,0;6,3;2,3" z_order="0"/>
<mask label="dog" rle="1,3" left="6" top="4" width="2" height="2"/></image>
<image id="1" name="b.jpg" subset="Validation" width="8" height="6">
<box label="cat" xtl="1.0" ytl="1.0" xbr="4.0" ybr="3.0"/>
<points label="cat" points="1,1"/>
<mask label="dog" rle="1,1" left="0" top="0" width="2" height="2"/>
</image>
<image id="2" name="c.jpg" subset="Train" width="8" height="6"><tag label="bird"/></image>
<image id="3" name="gone.jpg" width="8" height="6"/></annotations>"""


def test_cvat():
    for name in ("images/a.jpg", "images/b.jpg", "images/c.jpg"):
        photo(name)
    write("annotations.xml", CVAT)
    result = imported("cvat")
    assert table() == [
        ("images/a.jpg", "dog;cat", "train"),
        ("images/b.jpg", "dog;cat", "val"),
        ("images/c.jpg", "bird", "train"),
    ]
    assert mask("images/a") == drawn(*("00222200",) * 3, EMPTY[0], "00000001", "00000011")
    assert result.masks == 1 and not Path("out/masks/images/b.png").exists()
    assert reasons(result) == [
        ("b.jpg", "a points: it has no area; only its tag"),
        ("b.jpg", "a mask: an RLE of 2 pixels, but it has 4; only its tag"),
        ("gone.jpg", NO_IMAGE),
        ("images/b.jpg", "boxes.csv is left out: 2 tags have no box, the first is dog"),
    ]
    turned = '<box label="cat" xtl="1" ytl="2" xbr="5" ybr="4" rotation="90"/></image>'
    start = '<annotations><image name="a.jpg" width="8" height="6">'
    write("annotations.xml", f"{start}{turned}</annotations>")
    Path("out").rename("old")
    imported("cvat", "in/annotations.xml")
    assert table("boxes.csv") == [("images/a.jpg", "cat", "2", "1", "3", "4", "0")]
    Path("in/annotations.xml").unlink()
    for name, image in (("train", "a.jpg"), ("val", "b.jpg")):
        shape = '<box label="cat" xtl="1" ytl="2" xbr="5" ybr="4"/>'
        write(f"{name}.xml", f"{start}{shape}</image></annotations>".replace("a.jpg", image))
    Path("out").rename("older")
    assert imported("cvat").images == {"train": 1, "val": 1}


# The package label-studio-sdk 2.1.2 wrote it, of three pixels in a row and a lighter one.
BRUSH = [0, 0, 0, 60, 57, 27, 254, 23, 0, 183, 255, 132, 192, 35, 200, 0]


def test_brush_strokes():
    expected = np.zeros((3, 5), bool)
    expected[1, 1:4] = expected[2, 4] = True
    assert (decode_brush(BRUSH, (3, 5)) == expected).all()
    for rle, size, said in (
        (BRUSH, (5, 5), "a brush of 60 values, but RGBA has 100"),
        (BRUSH[:9], (3, 5), "a brush whose rle ends early"),
        (BRUSH, (10**6, 10**6), "an image of 1000000 × 1000000 pixels"),
        ([300], (3, 5), "a brush whose rle is no list of bytes"),
        ("abc", (3, 5), "a brush whose rle is no list of bytes"),
    ):
        with pytest.raises(ValueError, match=said):
            decode_brush(rle, size)


def task(number, image, *results, **more):
    size = {"original_width": 5, "original_height": 3}
    results = [{"type": kind, "value": value} | size for kind, value in results]
    return {
        "id": number, "data": {"note": "x", "image": image},
        "annotations": [{"result": results} | more],
    }  # fmt: skip


def test_label_studio():
    for name in ("a.jpg", "b b.jpg", "sub/c.jpg", "d.jpg"):
        photo(name, (5, 3))
    box = {"x": 20, "y": 0, "width": 40, "height": 100, "rotation": 0, "rectanglelabels": ["dog"]}
    points = {"points": [[0, 0], [40, 0], [40, 100], [0, 100]], "polygonlabels": ["dog"]}
    brush = {"format": "rle", "rle": BRUSH, "brushlabels": ["cat"]}
    tasks = [
        task(1, "/data/upload/7/0a1b2c3d-a.jpg", ("brushlabels", brush), ("polygonlabels", points)),
        task(2, "/data/local-files/?d=photos/b%20b.jpg", ("rectanglelabels", box)),
        task(3, "s3://bucket/sub/c.jpg", ("choices", {"choices": ["cat", "dog"]})),
        task(4, "d.jpg", was_cancelled=True),
        task(5, "gone.jpg"),
    ]
    tasks[1]["annotations"].insert(0, {"result": []})
    tasks[1]["annotations"][1]["result"].append({"type": "keypointlabels", "value": {}})
    write("export.json", tasks)
    result = imported("label-studio", "in/export.json", division=Division(0))
    assert table() == [
        ("a.jpg", "cat;dog", "train"),
        ("b b.jpg", "dog", "train"),
        ("sub/c.jpg", "cat;dog", "train"),
    ]
    assert mask("a") == drawn("22000", "21110", "22001")
    assert reasons(result) == [
        ("task 2", "more than one annotation; one is taken"),
        ("task 2", "a result that cannot be read (keypointlabels: no label)"),
        ("task 4", "not annotated, or skipped"),
        ("task 5: gone.jpg, x", NO_IMAGE),
        ("sub/c.jpg", "boxes.csv is left out: 2 tags have no box, the first is cat"),
    ]  # fmt: skip
    write("export.json", tasks[1:2])
    Path("out").rename("old")
    imported("label-studio", "in/export.json")
    assert table("boxes.csv") == [("b b.jpg", "dog", "1", "0", "2", "2", "0")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.csv", "name,r,g,b\nBackground,0,0,0\ncat,255,0,0\ncow,9,9,9\ndog,0,0,255\n"),
        ("classes.csv", "class,value\nbackground,#000000\ncat,#FF0000\ncow,#090909\ndog,#0000ff\n"),
        (
            "labelmap.txt",
            "# label:color\nbackground:0,0,0::\ncat:255,0,0::\ncow:9,9,9:\ndog:0,0,255",
        ),
    ],
)
def test_masks_of_colours(name, text):
    for number in range(3):
        photo(f"images/{number}.jpg")
        pixels = np.zeros((*SIZE[::-1], 3), np.uint8)
        pixels[0, :2], pixels[1, 0] = (255, 0, 0), (0, 0, 255)
        pixels[5, 5] = (1, 2, 3) if number == 1 else 0
        Path("in/masks").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(f"in/masks/{number}.png")
    Path("in/masks/2.png").unlink()
    write(name, text)
    result = imported("colours", division=Division(0))
    assert table() == [(["images", "0.jpg"][1], "cat;dog", "train")]
    assert mask("0") == drawn("11000000", "30000000", *EMPTY[:4])
    assert reasons(result) == [
        ("2.jpg", "no mask, which would say its tags"),
        ("1.jpg", "in/masks/1.png: holds the colour #010203, which `mask_values` do not name"),
    ]
    # No pixel is a cow's: its number is left out, and the others keep theirs.
    block = yaml.safe_load(Path("out/dataset.yaml").read_text())
    assert block["classes"] == ["cat", "dog"]
    assert block["mask_values"] == {0: "background", 1: "cat", 3: "dog", 255: "ignored"}
    spec = Folder(**block | {"classes": ("cat", "dog")})
    assert not check_dataset(spec, 0, None, masks=True, threads=1).stops


LABELME = {
    "imagePath": "a.jpg", "imageHeight": 6, "imageWidth": 8, "flags": {"wet": True},
    "shapes": [
        {"label": "cat", "points": [[0, 0], [3, 0], [3, 2]], "shape_type": "polygon"},
        {"label": "cat", "points": [[4, 4], [1, 1]], "shape_type": "rectangle"},
        {"label": "cat", "points": [[4, 4], [1, 1]], "shape_type": "circle"},
        {"label": "cat", "points": [[4, 4]], "shape_type": "mask", "mask": "iVBORw0KGgo="},
    ],
}  # fmt: skip
COCO = {
    "images": [{"id": 0, "file_name": "a.jpg", "width": 8, "height": 6}],
    "categories": [{"id": 3, "name": "cat"}],
    "annotations": [
        {"id": 1, "image_id": 0, "category_id": 3, "segmentation": [[2, 0, 6, 0, 6, 3]],
         "bbox": [2, 0, 4, 3], "iscrowd": 0},
        {"id": 2, "image_id": 0, "category_id": 3,
         "segmentation": {"size": [6, 8], "counts": [0, 10, 38]}},
    ],
}  # fmt: skip
TASK = task(
    1, "a.jpg", ("choices", {"choices": ["cat"]}),
    ("brushlabels", {"rle": BRUSH[:3], "brushlabels": ["cat"]}),
    ("ellipselabels", {"x": 9, "y": 9, "radiusX": 9, "radiusY": 9, "ellipselabels": ["cat"]}),
    ("polygonlabels", {"points": [[0, 0], [9, 0], [9, 9]], "polygonlabels": ["cat"]}),
)  # fmt: skip
ODD = (None, -1, 10**400, float("inf"), float("nan"), "", "\ud800", True, [], [[]], {}, {"a": 1})


def places(value, path=()):
    """The paths to all values in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in inner:
        yield (*path, key)
        if isinstance(part, dict | list):
            yield from places(part, (*path, key))


@pytest.mark.parametrize(
    ("kind", "whole"), [("labelme", LABELME), ("coco", COCO), ("label-studio", [TASK])]
)
def test_values_of_any_kind_are_dropped_or_refused(kind, whole):
    photo("a.jpg")
    refused = 0
    for path in places(whole):
        for odd in ODD:
            changed = json.loads(json.dumps(whole))
            inner = changed
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = odd
            write("a.json", changed)
            try:
                source = reader_of(kind)(Path("in/a.json"), Options())
                if odd in ("\ud800", 10**400) or odd != odd:  # writing takes longer
                    shutil.rmtree("out", ignore_errors=True)
                    write_dataset(
                        source, Path("out"), Division(), files="named", only=None, threads=1
                    )
            except UserError:
                refused += 1
    assert refused > 5
