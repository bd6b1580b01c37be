"""`tags2masks import` and the names of classes, columns and files."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tags2masks.errors import UserError
from tags2masks.importing.first_config import write_first_config
from tags2masks.importing.writing import Division
from tags2masks.user_tables import spelling
from tests.unit.import_source import SIZE, imported, photo, table, write


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    """Work in an empty folder with an empty source."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()


def tags():
    """The tags of each image of the table that was written."""
    return {image: tags for image, tags, _ in table()}


TWINS = [
    ("Cat", "cat", "'Cat' and 'cat'"),
    ("big cat", "big  cat", "'big  cat' and 'big cat'"),
    ("caf\u00e9", "cafe\u0301", "'cafe\\u0301' and 'caf\\xe9'"),
    ("cat", "c\u200bat", "'cat' and 'c\\u200bat'"),
]


@pytest.mark.parametrize(("one", "other", "said"), TWINS)
def test_labels_that_look_the_same_are_refused(one, other, said):
    photo(f"{one}/0.png")
    photo(f"{other}/1.png")
    expected = (
        f"in: labels {said} look the same; write one of them everywhere, or name both with "
        "--classes"
    )
    with pytest.raises(UserError) as raised:
        imported("folders")
    assert str(raised.value) == expected
    with pytest.raises(UserError) as raised:
        imported("folders", only=[one])  # images of the other would show no class
    assert str(raised.value) == expected
    with pytest.raises(UserError) as raised:
        write_first_config(Path("in"), Path("in.yaml"), None, "cpu", "two cores", 1)
    assert str(raised.value) == expected
    assert sorted(path.name for path in Path().iterdir()) == ["in"]


def test_labels_that_look_the_same_may_be_meant():
    for number, name in enumerate(("Cat", "cat", "dog")):
        photo(f"{name}/{number}.png")
    assert imported("folders", only=["Cat", "cat"]).tagged == {"Cat": 1, "cat": 1}
    Path("out").rename("old")
    assert imported("folders", only=["dog"]).tagged == {"dog": 1}


def test_spelling():
    for one, other, _ in TWINS:
        assert one != other and spelling(one) == spelling(other)
    assert spelling("Stra\u00dfe") == spelling("STRASSE") == "strasse"
    assert spelling(" a\u00a0\tb ") == "a b"
    assert len({spelling(name) for name in ("cat", "cats", "c at", "c\u0101t", "cat1")}) == 5
    nfd = unicodedata.normalize("NFD", "\u00c5ngstr\u00f6m")
    assert spelling(nfd) == spelling("\u00e5ngstr\u00f6m") == "\u00e5ngstr\u00f6m"


@pytest.mark.parametrize("header", ["id,filename", "filename,id", "name,image"])
def test_a_table_with_several_columns_of_names(header):
    photo("a.png")
    photo("b.png")
    cells = {"id": "01", "filename": "ab", "name": "xx", "image": "ab"}
    rows = [",".join(cells[name][row] for name in header.split(",")) for row in (0, 1)]
    Path("in/t.csv").write_text(f"{header},cat,dog\n{rows[0]},1,0\n{rows[1]},0,1\n")
    result = imported("one-hot", "in/t.csv")
    assert tags() == {"a.png": "cat", "b.png": "dog"} and list(result.tagged) == ["cat", "dog"]


@pytest.mark.parametrize("number", ["", "id", "image_id"])
def test_a_column_of_numbers_is_no_class(number):
    photo("a.png")
    photo("b.png")
    Path("in/t.csv").write_text(f"{number},filename,cat\n0,a.png,1\n1,b.png,0\n")
    result = imported("one-hot", "in/t.csv")
    assert tags() == {"a.png": "cat", "b.png": ""} and result.tagged == {"cat": 1}
    assert [one.why for one in result.dropped] == [f"column '{number}' is no class, but a number"]


def test_of_columns_that_name_as_many_images_a_name_of_a_file_counts():
    photo("1.png")
    photo("2.png")
    Path("in/t.csv").write_text("id,filename,cat\n1,2.png,1\n2,1.png,0\n")
    imported("one-hot", "in/t.csv")
    assert tags() == {"2.png": "cat", "1.png": ""}


