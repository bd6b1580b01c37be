"""Folders of images with a table of tags: what is listed, and every mistake in the table."""

import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.config.folders import Folder
from tags2masks.data import folder
from tags2masks.data.index import build_index
from tags2masks.data.truth import INVALID
from tags2masks.errors import UserError
from tests.unit.splits import list_all


@pytest.fixture
def listed(tmp_path):
    """A function that writes a table (text or bytes) and images, and lists them."""
    (tmp_path / "photos").mkdir()

    def list_images(table, images=(), classes=None):
        if table is not None:
            data = table if isinstance(table, bytes) else table.encode()
            (tmp_path / "tags.csv").write_bytes(data)
        for name in images:
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 3)).save(path)
        spec = Folder(
            images=str(tmp_path / "photos"), tags=str(tmp_path / "tags.csv"), classes=classes
        )
        return list_all(folder, spec, tmp_path / "photos")

    return list_images


def test_a_table_is_listed_with_its_tags_in_alphabetical_order(listed):
    listing, classes = listed(
        "image,tags,split\na.jpg,dog;cat,train\nb.png,zebra,train\nc.jpg,,val\nd.jpg,,ood\n",
        ["a.jpg", "b.png", "c.jpg", "d.jpg"],
    )
    assert classes == ["cat", "dog", "zebra"]
    assert listing.to_dict("list") == {
        "image": ["a", "b", "c", "d"],
        "path": ["a.jpg", "b.png", "c.jpg", "d.jpg"],
        "split": ["train", "train", "val", "ood"],
        "tags": [("dog", "cat"), ("zebra",), (), ()],
    }


def test_the_config_orders_the_classes(listed):
    _, classes = listed("image,tags,split\na.jpg,cat,train\n", ["a.jpg"], ("dog", "cat"))
    assert classes == ["dog", "cat"]


def test_names_with_spaces_subfolders_umlauts_dots_and_commas(listed):
    names = ["my photos/first one.jpg", "Übung/Käse.v2.JPG", "日本/犬.png", "a, b.jpg", "007.png"]
    table = "image,tags,split\n" + "".join(f'"{name}",big dog,train\n' for name in names)
    listing, classes = listed(table, names)
    assert listing["path"].tolist() == names
    assert listing["image"].tolist() == [
        "my photos/first one",
        "Übung/Käse.v2",
        "日本/犬",
        "a, b",
        "007",
    ]
    assert classes == ["big dog"]


def test_cells_are_stripped_and_tags_counted_once(listed):
    listing, classes = listed(
        "tags, image ,split,remark\n dog ; cat;dog;; , ./sub//a.jpg , train ,x\n", ["sub/a.jpg"]
    )
    assert listing.loc[0].tolist() == ["sub/a", "sub/a.jpg", "train", ("dog", "cat")]
    assert classes == ["cat", "dog"]


def test_byte_order_mark_and_windows_lines(listed):
    table = b"\xef\xbb\xbfimage,tags,split\r\na.jpg,cat,train\r\n\r\nb.jpg,cat,val\r\n"
    listing, _ = listed(table, ["a.jpg", "b.jpg"])
    assert listing["image"].tolist() == ["a", "b"]
    assert listing["split"].tolist() == ["train", "val"]


def test_the_folder_itself_may_be_a_link(listed, tmp_path):
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    (tmp_path / "photos").symlink_to(tmp_path / "elsewhere")
    listing, _ = listed("image,tags,split\na.jpg,cat,train\n", ["a.jpg"])
    assert listing["path"].tolist() == ["a.jpg"]


