"""Folders of new images: which of them can be segmented, and what is said of the others."""

import re
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tags2masks.config.project import parse_config
from tags2masks.config.reading import read_config
from tags2masks.config.voc import VOC_CLASSES
from tags2masks.errors import UserError
from tags2masks.export.predicting import find_images
from tags2masks.workflow.building import build_experiments
from workflow_scripts import check_predictions

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def photos(tmp_path):
    """Two images, one of them in a subfolder, and a damaged one between them."""
    (tmp_path / "photos/sub").mkdir(parents=True)
    Image.new("RGB", (5, 3)).save(tmp_path / "photos/a.png")
    Image.new("RGB", (4, 6)).save(tmp_path / "photos/sub/c.jpg")
    (tmp_path / "photos/b.JPG").write_bytes(b"no image")
    (tmp_path / "photos/notes.txt").write_text("no image either")
    return tmp_path / "photos"


def test_damaged_images_are_set_apart(photos):
    found, damaged = find_images(photos, {})
    assert found.values.tolist() == [["a.png", "a.png", 3, 5], ["sub/c.jpg", "sub/c.jpg", 6, 4]]
    assert damaged["image"].tolist() == ["b.JPG"]
    assert damaged["problem"][0].startswith(f"{photos / 'b.JPG'}: not an image of a format")


def test_folders_without_a_whole_image_are_refused(photos):
    (photos / "a.png").unlink()
    (photos / "sub/c.jpg").unlink()
    with pytest.raises(UserError, match=r"^\S+photos: none of 1 images can be read; .*b\.JPG: not"):
        find_images(photos, {})
    (photos / "b.JPG").unlink()
    with pytest.raises(UserError, match=r"^\S+photos: holds no images \(\.apng, \.avif, "):
        find_images(photos, {})
    said = f"{photos / 'x'}: no such folder; correct `images` of predict in the config"
    with pytest.raises(UserError, match=f"^{re.escape(said)}$"):
        find_images(photos / "x", {})


def test_a_list_says_which_images_and_in_which_order(photos):
    names = photos.parent / "test.txt"
    names.write_text("sub/c\n\n a.png \n")
    found, damaged = find_images(photos, {}, names)
    assert found["image"].tolist() == ["sub/c.jpg", "a.png"] and damaged.empty


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "test.txt: names no image; correct the list"),
        ("a\nx\n../a\n", r"no image 'x' in \S+photos; correct the list\n.*no image '\.\./a' in"),
        ("a\n", "'a' is a.jpg or a.png; write it with its suffix"),
        ("a.png\nsub/c\nsub/c.jpg\n", "names sub/c.jpg twice; keep one"),
        ("\x00", "no image '\x00' in"),
        (None, "test.txt: cannot be read .*; correct the list"),
    ],
)
def test_lists_that_do_not_fit(photos, lines, said):
    names = photos.parent / "test.txt"
    if lines is not None:
        names.write_text(lines)
    if said.startswith("'a'"):
        Image.new("RGB", (5, 3)).save(photos / "a.jpg")
    with pytest.raises(UserError, match=said):
        find_images(photos, {}, names)


def test_the_documented_entry_is_of_an_experiment_with_a_segmenter():
    page = (
        (ROOT / "docs/export.md").read_text(encoding="utf-8").partition("### PASCAL VOC's test")[2]
    )
    entry = yaml.safe_load(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])
    config = parse_config(read_config(ROOT / "papers/label_efficient.yaml") | entry)
    wanted = config.predict["test"]
    assert wanted.formats == ("voc",) and wanted.image_list.endswith("Segmentation/test.txt")
    (found,) = (each for each in build_experiments(config) if each.name == wanted.experiment)
    assert "segmenter" in found.artifacts and config.datasets["voc"].classes == VOC_CLASSES


def test_the_check_names_each_folder_with_damaged_images(tmp_path, monkeypatch):
    for name, rows in (("fine", ""), ("bad", "b.jpg,b.jpg: empty file\nc.jpg,c.jpg: empty file\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "damaged.csv").write_text(f"image,problem\n{rows}")
    arguments = ["check_predictions", "--folders", str(tmp_path / "fine")]
    monkeypatch.setattr("sys.argv", arguments)
    check_predictions.main()
    monkeypatch.setattr("sys.argv", [*arguments, str(tmp_path / "bad")])
    said = (
        f"{tmp_path / 'bad'}: 2 of its images could not be read, see damaged.csv there; "
        "the first: b.jpg: empty file; mend them, and run again with --forcerun predict_images"
    )
    with pytest.raises(UserError, match=f"^{re.escape(said)}$"):
        check_predictions.main()
    monkeypatch.setattr("sys.argv", ["check_predictions", "--folders"])
    with pytest.raises(UserError, match="the config has no `predict`, so nothing is segmented"):
        check_predictions.main()
