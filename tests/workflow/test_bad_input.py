"""Mistakes as users make them: a clear line, exit status 1, and nothing half-made."""

import copy as copying
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.workflow.conftest import CONFIG, fresh_project


def run_badly(project, *arguments):
    """What a failing run printed; it must fail without a traceback of ours."""
    done = project.snakemake(*arguments)
    printed = done.stdout + done.stderr
    assert done.returncode == 1, printed
    assert "Traceback (most recent call last)" not in printed
    return printed


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"sede": 1}, "config: sede: unknown key; did you mean 'seed'?"),
        (
            {"maps": {"cam": {"method": "kam"}}},
            "config: maps.cam.method: unknown method 'kam'; did you mean 'cam'?",
        ),
        (
            {"experiments": ["digits / vanilla / cam / {threshold,crf / net"]},
            "unbalanced braces",
        ),
        (
            {"experiments": ["digits / vanila"]},
            "no entry 'vanila' in classifiers, detectors, objectness or instances; did",
        ),
        (
            {"datasets": {"digits": {"kind": "voc", "root": "nowhere"}}},
            "config: datasets.digits: nowhere/ImageSets/Segmentation/train.txt does not exist",
        ),
        (
            {"datasets": {"digits": {"kind": "folder", "images": "i", "tags": "no.csv"}}},
            "config: datasets.digits: no.csv does not exist; correct its path or root",
        ),
        ({"published": "no.csv"}, "config: published: no.csv does not exist; correct its path"),
        (
            {"predict": {"new": {"experiment": "digits/vanilla", "images": "."}}},
            "config: predict.new.experiment: 'digits/vanilla'",
        ),
    ],
)
def test_config(tmp_path, change, line):
    config = copying.deepcopy(CONFIG) | change
    if "predict" in change:
        config["experiments"] = ["digits / vanilla"]
    printed = run_badly(fresh_project(tmp_path, config), "--dry-run")
    assert line in printed
    assert len([text for text in printed.splitlines() if text.startswith("config:")]) == 1


def test_the_config_file_itself(tmp_path):
    project = fresh_project(tmp_path, CONFIG)
    text = (tmp_path / "config.yaml").read_text()
    (tmp_path / "mine.yaml").write_text("seed: 1\n" + text + "seed: 2\n")
    given = ("--dry-run", "--configfile", "mine.yaml")
    twice = f"mine.yaml, lines 1 and {text.count(chr(10)) + 2}: 'seed' is there twice; keep one"
    assert twice in run_badly(project, *given)
    shutil.move(tmp_path / "mine.yaml", tmp_path / "config.yaml")
    assert f"config: config.{twice[5:]}" in run_badly(project, "--dry-run")
    (tmp_path / "config.yaml").write_text(text, encoding="utf-16")
    assert "config: config.yaml: not UTF-8" in run_badly(project, "--dry-run")
    (tmp_path / "config.yaml").unlink()
    (tmp_path / "config.yaml").symlink_to("gone.yaml")
    assert "config: config.yaml: a link to gone.yaml" in run_badly(project, "--dry-run")


def test_weights_that_are_absent_or_would_run_code(tmp_path):
    config = copying.deepcopy(CONFIG)
    config["classifiers"]["vanilla"]["backbone"] = {"name": "test_resnet", "weights": "net.pth"}
    project = fresh_project(tmp_path, config)
    assert "backbone.weights: net.pth does not exist" in run_badly(project, "--dry-run")

    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "evil-was-here",))

    (tmp_path / "net.pth").write_bytes(pickle.dumps(Evil(), protocol=2))
    printed = run_badly(project)
    assert "error: net.pth: not a plain file of weights: loading it could run code" in printed
    assert not (tmp_path / "evil-was-here").exists()
    assert not list(tmp_path.glob("results/digits/classifier/*/*.safetensors"))


def test_a_backbone_for_one_image_size(tmp_path):
    config = copying.deepcopy(CONFIG)
    config["classifiers"]["vanilla"]["backbone"] = {
        "name": "gmlp_ti16_224",
        "output_stride": 32,
    }
    printed = run_badly(fresh_project(tmp_path, config), "-q", "rules")
    assert "error: backbone.name: gmlp_ti16_224 takes no images of any size" in printed