def test_links_within_the_folder_are_fine(listed, tmp_path):
    (tmp_path / "photos" / "link.jpg").symlink_to("a.jpg")
    listing, _ = listed("image,tags,split\nlink.jpg,cat,train\n", ["a.jpg"])
    assert listing["path"].tolist() == ["link.jpg"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            "b.jpg,cta,train",
            "unknown tag 'cta'; did you mean 'cat'? choose from cat, dog, or add it to classes",
        ),
        (
            '"b.jpg","cat,dog",train',
            "unknown tag 'cat,dog'; tags are separated by ';', not by ',', or add it to classes",
        ),
        (
            "b.jpg,dog/cat,train",
            "unknown tag 'dog/cat'; tags are separated by ';', not by '/', or add it to classes",
        ),
        ("b.jpg,Cat,train", "unknown tag 'Cat'; did you mean 'cat'? choose from cat, dog, or add"),
        ("b.jpg,cat,test", "unknown split 'test'; choose from train, val, ood"),
        ("b.jpg,cat,", "unknown split ''; choose from train, val, ood"),
        ("b.jpg,cat,ood", "an ood image shows none of the classes; leave its tags empty"),
        ("  ,cat,train", "the image is blank; write its path, or delete the line"),
        ("gone.jpg,cat,train", "no image {photos}/gone.jpg; correct the name"),
        ("sub,cat,train", "'sub' cannot be opened (a folder, where a file should be)"),
        (".,cat,train", "'.' cannot be opened (a folder, where a file should be)"),
        ("{photos}/b.jpg,cat,train", "'{photos}/b.jpg' may lie outside {photos}"),
        (
            "../out.jpg,cat,train",
            "'../out.jpg' may lie outside {photos}; write the path from there",
        ),
        ("sub/../b.jpg,cat,train", "'sub/../b.jpg' may lie outside"),
        ("link.jpg,cat,train", "'link.jpg' links to a place outside {photos}; copy the image"),
        ("linked/out.jpg,cat,train", "'linked/out.jpg' links to a place outside {photos}"),
        ("a.jpg,dog,val", "'a.jpg' is listed already in line 2; keep one"),
        ("./a.jpg,cat,train", "'a.jpg' is listed already in line 2; keep one"),
        ("a.png,cat,train", "'a.png' differs from 'a.jpg' in line 2 by the suffix alone; rename"),
        ("b.jpg,cat", "2 cells, but 3 columns; write one cell per column, tags separated by ';'"),
        ("b.jpg,cat,dog,train", "4 cells, but 3 columns"),
        ("x" * 300 + ".jpg,cat,train", "cannot be opened (File name too long)"),
        ('b.jpg,"cat,train', "no CSV (unexpected end of data); mend the quotes"),
    ],
)
def test_a_mistake_in_a_line_is_named(listed, tmp_path, row, said):
    photos = tmp_path / "photos"
    Image.new("RGB", (4, 3)).save(tmp_path / "out.jpg")
    (photos / "link.jpg").symlink_to(tmp_path / "out.jpg")
    (photos / "linked").symlink_to(tmp_path)
    table = f"image,tags,split\na.jpg,cat,train\n{row.format(photos=photos)}\n"
    with pytest.raises(UserError) as raised:
        listed(table, ["a.jpg", "a.png", "b.jpg", "sub/c.jpg"], ("cat", "dog"))
    assert str(raised.value).startswith(f"{tmp_path / 'tags.csv'}, line 3: ")
    assert said.format(photos=photos) in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_a_name_in_another_unicode_form_is_told(listed):
    with pytest.raises(UserError) as raised:
        listed("image,tags,split\nFr\u00fch.jpg,cat,train\n", ["Fru\u0308h.jpg"])
    assert str(raised.value).endswith(
        "but is of other characters ('Fru\\u0308h.jpg', as macOS writes it); rename the file, or "
        "copy its name here"
    )


def test_a_tag_that_spans_lines_is_named_by_its_last(listed):
    with pytest.raises(UserError, match=r"tags\.csv, line 3: tag 'cat\\ndog' spans lines"):
        listed('image,tags,split\na.jpg,"cat\ndog",train\n', ["a.jpg"])


def test_all_mistakes_are_named_at_once(listed):
    with pytest.raises(UserError) as raised:
        listed("image,tags,split\na.jpg,cat,train\n,cat,train\nb.jpg,cat,tset\n", ["a.jpg"])
    third, fourth, also_fourth = str(raised.value).splitlines()
    assert "line 3: the image is blank" in third
    assert "line 4: unknown split 'tset'" in fourth
    assert "line 4: no image" in also_fourth


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (None, r"no such file; correct `tags`"),
        ("", r"empty; write the columns image, tags, split"),
        ("\n\n", r"empty; write the columns image, tags, split"),
        ("image,tags,split\n", r"no line below the header; write one per image"),
        ("image,tags\na.jpg,cat\n", r"no column split \(or several\), but image, tags;"),
        ("image;tags;split\na.jpg;cat;train\n", r"no column image, tags, split .*by commas"),
        ("image,tags,split,tags\na.jpg,cat,train,cat\n", r"no column tags \(or several\)"),
        ("image,tags,split\na.jpg,,train\n", r"no tag in the column tags; tag the training"),
        (b"image,tags,split\nK\xe4se.jpg,cat,train\n", r"byte 18 is not UTF-8; save the table"),
    ],
)
def test_a_table_that_is_none_is_refused(listed, tmp_path, table, said):
    with pytest.raises(UserError, match=rf"{re.escape(str(tmp_path / 'tags.csv'))}: {said}"):
        listed(table, ["a.jpg"])


