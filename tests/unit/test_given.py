"""Files that people give: what is no file ends in one line, whoever opens it, and never hangs."""

import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from tags2masks.config.base import ConfigError
from tags2masks.config.coco import Coco
from tags2masks.config.folders import Folder
from tags2masks.config.reading import read_config
from tags2masks.config.voc import Voc
from tags2masks.data import coco, folder, mnist, voc
from tags2masks.data.images import decode, read_image
from tags2masks.data.index import read_classes, read_index
from tags2masks.data.truth import plain_table, read_mask
from tags2masks.errors import UserError
from tags2masks.given import is_given, leads_outside, open_given, path_inside, read_text
from tags2masks.nets.backbones import read_weights
from tags2masks.report.published import read_published
from tags2masks.workflow import started
from tags2masks.workflow.plan import Plan

pytestmark = pytest.mark.timeout(60)  # a pipe that is read would hang


def pipe(path):
    os.mkfifo(path)


def folder_there(path):
    path.mkdir()


def device(path):
    path.symlink_to("/dev/zero")


def loop(path):
    path.symlink_to(path.name)


def bound_socket(path):
    with socket.socket(socket.AF_UNIX) as end:
        before = Path.cwd()
        os.chdir(path.parent)  # such a name has 107 bytes at most
        end.bind(path.name)
        os.chdir(before)


NO_FILES = {
    pipe: "a named pipe, where a file should be",
    folder_there: "a folder, where a file should be",
    device: "a device, where a file should be",
    bound_socket: "a socket, where a file should be",
    loop: "Too many levels of symbolic links",
}


@pytest.mark.parametrize(("make", "said"), NO_FILES.items())
def test_what_is_no_file_is_not_opened(tmp_path, make, said):
    make(tmp_path / "x")
    assert not is_given(tmp_path / "x")
    with pytest.raises(OSError) as error:
        open_given(tmp_path / "x")
    assert error.value.strerror == said


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300])
def test_names_that_no_file_has(tmp_path, name):
    assert not is_given(tmp_path / name)
    with pytest.raises(OSError) as error:
        open_given(tmp_path / name)
    assert error.value.strerror in ("no name that a file can have", "File name too long")


def test_links_to_files_are_files_and_lines_end_alike(tmp_path):
    (tmp_path / "a").write_bytes(b"one\r\ntwo\n")
    (tmp_path / "b").symlink_to("a")
    assert is_given(tmp_path / "b") and read_text(tmp_path / "b") == "one\ntwo\n"


def index_of(reader, spec, path):
    """Lists the training images with everything that the reader asks for."""
    classes = reader.list_classes(spec, path.parent)
    return reader.list_images(spec, path.parent, "train", classes)


def boxes_of(path):
    (path.parent / "tags.csv").write_text("image,tags,split\na.png,cat,train\n")
    spec = Folder(images=".", tags=str(path.parent / "tags.csv"), boxes=str(path))
    return folder.list_boxes(spec, path.parent, pd.DataFrame({"image": []}), ["cat"])


def annotation_of(path):
    (path.parent / "list.txt").write_text(path.stem)
    (path.parent / "Annotations").mkdir()
    path.rename(path.parent / "Annotations" / f"{path.stem}.xml")
    return index_of(voc, Voc(root=str(path.parent), train_list="list.txt"), path)


def coco_list_of(path):
    (path.parent / "train.json").write_text('{"images": [], "categories": [], "annotations": []}')
    spec = Coco(root="", train_annotations="train.json", train_list=path.name, val_annotations=None)
    return coco.list_images(spec, path.parent, "train", [])


READERS = {
    "tags": lambda path: index_of(folder, Folder(images=".", tags=str(path)), path),
    "boxes": boxes_of,
    "voc list": lambda path: index_of(voc, Voc(root=str(path.parent), train_list=path.name), path),
    "voc annotation": annotation_of,
    "coco": lambda path: index_of(coco, Coco(root="", train_annotations=path.name), path),
    "coco list": coco_list_of,
    "mnist": mnist.read_idx,
    "image": read_image,
    "picture": decode,
    "mask": lambda path: read_mask(path, plain_table(1), (1, 1)),
    "weights": read_weights,
    "published": read_published,
    "config": read_config,
    "index": read_index,
    "classes": read_classes,
}


