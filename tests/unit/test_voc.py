"""The PASCAL VOC reader on a devkit of a few files, and on real ones where they are."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tags2masks.config.voc import VOC_CLASSES, Voc
from tags2masks.data import voc
from tags2masks.data.index import build_index, write_classes, write_index
from tags2masks.data.labelled import read_labelled
from tags2masks.data.truth import INVALID, check_masks
from tags2masks.errors import UserError
from tests.unit.splits import list_all
from tests.unit.test_readers import call
from workflow_scripts import list_labelled

ANIMALS = ("cat", "cow", "dog", "horse", "sheep")
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "voc12_animals"


def annotation(*objects):
    """An annotation of (name, difficult, corners) objects, each with a part as persons have."""
    tags = "".join(
        f"<object><name>{name}</name><difficult>{difficult}</difficult>"
        f"<bndbox><xmax>{x2}</xmax><xmin>{x1}</xmin><ymax>{y2}</ymax><ymin>{y1}</ymin></bndbox>"
        "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax>"
        "<ymax>2</ymax></bndbox></part></object>"
        for name, difficult, (x1, y1, x2, y2) in objects
    )
    return f"<annotation><filename>x.jpg</filename>{tags}</annotation>"


CAT = ("cat", 0, (1, 2, 3, 4))


@pytest.fixture
def devkit(tmp_path):
    """Two training images and two others, one of them without a chosen class."""
    for name in ("ImageSets/Segmentation", "Annotations", "JPEGImages", "SegmentationClass"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "SegmentationObject").mkdir()
    lists = tmp_path / "ImageSets" / "Segmentation"
    (lists / "train.txt").write_text("2007_2\n2007_1 \n\n")
    (lists / "val.txt").write_text("2008_1\n2008_2\n")
    objects = {
        "2007_1": annotation(("dog", 1, (2, 2, 3.4, 3)), CAT),
        "2007_2": annotation(("person", 0, (1, 1, 4, 3)), ("cow", 0, (0, 1, 4, 3))),
        "2008_1": annotation(("person", 0, (1, 1, 4, 3))),
        "2008_2": annotation(CAT, CAT),
    }
    for image, text in objects.items():
        (tmp_path / "Annotations" / f"{image}.xml").write_text(text)
        Image.new("RGB", (4, 3)).save(tmp_path / "JPEGImages" / f"{image}.jpg")
        Image.new("L", (4, 3)).save(tmp_path / "SegmentationClass" / f"{image}.png")
    Image.new("L", (4, 3)).save(tmp_path / "SegmentationObject" / "2007_1.png")
    return tmp_path


def block(root, **options):
    return Voc(root=str(root), **({"classes": ("dog", "cow", "cat")} | options))


def test_tags_are_the_chosen_classes_of_all_objects(devkit):
    listing, classes = list_all(voc, block(devkit), devkit)
    assert classes == ["dog", "cow", "cat"]
    assert listing.to_dict("list") == {
        "image": ["2007_2", "2007_1", "2008_2"],
        "path": [f"JPEGImages/{name}.jpg" for name in ("2007_2", "2007_1", "2008_2")],
        "split": ["train", "train", "val"],
        "tags": [("cow",), ("dog", "cat"), ("cat",)],
    }


def test_lists_can_be_chosen(devkit):
    listing, _ = list_all(voc, block(devkit, train_list="val", val_list="train"), devkit)
    assert listing["split"].tolist() == ["train", "val", "val"]


def images_of(devkit, **options):
    return list_all(voc, block(devkit, **options), devkit)[0].set_index("image")


def test_an_image_without_objects_is_kept_untagged(devkit):
    (devkit / "Annotations/2008_1.xml").write_text(annotation())
    listing = images_of(devkit)
    assert listing.loc["2008_1"].tolist() == ["JPEGImages/2008_1.jpg", "val", ()]
    assert len(listing) == 4


def test_images_may_be_png_files(devkit):
    Image.new("RGB", (4, 3)).save(devkit / "JPEGImages/2007_1.png")
    (devkit / "JPEGImages/2007_1.jpg").unlink()
    paths = images_of(devkit)["path"]
    assert paths["2007_1"] == "JPEGImages/2007_1.png" and paths["2007_2"].endswith(".jpg")


def test_lists_of_one_class(devkit):
    (devkit / "ImageSets/Main").mkdir()
    (devkit / "ImageSets/Main/cat_train.txt").write_text("2007_1  1\n2007_2 -1\n2008_2  0\n")
    (devkit / "ImageSets/Segmentation/val.txt").write_text("2007_2\n2008_1\n")
    listing = images_of(devkit, train_list="ImageSets/Main/cat_train.txt")
    assert listing["split"].to_dict() == {"2007_1": "train", "2008_2": "train", "2007_2": "val"}


def test_lists_of_images_and_masks(devkit):
    """As DeepLab's trainaug list has it; the masks of the other list are where VOC has them."""
    for folder in ("SegmentationClassAug", "more/sub"):
        (devkit / folder).mkdir(parents=True)
    Image.new("L", (4, 3)).save(devkit / "SegmentationClassAug/2007_1.png")
    Image.new("RGB", (4, 3)).save(devkit / "more/sub/x.png")
    (devkit / "Annotations/more/sub").mkdir(parents=True)
    (devkit / "Annotations/more/sub/x.xml").write_text(annotation(("cow", 0, (1, 1, 2, 2))))
    (devkit / "ImageSets/Segmentation/trainaug.txt").write_text(
        "/JPEGImages/2007_1.jpg /SegmentationClassAug/2007_1.png\n"
        "more/sub/x.png SegmentationClassAug/x.png\n2007_2.jpg\n"
    )
    spec = block(devkit, train_list="trainaug")
    listing, classes = list_all(voc, spec, devkit)
    assert listing[["image", "path"]].to_numpy().tolist() == [
        ["2007_1", "JPEGImages/2007_1.jpg"],
        ["more/sub/x", "more/sub/x.png"],
        ["2007_2", "JPEGImages/2007_2.jpg"],
        ["2008_2", "JPEGImages/2008_2.jpg"],
    ]
    masks = voc.list_masks(spec, devkit, build_index(listing, devkit, classes, 1, 2))
    assert masks.set_index("image")["mask"].to_dict() == {
        "2007_1": "SegmentationClassAug/2007_1.png",
        "2007_2": "SegmentationClass/2007_2.png",
        "2008_2": "SegmentationClass/2008_2.png",
        "more/sub/x": "",
    }
    assert masks["lacks"].max() == str(devkit / "SegmentationClassAug/x.png")