def test_paths_that_no_table_can_hold_are_dropped():
    for name in ("images/a.png", " lead/b.png"):
        photo(name)
        Path(f"in/{name[:-4]}.txt").write_text("0 .5 .5 1 1\n")
    photo("images/c.png")
    Path("in/images/c.png").rename("in/images/\udcff.png")
    Path("in/classes.txt").write_text("cat\n")
    result = imported("yolo")
    assert tags() == {"images/a.png": "cat"}
    assert [(one.where, one.why) for one in result.dropped] == [
        (" lead/b.png", "its path begins or ends with a blank; rename it"),
        ("images/\udcff.png", "its path is not UTF-8; rename it"),
    ]


@pytest.mark.parametrize("names", ["[yes, no, 1_0]", "{0: yes, 1: no, 2: 1_0}"])
def test_names_of_yolo_are_as_they_are_written(names):
    for number in range(3):
        photo(f"{number}.png")
        Path(f"in/{number}.txt").write_text(f"{number} .5 .5 1 1\n")
    Path("in/data.yaml").write_text(f"names: {names}\nnc: 3\n")
    assert imported("yolo").tagged == {"yes": 1, "no": 1, "1_0": 1}


def test_names_of_yolo_that_are_no_list():
    Path("in/data.yaml").write_text("names: cat, dog\n")
    with pytest.raises(UserError) as raised:
        imported("yolo")
    assert str(raised.value) == (
        "in/data.yaml: no names of classes (a text, not a list); correct `names`"
    )


def test_the_image_beside_an_annotation_is_meant():
    shapes = [{"label": "cat", "shape_type": "rectangle", "points": [[1, 1], [4, 4]]}]
    about = {"imageHeight": 6, "imageWidth": 8, "shapes": shapes}
    xml = (
        "<annotation><filename>1.png</filename><size><width>8</width><height>6</height></size>"
        "<object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax>"
        "<ymax>4</ymax></bndbox></object></annotation>"
    )
    for name in ("1.png", "a/1.png", "b/1.png", "c/2.png", "photos/3.png"):
        photo(name)
    for folder in "ab":
        write(f"{folder}/1.json", about | {"imagePath": "1.png"})
        write(f"{folder}/1.xml", xml)
    # Among images, none of which is its own; and in a folder of annotations.
    write("c/1.json", about | {"imagePath": "1.png"})
    write("c/1.xml", xml)
    write("labels/3.json", about | {"imagePath": "..\\photos\\3.png"})
    write("labels/3.xml", xml.replace("1.png", "3.png"))
    for kind in ("labelme", "voc"):
        result = imported(kind, division=Division(0))
        assert sorted(tags()) == ["a/1.png", "b/1.png", "photos/3.png"]
        assert [one.where.split(":")[0] for one in result.dropped] == [
            f"in/c/1.{'json' if kind == 'labelme' else 'xml'}"
        ]
        Path("out").rename(kind)


def test_classes_of_masks_of_colours_may_be_chosen():
    photo("images/0.jpg")
    pixels = np.zeros((*SIZE[::-1], 3), np.uint8)
    pixels[0, :2], pixels[1, 0] = (255, 0, 0), (0, 0, 255)
    Path("in/masks").mkdir()
    Image.fromarray(pixels).save("in/masks/0.png")
    write("classes.csv", "name,r,g,b\nbackground,0,0,0\ncat,255,0,0\ntree;bush,0,0,255\n")
    with pytest.raises(UserError, match="label 'tree;bush' cannot be a tag; rename it in the tab"):
        imported("colours", division=Division(0))
    assert imported("colours", division=Division(0), only=["cat"]).tagged == {"cat": 1}
    assert tags() == {"0.jpg": "cat"}
    mask = np.asarray(Image.open("out/masks/0.png"))
    assert mask.sum() == 2 and (mask[0, :2] == 1).all()
