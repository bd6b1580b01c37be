"""What `tags2masks import` does with the splits that a source has."""

from pathlib import Path

import pytest

from tags2masks.errors import UserError
from tags2masks.importing.items import NO_IMAGE, locator, split_of_path
from tags2masks.importing.writing import Division, report
from tests.unit.import_source import imported, photo, reasons, table, write


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    """Work in an empty folder with an empty source."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()


def splits():
    """The split of each image of the table that was written."""
    return {image: split for image, _, split in table()}


VOC = "<annotation><object><name>cat</name></object></annotation>"


def annotated(kind, name):
    """An image with an annotation of a cat beside it."""
    photo(name)
    beside, file = name.removesuffix(".jpg"), name.rpartition("/")[2]
    if kind == "voc":
        write(f"{beside}.xml", VOC)
    else:
        shape = {"label": "cat", "points": [[0, 0], [3, 0], [3, 2]]}
        about = {"imagePath": file, "imageHeight": 6, "imageWidth": 8, "shapes": [shape]}
        write(f"{beside}.json", about)


@pytest.mark.parametrize("kind", ["voc", "labelme"])
def test_folders_of_splits(kind):
    for name in ("train/a.jpg", "valid/b.jpg", "test/c.jpg", "more/d.jpg"):
        annotated(kind, name)
    result = imported(kind)
    assert splits() == {"train/a.jpg": "train", "valid/b.jpg": "val"}
    assert [one for one in reasons(result) if "--val" in one[1]] == [
        ("more/d.jpg", "in none of the splits; give --val to divide anew"),
        ("test/c.jpg", "of split test; give --val to divide anew"),
    ]
    Path("out").rename("old")
    assert imported(kind, division=Division(0.5)).images == {"train": 2, "val": 2}


def test_images_in_no_list_of_voc():
    for name in "abc":
        photo(f"JPEGImages/{name}.jpg")
        write(f"Annotations/{name}.xml", VOC)
    write("ImageSets/Main/train.txt", "a\n")
    write("ImageSets/Main/val.txt", "b\n")
    result = imported("voc")
    assert splits() == {"JPEGImages/a.jpg": "train", "JPEGImages/b.jpg": "val"}
    assert reasons(result)[-1] == (
        "JPEGImages/c.jpg", "in no list of ImageSets; give --val to divide anew",
    )  # fmt: skip
    # Lists of fewer images do not hide the others, and count first.
    write("ImageSets/Segmentation/train.txt", "b\n")
    write("ImageSets/Main/val.txt", "b\nc\n")
    Path("out").rename("old")
    imported("voc")
    assert splits() == {
        "JPEGImages/a.jpg": "train", "JPEGImages/b.jpg": "train", "JPEGImages/c.jpg": "val",
    }  # fmt: skip


def test_a_parent_leaves_the_splits_of_the_source(capsys):
    for name in ("train/cat/p1_0.jpg", "train/cat/p2_0.jpg", "val/cat/p2_1.jpg", "test/cat/p1.jpg"):
        photo(name)
    result = imported("folders", division=Division(parent=r"(p\d)"))
    assert splits() == {
        "train/cat/p1_0.jpg": "train", "train/cat/p2_0.jpg": "train", "val/cat/p2_1.jpg": "val",
    }  # fmt: skip
    said = (
        "1 of 2 parents are in train and in val, as the source divides them, such as 'p2': figures "
        "of val will be too good; give --val to divide anew"
    )
    assert result.warning == said
    report(result, Path("out"))
    assert f"warning: {said}" in capsys.readouterr().err.splitlines()
    Path("out").rename("old")
    assert imported("folders", division=Division(parent=r"\d_\d")).warning == ""
    Path("out").rename("older")
    again = imported("folders", division=Division(0.5, r"(p\d)"))
    written = splits()
    assert again.warning == "" and len(written) == 4
    assert written["train/cat/p2_0.jpg"] == written["val/cat/p2_1.jpg"]
    assert written["train/cat/p1_0.jpg"] == written["test/cat/p1.jpg"]


def test_what_lies_beside_the_splits_is_no_class():
    for name in ("train/cat/0.jpg", "val/cat/1.jpg", "extra/2.jpg", "preview.jpg"):
        photo(name)
    result = imported("folders")
    assert splits() == {"train/cat/0.jpg": "train", "val/cat/1.jpg": "val"}
    why = "outside of train, val and test; move it there"
    assert reasons(result) == [("extra/2.jpg", why), ("preview.jpg", why)]
    assert result.tagged == {"cat": 2}


@pytest.mark.parametrize("name", ["train/0.jpg", "Valid/a/0.jpg", "train/val/0.jpg", "test/0.jpg"])
def test_no_class_is_called_after_a_split(name):
    photo("cat/1.jpg")
    photo(name)
    folder = "in/train/val" if "val" in name else f"in/{name.partition('/')[0]}"
    with pytest.raises(UserError) as raised:
        imported("folders")
    assert str(raised.value) == (
        f"{folder}: would be a class of the name '{folder.rpartition('/')[2]}'; give the folder "
        "that holds train and val with a sub-folder per class each, or rename it"
    )
    assert not Path("out").exists()


def test_coco_files_beside_images_of_the_same_names():
    categories = [{"id": 1, "name": "cat"}]
    for split in ("train", "val"):
        for name in ("0.jpg", "1.jpg"):
            photo(f"images/{split}2017/{name}")
        images = [{"id": 4, "file_name": "0.jpg", "width": 8, "height": 6}]
        images.append({"id": 5, "file_name": "gone.jpg", "width": 8, "height": 6})
        boxes = [{"image_id": 4, "category_id": 1, "bbox": [0, 0, 2, 2]}]
        about = {"images": images, "categories": categories, "annotations": boxes}
        write(f"annotations/instances_{split}.json", about)
    result = imported("coco")
    assert splits() == {"images/train2017/0.jpg": "train", "images/val2017/0.jpg": "val"}
    assert reasons(result) == [("gone.jpg", NO_IMAGE), ("gone.jpg", NO_IMAGE)]


def test_names_of_images_of_a_known_split():
    for name in ("train/a.jpg", "val/a.jpg", "val/b.jpg", "x/val/c.jpg", "y/val/c.jpg"):
        photo(name)
    locate = locator(Path("in"))
    assert locate("a.jpg") is None and locate("a.jpg", "test") is None
    assert locate("a.jpg", "train") == "train/a.jpg" and locate("a.jpg", "val") == "val/a.jpg"
    # Of the one image of this name there is no doubt, wherever it is; of two in val there is.
    assert locate("b.jpg", "train") == "val/b.jpg" and locate("c.jpg", "val") is None


def test_the_split_of_a_path():
    paths = ("images/valid/0.jpg", "train2017/test/0.jpg", "trainer/0.jpg", "test.jpg")
    assert list(map(split_of_path, paths)) == ["val", "train", None, None]