def test_only_images_of_the_seed_list_are_measured(devkit):
    spec = block(devkit, seed_list="some")
    listing, classes = list_all(voc, spec, devkit)
    index = build_index(listing, devkit, classes, 1, 2)
    lists = devkit / "ImageSets/Segmentation"
    (lists / "some.txt").write_text("2007_1\n2009_9\n2008_2\n")
    assert voc.measured_images(spec, devkit, index)["image"].tolist() == ["2007_1", "2008_2"]
    assert voc.measured_images(block(devkit), devkit, index)["image"].tolist() == [
        "2007_1", "2007_2", "2008_2",
    ]  # fmt: skip
    (lists / "some.txt").write_text("2008_2\n")
    with pytest.raises(
        UserError, match=r"some\.txt: no training image is in it; correct seed_list"
    ):
        voc.measured_images(spec, devkit, index)
    # It decides what is measured, not what is learned.
    assert spec.truth_files() == [str(lists / "some.txt")] and block(devkit).truth_files() == []
    assert spec.truth_key()["seed_list"] == "some"
    assert not {"seed_list"} & {*spec.key(), *spec.labelled_key()}


def test_a_list_names_the_images_with_masks_to_learn_from(devkit, monkeypatch):
    spec = block(devkit, labelled="some")
    listing, classes = list_all(voc, spec, devkit)
    index = build_index(listing, devkit, classes, 1, 2)
    (devkit / "ImageSets/Segmentation/some.txt").write_text("2008_2\n2007_1\n2009_9\n")
    write_index(devkit / "train.csv", index)
    write_classes(devkit / "classes.txt", classes)
    mask = devkit / "SegmentationClass/2007_1.png"
    Image.fromarray(np.full_like(np.asarray(Image.open(mask)), 8)).save(mask)  # a cat

    def listed():
        recipe = {"seed": 0, "dataset": spec.key() | spec.labelled_key()}
        call(
            monkeypatch, list_labelled, recipe=json.dumps(recipe), root=devkit,
            index=devkit / "train.csv", classes=devkit / "classes.txt",
            labelled=devkit / "labelled.csv", free=spec.model_dump_json(include={"root"}),
        )  # fmt: skip
        return read_labelled(devkit / "labelled.csv")

    assert listed().values.tolist() == [
        ["2007_1", "SegmentationClass/2007_1.png", "SegmentationObject/2007_1.png"]
    ]
    assert spec.labelled_key()["labelled"] == "some"
    (devkit / "ImageSets/Segmentation/some.txt").write_text("2008_2\n")
    with pytest.raises(UserError, match=r"some\.txt: no training image is in it; correct labelled"):
        listed()
    (devkit / "ImageSets/Segmentation/some.txt").unlink()
    with pytest.raises(
        UserError, match=r"some\.txt: no such list; .* choose labelled from train, v"
    ):
        listed()