def photo(folder, name, size=(40, 40), mode="RGB", **options):
    """An image of noise."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = {"L": 1, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    rng = np.random.default_rng(len(name))
    pixels = rng.integers(0, 255, (size[1], size[0], bands), np.uint8).squeeze()
    image = Image.frombytes(mode, size, np.ascontiguousarray(pixels).tobytes())
    image.save(path, **options)
    return path


def folder_project(tmp_path, table, **dataset):
    """A project on a folder of images with this table of tags, up to the masks."""
    (tmp_path / "photos").mkdir(exist_ok=True)
    (tmp_path / "tags.csv").write_text(table, encoding="utf-8")
    config = copying.deepcopy(CONFIG)
    config["datasets"] = {
        "mine": {"kind": "folder", "images": "photos", "tags": "tags.csv"} | dataset
    }
    config["experiments"] = ["mine / vanilla / cam / {threshold,crf} / net"]
    return fresh_project(tmp_path, config)


def test_a_damaged_image_is_named_before_anything_is_trained(tmp_path):
    table = "image,tags,split\na.png,cat,train\nb.jpg,cat,train\nc.png,cat,val\n"
    project = folder_project(tmp_path, table)
    photo(tmp_path / "photos", "c.png")
    photo(tmp_path / "photos", "a.png")
    whole = photo(tmp_path / "photos", "b.jpg").read_bytes()
    (tmp_path / "photos/b.jpg").write_bytes(whole[: len(whole) // 2])
    printed = run_badly(project)
    assert "error: photos/b.jpg: " in printed
    # Repeated at the very end, where people look.
    assert printed.splitlines()[-1].startswith("logs/mine/train.log: error: photos/b.jpg: ")
    assert not (tmp_path / "results/mine/train.csv").exists()
    assert list(tmp_path.rglob("*.part")) == []


def test_a_wrong_mask_is_named_before_anything_is_trained(tmp_path):
    table = "image,tags,split\na.png,cat,train\nb.png,cat,train\nc.png,cat,val\n"
    project = folder_project(tmp_path, table, masks="masks", classes=["cat"])
    for name in "abc":
        photo(tmp_path / "photos", f"{name}.png")
    (tmp_path / "masks").mkdir()
    Image.new("RGB", (40, 40), "red").save(tmp_path / "masks" / "c.png")
    # As many jobs at a time as there may be, and no end at the first that fails.
    printed = run_badly(project, "--cores", "8", "--keep-going")
    assert printed.splitlines()[-1] == (
        "logs/mine/val.log: error: masks/c.png: RGB colours (#ff0000); expected a PNG of palette "
        'or 8-bit grey ids; write in the data set `mask_values: {"#ff0000": cat}`, each a name '
        "among background, cat, ignored"
    )
    assert not (tmp_path / "results/mine/classifier").exists()


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("image,tags\na.png,cat\n", "config: tags.csv: no column split"),
        ("image,tags,split\nb.png,cat,train\n", "b.png"),
        ("image,tags,split\na.png,cat,tran\n", "tran"),
        ("image,tags,split\na.png,cat,val\n", "train"),
    ],
)
def test_tables_that_cannot_be(tmp_path, table, line):
    project = folder_project(tmp_path, table)
    photo(tmp_path / "photos", "a.png")
    printed = run_badly(project, "results/mine/train.csv")
    errors = [text for text in printed.splitlines() if text.startswith(("config: ", "error: "))]
    assert len(errors) == 1 and line in errors[0]
    assert not (tmp_path / "results/mine/train.csv").exists()


def test_no_evaluation_images(tmp_path):
    project = folder_project(tmp_path, "image,tags,split\na.png,cat,train\nb.png,cat,train\n")
    photo(tmp_path / "photos", "a.png")
    photo(tmp_path / "photos", "b.png")
    printed = run_badly(project)
    assert "error: " in printed and "evaluate_on: train" in printed


def test_odd_images_go_all_the_way_and_without_masks_there_are_no_figures(tmp_path):
    """Grey, RGBA, CMYK, 16-bit, EXIF-rotated, tiny, one pixel wide, odd names, an untagged one."""
    photos = tmp_path / "photos"
    exif = Image.Exif()
    exif[274] = 6
    names = {
        photo(photos, "grey.png", mode="L"): "cat",
        photo(photos, "with space/été 1.jpg"): "cat;dog",
        photo(photos, "clear.png", mode="RGBA"): "dog",
        photo(photos, "print.jpg", mode="CMYK"): "dog",
        photo(photos, "turned.jpg", (30, 50), exif=exif): "cat",
        photo(photos, "thin.png", (1, 33)): "cat",
        photo(photos, "dot.png", (3, 2)): "dog",
        photo(photos, "empty.png"): "",
    }
    Image.fromarray(np.full((20, 24), 40000, np.uint16)).save(photos / "deep.png")
    names[photos / "deep.png"] = "dog"
    rows = [f"{p.relative_to(photos).as_posix()},{tags},train" for p, tags in names.items()]
    rows.append("val.png,cat,val")
    photo(photos, "val.png", (50, 20))
    project = folder_project(tmp_path, "\n".join(["image,tags,split", *rows]) + "\n")
    config = copying.deepcopy(CONFIG) | {
        "datasets": {
            "mine": {"kind": "folder", "images": "photos", "tags": "tags.csv", "alpha": "ignore"}
        },
        "experiments": ["mine / vanilla / cam / crf / net"],
        "predict": {
            "again": {"experiment": "mine / vanilla / cam / crf / net", "images": "photos"}
        },
    }
    project.configure(config)
    printed = project.make("all", "export_masks", "predict")
    reading = '"{""alpha"": ""ignore""}"'
    assert (tmp_path / "results/mine/train.csv").read_text().count(reading) == 9
    assert "No quality figures for mine: no pixel masks to measure against" in printed
    board = (tmp_path / "results/leaderboard.csv").read_text()
    assert "no masks: quality not measured" in board
    exported = next(tmp_path.glob("results/mine/masks/crf-*/png"))
    sizes = {
        p.relative_to(exported).as_posix(): Image.open(p).size for p in exported.rglob("*.png")
    }
    assert sizes["with space/été 1.png"] == (40, 40)
    assert sizes["turned.png"] == (50, 30)
    assert sizes["thin.png"] == (1, 33)
    assert len(sizes) == 9
    again = tmp_path / "results/predict/again"
    assert Image.open(again / "with space/été 1.jpg.png").size == (40, 40)
    assert len((again / "shares.csv").read_text().splitlines()) == 11
    # A damaged image is told, and the others are segmented all the same.
    shutil.copy(photos / "dot.png", photo(tmp_path / "new", "whole.jpg").with_name("dot.png"))
    (tmp_path / "new/half.jpg").write_bytes((tmp_path / "new/whole.jpg").read_bytes()[:300])
    for name, images in (("again", "photos"), ("new", "new"), ("gone", "no/such/folder")):
        config["predict"][name] = config["predict"]["again"] | {"images": images}
    project.configure(config)
    project.make("all")  # which needs no folder of predict
    printed = run_badly(project, "predict", "--keep-going")
    assert "error: no/such/folder: no such folder; correct `images` of predict" in printed
    del config["predict"]["gone"]
    project.configure(config)
    said = (
        "error: results/predict/new: 1 of its images could not be read, see damaged.csv "
        "there; the first: new/half.jpg: damaged or truncated image"
    )
    assert f"logs/predict.log: {said}" in run_badly(project, "predict").splitlines()[-1]
    new = tmp_path / "results/predict/new"
    assert sorted(path.name for path in new.glob("*.png")) == ["dot.png.png", "whole.jpg.png"]
    # A damaged shard in the middle is named, and nothing is made of it.
    shard = next(tmp_path.glob("results/mine/maps/cam-*/0.zarr.zip"))
    shard.write_bytes(shard.read_bytes()[:500])
    printed = run_badly(project, "--forcerun", "crf", "--until", "crf")
    assert f"error: {shard.relative_to(tmp_path)}: not a whole shard" in printed


def test_one_image_is_enough(tmp_path):
    project = folder_project(tmp_path, "image,tags,split\na.png,cat,train\n", evaluate_on="train")
    photo(tmp_path / "photos", "a.png")
    photo(tmp_path / "photos", "b.png")
    printed = project.make("results/leaderboard.csv")
    # What is odd is said at the very end, where people look.
    assert printed.splitlines()[-3:] == [
        "warning: mine: every training image (1) is tagged with cat: a classifier learns nothing "
        "from that; add images that do not show it",
        "warning: mine: fewer than 5 training images are tagged with cat (1): that is too few to "
        "learn from; tag more images",
        "warning: mine: 1 image in photos is left out, as no row of tags.csv names it: b.png",
    ]
    board = (tmp_path / "results/leaderboard.csv").read_text()
    assert "few training images: cat (1); 1 image without a row in the table of tags" in board


@pytest.mark.skipif(os.geteuid() != 0, reason="filling a file system takes root")
def test_a_full_disk_leaves_nothing_half_written(finished, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if os.system(f"mount -t tmpfs -o size=16m tmpfs {small} 2>/dev/null") != 0:
        pytest.skip("this machine mounts no tmpfs")
    try:
        project = finished.copied_to(small, results=False)
        shutil.rmtree(small / "tags2masks/report")  # room for some of the images, not for all
        shutil.copytree(finished.folder / "tags2masks/report", small / "tags2masks/report")
        with (small / "ballast").open("wb") as ballast:
            free = os.statvfs(small)
            ballast.write(b"\0" * max(0, free.f_bavail * free.f_frsize - 60_000))
        printed = run_badly(project, "results/digits/train.csv")
        assert "disk is full" in printed or "No space left" in printed
        assert not (small / "results/digits/train.csv").exists()
        assert list(small.rglob("*.part")) == []
    finally:
        os.system(f"umount {small}")
