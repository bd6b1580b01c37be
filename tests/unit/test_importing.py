"""`tags2masks import`, whatever the format: tags, copies, names, the command and its messages."""

import sys
from pathlib import Path

import pytest
import yaml

from tags2masks.__main__ import main
from tags2masks.importing.choosing import NO_TAG
from tags2masks.importing.items import locator
from tags2masks.importing.writing import Division
from tests.unit.import_source import imported, photo, reasons, table


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    """Work in an empty folder with an empty source."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()


def test_labels_that_cannot_be_tags_and_images_that_cannot_be_read():
    for name in ("a;b/0.jpg", "mean/1.jpg", "cat/2.jpg", "cat/3.jpg", "cat/3.png"):
        photo(name)
    Path("in/cat/4.jpg").write_bytes(b"")
    result = imported("folders", division=Division(0))
    assert table() == [
        ("cat/2.jpg", "cat", "train"), ("cat/3.jpg", "cat", "train"),
    ]  # fmt: skip
    assert reasons(result) == [
        ("a;b/0.jpg", "label 'a;b' cannot be a tag; rename it"),
        ("a;b/0.jpg", NO_TAG),
        ("mean/1.jpg", "label 'mean' means something else here; rename it"),
        ("mean/1.jpg", NO_TAG),
        ("cat/3.png", "differs from cat/3.jpg by the suffix alone"),
        ("cat/4.jpg", "empty file; replace it or take it off the list"),
    ]


def test_images_are_copied_or_linked():
    photo("cat/0.jpg")
    imported("folders", files="copied")
    copy, source = Path("out/images/cat/0.jpg"), Path("in/cat/0.jpg")
    assert copy.read_bytes() == source.read_bytes() and not copy.samefile(source)
    assert yaml.safe_load(Path("out/dataset.yaml").read_text())["images"] == "out/images"
    Path("out").rename("old")
    imported("folders", files="linked")
    assert copy.samefile(source)


def test_names_of_images():
    for name in ("a.jpg", "x/b.jpg", "y/b.jpg", "x/0a1b2c3d-c.jpg"):
        photo(name)
    locate = locator(Path("in"))
    names = ["a.jpg", "./a.jpg", "C:\\me\\x\\b.jpg", "/home/me/y/b.jpg", "b.jpg", "c.jpg", ""]
    assert list(map(locate, names)) == ["a.jpg", "a.jpg", "x/b.jpg", "y/b.jpg", None, None, None]
    assert locate("http://host/d/ffffffff-a.jpg") == "a.jpg"
    # x is here, without such an image: a.jpg is another one.
    assert locate("x/a.jpg") is None and locate("z/a.jpg") == "a.jpg"
    assert locate("../../in/a.jpg") == "a.jpg"


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["tags2masks", "import", *arguments])
    main()


def test_the_command_divides_by_parent_and_reports(monkeypatch, capsys):
    for parent in range(10):
        for tile in range(2):
            photo(f"{'cat' if parent < 5 else 'dog'}/p{parent}_{tile}.jpg")
    (Path("in/cat") / "broken.jpg").write_bytes(b"GIF")
    run(monkeypatch, "folders", "in", "out", "--val", "0.2", "--parent", r"(p\d+)_")
    split_of = {}
    for path, _, split in table():
        split_of.setdefault(path.split("_")[0], set()).add(split)
    assert all(len(splits) == 1 for splits in split_of.values())
    val = sorted(parent[:3] for parent, splits in split_of.items() if splits == {"val"})
    assert val == ["cat", "dog"]
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "out: 20 images (16 train, 4 val)",
        "  cat                        10",
        "  dog                        10",
    ]
    assert "cat/broken.jpg" in printed.err and "dropped: 1 in all: out/dropped.csv" in printed.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("folders", "gone", "out"), "error: gone: no such file or folder; correct SOURCE"),
        (("folders", "in", "in"), "error: in: is there already; give a new folder"),
        (("coco", "in", "out"), "error: in: no JSON file in it; correct the path"),
        (
            ("yolo", "in", "out"),
            "error: in: no data.yaml with `names`, and no classes.txt; add one",
        ),
        (("colours", "in", "out"), "error: in/images: no such folder of images; correct the path"),
        (("cvat", "in", "out"), "error: in: no XML file in it; correct the path"),
        (("label-studio", "in/cat/0.jpg", "out"), "error: in/cat/0.jpg: no whole JSON"),
        (
            ("folders", "in", "out", "--classes", "dog"),
            "error: --classes: no label 'dog'; choose from cat",
        ),
        (("folders", "in", "out", "--parent", "("), "error: --parent '(': no regular expression"),
        (
            ("folders", "in", "out", "--parent", "x"),
            "error: --parent 'x': matches no image, such as ",
        ),
    ],
)
def test_mistakes_end_in_one_line_and_write_nothing(monkeypatch, arguments, said):
    photo("cat/0.jpg")
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, *arguments)
    assert str(ended.value).startswith(said) and "\n" not in str(ended.value)
    assert sorted(path.name for path in Path().iterdir()) == ["in"]


def test_a_share_is_a_share(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "folders", "in", "out", "--val", "1")
    assert "'1' is no share; write a number from 0, below 1" in capsys.readouterr().err