def test_names_with_blanks(devkit):
    for name, suffix in (("Annotations", "xml"), ("JPEGImages", "jpg")):
        (devkit / name / f"2007_1.{suffix}").rename(devkit / name / f"my cat.{suffix}")
    (devkit / "ImageSets/Segmentation/train.txt").write_text("my cat\n2007_2\n")
    assert images_of(devkit).loc["my cat", "tags"] == ("dog", "cat")


@pytest.mark.parametrize("line", ["../x", "a/../../x", "/JPEGImages/a.jpg ../a.png", "../x 1"])
def test_names_that_lead_outside_are_refused(devkit, line):
    path = devkit / "ImageSets/Segmentation/train.txt"
    path.write_text(f"2007_1\n{line}\n")
    said = f"^{re.escape(f'{path}, line 2: {line!r} may lie outside {devkit}; write names')}"
    with pytest.raises(UserError, match=said):
        list_all(voc, block(devkit), devkit)


def test_truth_is_a_matter_of_the_files(devkit):
    assert block(devkit).has_truth and block(devkit / "nowhere").has_truth
    (devkit / "SegmentationClass").rename(devkit / "SegmentationClassAug")
    assert not block(devkit).has_truth
    pairs = "\n/JPEGImages/2007_1.jpg /SegmentationClassAug/2007_1.png\n"
    (devkit / "ImageSets/Segmentation/train.txt").write_text(pairs)
    assert block(devkit).has_truth


def test_classes_of_ones_own(devkit):
    kit = {
        "2007_1": ("nut", "bolt"),
        "2007_2": ("bolt",),
        "2008_1": ("nut",),
        "2008_2": ("washer",),
    }
    for image, names in kit.items():
        text = annotation(*((name, 0, (1, 1, 2, 2)) for name in names))
        (devkit / f"Annotations/{image}.xml").write_text(text)
    spec = Voc(root=str(devkit), names=("bolt", "washer", "nut"))
    assert spec.classes == ("bolt", "washer", "nut")
    spec = Voc(root=str(devkit), names=spec.names, classes=("nut", "bolt"), others="ignore")
    listing, classes = list_all(voc, spec, devkit)
    assert listing["tags"].tolist() == [("bolt",), ("nut", "bolt"), ("nut",)]
    assert voc.mask_table(spec, classes)[[0, 1, 2, 3, 4, 255]].tolist() == [
        0,
        2,
        255,
        1,
        INVALID,
        255,
    ]
    # The ids of the masks are in no key of what tags alone decide.
    assert "names" not in spec.key() and spec.truth_key()["names"] == ["bolt", "washer", "nut"]