@pytest.mark.parametrize("make", NO_FILES)
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_names_what_is_no_file_in_one_line(tmp_path, reader, make):
    path = tmp_path / "given.txt"
    make(path)
    with pytest.raises(UserError) as error:
        READERS[reader](path)
    said = str(error.value)
    assert len(said.splitlines()) == 1 and "given" in said


@pytest.mark.parametrize("reader", [name for name in READERS if name != "weights"])
def test_every_reader_names_what_may_not_be_read(tmp_path, reader, monkeypatch):
    path = tmp_path / "given.txt"
    path.write_text("content\n")
    opened = Path.open

    def refuse(self, *arguments, **options):
        if self.stem == "given":
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)  # root may read all there is
    with pytest.raises(UserError, match=r"given.*Permission denied") as error:
        READERS[reader](path)
    assert len(str(error.value).splitlines()) == 1


# -- before anything runs, in a dry run too -----------------------------------------------------

PARSED = {
    "tags": {"datasets": {"pets": {"kind": "folder", "images": ".", "tags": "given"}}},
    "boxes": {
        "datasets": {"pets": {"kind": "folder", "images": ".", "tags": "ok.csv", "boxes": "given"}}
    },
    "voc list": {
        "datasets": {"pets": {"kind": "voc", "root": ".", "train_list": "given.txt"}},
    },
    "coco": {"datasets": {"pets": {"kind": "coco", "root": ".", "train_annotations": "given"}}},
    "coco list": {
        "datasets": {
            "pets": {
                "kind": "coco",
                "root": ".",
                "train_annotations": "ok.csv",
                "train_list": "given",
            }
        }
    },
    "published": {
        "datasets": {"pets": {"kind": "folder", "images": ".", "tags": "ok.csv"}},
        "published": "given",
    },
    "weights": {
        "datasets": {"pets": {"kind": "folder", "images": ".", "tags": "ok.csv"}},
        "classifiers": {
            "vanilla": {"method": "vanilla", "backbone": {"name": "resnet18", "weights": "given"}}
        },
    },
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a table of tags, and a run that begins there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(started.VARIABLE, "{}")
    (tmp_path / "ok.csv").write_text("image,tags,split\na.png,cat,train\n")
    started.begin(is_main=True)
    yield tmp_path
    started.begin(is_main=True)


@pytest.mark.parametrize("make", NO_FILES)
@pytest.mark.parametrize("what", PARSED)
def test_a_config_that_names_what_is_no_file_is_refused_in_one_line(project, what, make):
    base = {"classifiers": {"vanilla": {"method": "vanilla"}}, "experiments": ["pets / vanilla"]}
    make(project / ("given.txt" if what == "voc list" else "given"))
    with pytest.raises(ConfigError) as error:
        plan = Plan(base | PARSED[what])
        plan.written_outline(SimpleNamespace())
    said = str(error.value)
    assert len(said.splitlines()) == 1
    assert "given" in said and f"cannot be read ({NO_FILES[make]})" in said


# -- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["/a", "..", "../a", "a/../b", "a/.."])
def test_names_that_lead_outside(name):
    assert leads_outside(name)


@pytest.mark.parametrize("name", ["a", "a..b", "...", ".a/b", "a\\..\\b"])
def test_names_that_stay_inside(name):
    assert not leads_outside(name)


def test_nothing_is_written_outside_the_folder_even_through_links(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(tmp_path)
    (inside / "fine").symlink_to("sub")
    assert path_inside(inside, "sub/a.png") == inside / "sub/a.png"
    assert path_inside(inside, "fine/a.png") == inside / "fine/a.png"
    for name in ("../a.png", "/tmp/a.png", "link/a.png", "sub/../../a.png"):
        with pytest.raises(UserError) as error:
            path_inside(inside, name)
        assert str(error.value) == f"'{name}' leads out of {inside}; rename the image"
