"""Boxes: the table, and the one that people write for a folder of images."""

import re

import pandas as pd
import pytest

from tags2masks.config.folders import Folder
from tags2masks.data import folder
from tags2masks.data.boxes import COLUMNS, Box, box_table, nudged, read_boxes, write_boxes
from tags2masks.data.tables import write_table
from tags2masks.errors import UserError

INDEX = pd.DataFrame(
    {"image": ["b", "sub/a", "c"], "split": ["train", "train", "val"], "height": 4, "width": 6}
)
HEADER = "image,class,x1,y1,x2,y2,difficult\n"


def test_boxes_are_in_the_order_of_the_index():
    boxes = [
        Box("c", "cat", (0, 0, 0, 0), False, "1"),
        Box("b", "dog", (1, 2, 5, 3), True, "2"),
        Box("c", "dog", (0, 0, 5, 3), False, "3"),
    ]
    table = box_table(boxes, INDEX)
    assert table.to_numpy().tolist() == [
        ["b", "dog", 1, 2, 5, 3, True],
        ["c", "cat", 0, 0, 0, 0, False],
        ["c", "dog", 0, 0, 5, 3, False],
    ]


def test_only_a_pixel_beyond_the_image_is_forgiven():
    assert nudged((-1, -1, 6, 4), (4, 6)) == (0, 0, 5, 3)
    assert nudged((0, 0, 5, 3), (4, 6)) == (0, 0, 5, 3)
    assert nudged((-2, 4, -1, 5), (4, 6)) == (-2, 4, -1, 5)


def test_written_and_read_back_alike(tmp_path):
    boxes = [
        Box("b", "big dog", (1, 2, 5, 3), True, ""),
        Box("sub/a", "1e5", (0, 0, 5, 3), False, ""),
    ]
    write_boxes(tmp_path / "boxes.csv", box_table(boxes, INDEX))
    assert (tmp_path / "boxes.csv").read_text() == (
        "image,class,x1,y1,x2,y2,difficult,crc\n"
        "b,big dog,1,2,5,3,1,6598d8ef\n"
        "sub/a,1e5,0,0,5,3,0,bcbf1db0\n"
    )
    back = read_boxes(tmp_path / "boxes.csv")
    assert back.to_dict("list") == box_table(boxes, INDEX).to_dict("list")
    assert back["difficult"].dtype == bool


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no such file; run again"),
        ("image,class,x1\na,cat,1\n", "no column y1, x2, y2, difficult"),
        (f"{HEADER}a,cat,1,2,3,4,0\n", "no column crc"),
    ],
)
def test_files_that_are_no_boxes_are_refused(tmp_path, text, said):
    path = tmp_path / "boxes.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=rf"{re.escape(str(path))}: {said}"):
        read_boxes(path)


def test_a_corner_that_is_no_number_is_named(tmp_path):
    rows = pd.DataFrame([["a", "cat", 1, 2, 3, "four", 0]], columns=list(COLUMNS))
    write_table(tmp_path / "boxes.csv", rows, COLUMNS)
    with pytest.raises(UserError, match=r"boxes\.csv: invalid literal .*'four'"):
        read_boxes(tmp_path / "boxes.csv")


@pytest.fixture
def listed(tmp_path):
    """List the boxes that a folder's table has of a split's images."""
    rows = ["b.png,,train", "sub/a.jpg,,train", "c.png,,val", "o.png,,ood"]
    (tmp_path / "tags.csv").write_text("\n".join(["image,tags,split", *rows]))

    def list_them(text, split="train"):
        (tmp_path / "mine.csv").write_text(text)
        spec = Folder(images="", tags=str(tmp_path / "tags.csv"), boxes=str(tmp_path / "mine.csv"))
        return folder.list_boxes(spec, tmp_path, INDEX[INDEX["split"] == split], ["cat", "dog"])

    return list_them


def test_a_table_of_boxes(listed):
    boxes = listed(
        "split,difficult,image,class,x1,y1,x2,y2\n"
        "x,1,./sub/a.jpg, dog ,0,0,5,3\n"
        "x,,b.png,cat,2,1,2,1\n"
        "x,0,sub/a.jpg,cat,0,0,1,1\n"
    )
    assert boxes.to_numpy().tolist() == [
        ["b", "cat", 2, 1, 2, 1, False],
        ["sub/a", "dog", 0, 0, 5, 3, True],
        ["sub/a", "cat", 0, 0, 1, 1, False],
    ]
    assert not listed("image,class,x1,y1,x2,y2\nb.png,cat,2,1,2,1\n")["difficult"].any()


def test_each_split_has_its_boxes(listed):
    table = f"{HEADER}b.png,cat,2,1,2,1,0\nc.png,dog,0,0,5,3,0\n"
    assert listed(table)["image"].tolist() == ["b"]
    assert listed(table, "val")["image"].tolist() == ["c"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "b.png,cat,0,0,6,3,0",
            "the box from 0,0 to 6,3 leaves the image, whose last pixel is",
        ),
        ("b.png,cat,-1,0,5,3,0", "the box from -1,0 to 5,3 leaves the image"),
        ("b.png,cat,3,0,2,3,0", "the box from 3,0 to 2,3 has no area"),
        ("b.png,cta,0,0,5,3,0", "unknown class 'cta'; did you mean 'cat'? choose from cat, dog"),
        ("d.png,cat,0,0,5,3,0", "no image 'd.png' of split train or val in the table of tags"),
        (",cat,0,0,5,3,0", "no image '' of split train or val"),
        ("o.png,cat,0,0,5,3,0", "no image 'o.png' of split train or val"),
        ("b.png,cat,0,0,5,3.5,0", "corners are whole pixels, but these are 0, 0, 5, 3.5"),
        ("b.png,cat,0,0,5,,0", "corners are whole pixels, but these are 0, 0, 5, "),
        ("b.png,cat,0,0,5,3,yes", "difficult is 'yes'; write 0 or 1"),
        ("b.png,cat,0,0,5,3", "6 cells, but 7 columns; write one cell per column, and quotes"),
    ],
)
def test_a_mistake_in_a_line_is_named(listed, tmp_path, line, said):
    with pytest.raises(UserError) as raised:
        listed(f"{HEADER}b.png,cat,0,0,5,3,0\n{line}\n")
    assert str(raised.value).startswith(f"{tmp_path / 'mine.csv'}, line 3: {said}")
    assert len(str(raised.value).splitlines()) == 1


def test_all_mistakes_are_named_at_once(listed):
    with pytest.raises(UserError) as raised:
        listed(f"{HEADER}b.png,cta,0,0,5,3,2\nd.png,cat,0,0,5,3,0\n")
    assert [line.split(":")[0][-1] for line in str(raised.value).splitlines()] == ["2", "2", "3"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "empty; write the columns image, class, x1, y1, x2, y2"),
        ("image,class,x1,y1,x2\nb.png,cat,0,0,1\n", r"no column y2 \(or several\)"),
        (HEADER, "no line below the header; write one per image, or several"),
    ],
)
def test_a_table_that_is_none_is_refused(listed, tmp_path, table, said):
    with pytest.raises(UserError, match=rf"mine\.csv: {said}"):
        listed(table)