def truth_of(devkit, **options):
    spec = block(devkit, **options)
    listing, classes = list_all(voc, spec, devkit)
    index = build_index(listing, devkit, classes, 1, 2)
    return voc.list_masks(spec, devkit, index)


def test_truth_has_masks_and_instances(devkit):
    truth = truth_of(devkit)
    assert truth["image"].tolist() == ["2007_1", "2007_2", "2008_2"]
    assert truth["mask"].tolist() == [f"SegmentationClass/{name}.png" for name in truth["image"]]
    assert truth["instances"].tolist() == ["SegmentationObject/2007_1.png", "", ""]


def boxes_of(devkit, **options):
    spec = block(devkit, **options)
    listing, classes = list_all(voc, spec, devkit)
    index = build_index(listing, devkit, classes, 1, 2)
    return voc.list_boxes(spec, devkit, index, classes)


def test_boxes_count_from_zero_and_difficult_objects_are_marked(devkit):
    boxes = boxes_of(devkit)
    # The files count from 1; 3.4 rounds to 3; a 0 that should be a 1 stays inside the image, and so
    # does a corner that is one pixel too far.
    assert boxes.to_numpy().tolist() == [
        ["2007_1", "dog", 1, 1, 2, 2, True],
        ["2007_1", "cat", 0, 1, 2, 2, False],
        ["2007_2", "cow", 0, 0, 3, 2, False],
        ["2008_2", "cat", 0, 1, 2, 2, False],
        ["2008_2", "cat", 0, 1, 2, 2, False],
    ]
    persons = boxes_of(devkit, classes=("person", "cow", "cat"))
    assert persons.loc[persons["class"] == "person", "image"].tolist() == ["2007_2", "2008_1"]


@pytest.mark.parametrize(
    ("corners", "said"),
    [
        (
            (1, 1, 6, 3),
            "the box from 0,0 to 5,2 leaves the image, whose last pixel is 3,2",
        ),
        ((-1, 1, 4, 3), "the box from -2,0 to 3,2 leaves the image"),
        ((3, 1, 2, 3), "the box from 2,0 to 1,2 has no area; correct it, or take it out"),
    ],
)
def test_boxes_that_cannot_be_are_refused_together(devkit, corners, said):
    cow = ("cow", 0, (1, 1, 2, 2))  # each class needs a training image
    for image in ("2007_1", "2008_2"):
        text = annotation(CAT, cow, ("dog", 0, corners))
        (devkit / f"Annotations/{image}.xml").write_text(text)
    with pytest.raises(UserError) as raised:
        boxes_of(devkit)
    lines = str(raised.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        f"{devkit}/Annotations/{image}.xml" for image in ("2007_1", "2008_2")
    ]
    assert all(said in line for line in lines)


def test_of_an_image_without_a_mask_is_said_what_it_lacks(devkit):
    (devkit / "SegmentationClass" / "2007_1.png").unlink()
    truth = truth_of(devkit)
    assert truth["mask"].map(bool).tolist() == [False, True, True]
    assert truth.loc[0, "lacks"] == str(devkit / "SegmentationClass/2007_1.png")