def test_an_absent_folder_of_images_is_named(tmp_path):
    (tmp_path / "tags.csv").write_text("image,tags,split\na.jpg,cat,train\n")
    spec = Folder(images="gone", tags=str(tmp_path / "tags.csv"))
    with pytest.raises(UserError, match=r"gone: no such folder of images; correct `images`"):
        list_all(folder, spec, tmp_path / "gone")


def test_a_class_without_training_image_is_named(listed, tmp_path):
    listing, classes = listed(
        "image,tags,split\na.jpg,cat,train\nb.jpg,dog,val\n", ["a.jpg", "b.jpg"]
    )
    with pytest.raises(UserError, match="class 'dog' has no training image; tag some or remove"):
        build_index(listing, tmp_path / "photos", classes, 1, 1)


def test_masks_are_named_like_the_images(tmp_path):
    index = pd.DataFrame({"image": ["sub/a", "b.v2", "c"], "split": ["train", "val", "val"]})
    (tmp_path / "sub").mkdir()
    for name in ("sub/a.png", "b.v2.png", "other.png"):
        Image.new("L", (1, 1)).save(tmp_path / name)
    spec = Folder(images="", tags="", masks=str(tmp_path), classes=("cat",))
    assert folder.list_masks(spec, tmp_path, index).to_dict("list") == {
        "image": ["sub/a", "b.v2", "c"],
        "mask": ["sub/a.png", "b.v2.png", ""],
        "instances": ["", "", ""],
        "lacks": ["", "", str(tmp_path / "c.png")],
    }


def test_mask_files_hold_our_ids():
    spec = Folder(images="", tags="", classes=("cat", "dog"))
    table = folder.mask_table(spec, ["cat", "dog"])
    np.testing.assert_array_equal(table[[0, 1, 2, 3, 254, 255]], [0, 1, 2, INVALID, INVALID, 255])


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        (["Background"], ["line 2: the tag 'Background' is implied; take it out"]),
        (["a", "MEAN"], ["line 3: the tag 'MEAN' means something else; rename it"]),
        (
            ['"cat,dog"', "cat|dog", '"cat,dog"'],
            [
                "line 2: tag 'cat,dog'; tags are separated by ';', not by ',', or list it in "
                "`classes`",
                "line 3: tag 'cat|dog'; tags are separated by ';', not by '|', or list it in "
                "`classes`",
            ],
        ),
        (
            ["dog", "cat dog", "cat"],
            [
                "line 3: tag 'cat dog'; tags are separated by ';', not by ' ', or list it in "
                "`classes`"
            ],
        ),
        (
            ["cat", "dog;Cat", "Cat"],
            [
                "line 3: tag 'Cat' beside 'cat' in line 2; write one of them, or list both in "
                "`classes`"
            ],
        ),
        (
            ["caf\u00e9", "cafe\u0301"],
            [
                "line 3: tag 'cafe\u0301' beside 'caf\u00e9' in line 2; write one of them, or list "
                "both in `classes`"
            ],
        ),
        (["big dog", "dog", "and/or"], None),
    ],
)
def test_tags_that_are_hardly_meant_as_classes_are_named_with_their_line(
    listed, tmp_path, tags, said
):
    names = [f"{number}.jpg" for number in range(len(tags))]
    rows = [f"{name},{tag},train" for name, tag in zip(names, tags, strict=True)]
    table = "\n".join(["image,tags,split", *rows]) + "\n"
    if said is None:
        assert listed(table, names)[1] == sorted(tags)
        return
    with pytest.raises(UserError) as raised:
        listed(table, names)
    assert str(raised.value).splitlines() == [f"{tmp_path / 'tags.csv'}, {line}" for line in said]


def test_what_the_config_lists_is_meant_as_a_class(listed):
    table = 'image,tags,split\na.jpg,"cat;Cat;cat,dog",train\n'
    assert listed(table, ["a.jpg"], ("cat", "Cat", "cat,dog"))[1] == ["cat", "Cat", "cat,dog"]