@pytest.mark.parametrize(("others", "expected"), [("background", 0), ("ignore", 255)])
def test_mask_table(others, expected):
    spec = block("", classes=("dog", "aeroplane"), others=others)
    table = voc.mask_table(spec, ["dog", "aeroplane"])
    assert VOC_CLASSES[11] == "dog"  # id 12 in the files
    assert table[[0, 12, 1, 255]].tolist() == [0, 1, 2, 255]
    rest = [number for number in range(1, 21) if number not in (1, 12)]
    assert set(table[rest].tolist()) == {expected}
    assert (table[21:255] == INVALID).all()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (
            lambda root: (root / "ImageSets/Segmentation/val.txt").unlink(),
            "{root}/ImageSets/Segmentation/val.txt: no such list; correct `root`, or choose "
            "val_list from train",
        ),
        (
            lambda root: (root / "ImageSets/Segmentation/val.txt").write_bytes(b"\xff\n"),
            "{root}/ImageSets/Segmentation/val.txt: no text",
        ),
        (
            lambda root: (root / "Annotations/2007_1.xml").unlink(),
            "{root}/Annotations/2007_1.xml: no such annotation, but the list names it",
        ),
        (
            lambda root: (root / "Annotations/2007_1.xml").write_text("<annotation><object>"),
            "{root}/Annotations/2007_1.xml: malformed XML (",
        ),
        (
            lambda root: (root / "Annotations/2007_1.xml").write_text(""),
            "{root}/Annotations/2007_1.xml: malformed XML (",
        ),
        (
            lambda root: (root / "Annotations/2007_1.xml").write_text(
                "<annotation><object><part><name>head</name></part></object></annotation>"
            ),
            "{root}/Annotations/2007_1.xml: an object without a name",
        ),
        (
            lambda root: (root / "JPEGImages/2007_1.jpg").unlink(),
            "{root}/JPEGImages/2007_1.jpg: no such image, but the list names it",
        ),
    ],
)
def test_a_harmed_devkit_is_refused(devkit, harm, said):
    harm(devkit)
    with pytest.raises(UserError, match=f"^{re.escape(said.format(root=devkit))}"):
        list_all(voc, block(devkit), devkit)


def test_a_folder_without_lists(tmp_path):
    with pytest.raises(UserError, match=r"train\.txt: no such list; .*from \(no list\)"):
        list_all(voc, block(tmp_path), tmp_path)


@pytest.mark.parametrize("corner", ["", "left", "nan", "inf"])
def test_a_malformed_box_is_refused(devkit, corner):
    bad = annotation(("cat", 0, (corner, 2, 3, 4)))
    (devkit / "Annotations" / "2008_2.xml").write_text(bad)
    with pytest.raises(UserError, match=r"2008_2\.xml: a bndbox needs xmin, ymin, xmax, ymax as"):
        boxes_of(devkit)


def test_a_missing_box_is_refused(devkit):
    bad = "<annotation><object><name>cat</name></object></annotation>"
    (devkit / "Annotations" / "2008_2.xml").write_text(bad)
    with pytest.raises(UserError, match=r"2008_2\.xml: a bndbox needs"):
        boxes_of(devkit)


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real data is absent: no folder {REAL}")
def test_real_animals():
    """Counts as `grep -l '<name>cat</name>'` over the annotations of each list gives them."""
    spec = Voc(root=str(REAL), classes=ANIMALS)
    listing, classes = list_all(voc, spec, REAL)
    counts = {
        split: [sum(name in tags for tags in rows["tags"]) for name in classes]
        for split, rows in listing.groupby("split")
    }
    assert counts == {"train": [131, 62, 121, 68, 63], "val": [119, 71, 128, 79, 57]}
    assert listing["split"].value_counts().to_dict() == {"train": 437, "val": 445}

    some = listing[listing["image"].str.startswith(("2007_", "2008_"))]
    index = build_index(some, REAL, classes, 1, 2)
    truth = voc.list_masks(spec, REAL, index)
    check_masks(truth, index, REAL, voc.mask_table(spec, classes), classes, 2)
    boxes = voc.list_boxes(spec, REAL, index, classes)
    first = boxes[boxes["image"] == "2007_000063"].iloc[:, 1:].to_numpy().tolist()
    assert first == [["dog", 122, 114, 378, 274, False]]
    tags = {(row.image, tag) for row in index.itertuples() for tag in row.tags}
    assert tags == set(zip(boxes["image"], boxes["class"], strict=True))
    assert index.loc[index["image"] == "2007_000063", ["height", "width"]].to_numpy().tolist() == [
        [375, 500]
    ]
    assert np.all(index["tags"].map(len) > 0)
