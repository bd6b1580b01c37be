"""A finished segmenter as a folder: its files, its masks, and what the docs say of it."""

import json
import re
import shlex
import shutil
import sys

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tags2masks.__main__ import main
from tags2masks.data.images import read_image
from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.nets.backbones import read_weights
from tags2masks.palette import write_palette_png
from tags2masks.store import Shard
from tests.workflow.conftest import CONFIG, ROOT

EXPERIMENT = "digits/vanilla/cam/crf/net"
PAGE = (ROOT / "docs/export.md").read_text(encoding="utf-8")

pytestmark = [
    pytest.mark.slow,  # a whole chain of its own
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning"),
]


@pytest.fixture
def tags2masks(monkeypatch, finished):
    """A function that runs a command in the folder of the finished run; a user's error is text."""
    monkeypatch.chdir(finished.folder)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["tags2masks", *map(str, words)])
        try:
            main()
        except SystemExit as ended:
            return ended.code
        return 0

    return run


@pytest.fixture
def model(tags2masks, tmp_path):
    """An exported folder of weights alone."""
    assert tags2masks("export", EXPERIMENT, tmp_path / "model") == 0
    return tmp_path / "model"


def artifact(finished, stage):
    """The folder of the experiment's artifact of a stage."""
    (outline,) = (finished.folder / "results").glob("experiments-*.json")
    experiments = json.loads(outline.read_text())["experiments"]
    id = next(e["artifacts"][stage] for e in experiments if e["experiment"] == EXPERIMENT)
    return finished.folder / "results/digits" / stage / id


def test_a_folder_has_weights_classes_and_how_to_use_them(model, finished):
    segmenter = artifact(finished, "segmenter")
    assert sorted(file.name for file in model.iterdir()) == [
        "classes.txt", "model.safetensors", "spec.json"
    ]  # fmt: skip
    for name in ("model.safetensors", "spec.json"):
        same = (model / name).read_bytes() == (segmenter / name).read_bytes()
        assert same == (name == "model.safetensors")
    assert (model / "classes.txt").read_text() == "zero\none\n"
    spec = json.loads((model / "spec.json").read_text())
    assert spec["id"] == segmenter.name
    assert spec["network"] == {
        "architecture": "deeplabv3plus", "backbone": "test_resnet",
        "channels": ["background", "zero", "one"], "stride": 8,
    }  # fmt: skip
    assert spec["input"]["mean"] == [0.485, 0.456, 0.406]
    assert spec["inference"] == {"scales": [1.0], "flip": False, "crf": None}


def test_masks_are_those_of_the_workflow(finished, model, tags2masks, tmp_path, capsys):
    own = finished.folder / "results/digits"
    folder = tmp_path / "masks"
    arguments = ["--threads", 1, "--device", "cpu", "--probabilities", "--overlays"]
    assert tags2masks("predict", model, own / "images", folder, *arguments) == 0
    assert capsys.readouterr().out.endswith(f"{folder}: 24 masks of zero, one\n")
    predictions = artifact(finished, "predictions")
    compared = 0
    for number in (0, 1):
        rows = rows_of(read_index(own / "val.csv"), "val", number)
        shard = predictions / f"{number}.zarr.zip"
        with Shard(shard, predictions.name, images_sha(rows)) as stored:
            for image, path in zip(rows["image"], rows["path"], strict=True):
                mask = stored.read(image)[0]
                name = path.removeprefix("images/")
                write_palette_png(tmp_path / "known.png", mask)
                written = folder / f"{name}.png"
                assert written.read_bytes() == (tmp_path / "known.png").read_bytes()
                shares = np.load(folder / f"{name}.npz")["probabilities"]
                assert shares.shape == (3, 32, 32) and shares.dtype == np.float16
                np.testing.assert_allclose(shares.sum(0, dtype=float), 1, atol=2e-3)
                # Rounded to 16 bits, equal ones may have another first.
                best = np.take_along_axis(shares, mask[None].astype(int), 0)[0]
                assert (best == shares.max(0)).all()
                drawn = np.asarray(Image.open(folder / f"{name}.overlay.jpg"), int)
                pixels = read_image(own / "images" / name).astype(int)
                assert drawn.shape == pixels.shape
                moved = abs(drawn - pixels).max(-1)
                assert moved[mask > 0].mean() > 20 if mask.any() else moved.max() < 60
                compared += 1
    assert compared == 6


def test_one_image_and_other_scales(finished, model, tags2masks, tmp_path):
    images = finished.folder / "results/digits/images"
    image = min(path for path in images.rglob("*.png"))
    for name, scales in (("a", []), ("b", ["--scales", 0.5, 2])):
        more = ["--threads", 1, "--probabilities", *scales]
        assert tags2masks("predict", model, image, tmp_path / name, *more) == 0
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == sorted(
            ["classes.txt", "damaged.csv", f"{image.name}.npz", f"{image.name}.png", "shares.csv"]
        )
    a, b = (np.load(tmp_path / name / f"{image.name}.npz")["probabilities"] for name in "ab")
    assert a.shape == b.shape and abs(a - b).max() > 1e-3


def test_tiles_are_stitched_to_the_whole_image(model, tags2masks, tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, 3)).astype(np.uint8)
    large = tmp_path / "large.png"
    Image.fromarray(pixels).save(large)
    shares = []
    for name, more in (("a", []), ("b", ["--tiles", 48, "--overlap", 16]), ("c", ["--tiles", 96])):
        arguments = [large, tmp_path / name, "--threads", 1, "--probabilities"]
        assert tags2masks("predict", model, *arguments, *more) == 0
        shares.append(np.load(tmp_path / name / "large.png.npz")["probabilities"].astype(float))
        mask = np.asarray(Image.open(tmp_path / name / "large.png.png"))
        assert mask.shape == (70, 90)
        assert (
            np.take_along_axis(shares[-1], mask[None].astype(int), 0) == shares[-1].max(0)
        ).all()
    whole, tiles, one_tile = shares
    np.testing.assert_array_equal(one_tile, whole)
    assert tiles.shape == whole.shape and abs(tiles - whole).max() > 1e-3
    capsys.readouterr()
    assert tags2masks("predict", model, large, tmp_path / "d", "--overlap", 9) == 1
    assert capsys.readouterr().err == "error: --overlap: of tiles; give --tiles too\n"
    assert tags2masks("predict", model, large, tmp_path / "d", "--tiles", 5) == 1
    assert capsys.readouterr().err.startswith("error: --tiles: 5: Input should be greater than ")


def test_images_that_cannot_be_read_are_told_of_at_the_end(model, tags2masks, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (20, 30)).save(tmp_path / "photos/a.png")
    (tmp_path / "photos/b.jpg").write_bytes(b"")
    assert tags2masks("predict", model, tmp_path / "photos", tmp_path / "out") == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == (
        f"error: {tmp_path}/out: 1 of 2 images could not be read, see damaged.csv there; the "
        f"first: {tmp_path}/photos/b.jpg: empty file; replace it or take it off the list"
    )
    assert np.asarray(Image.open(tmp_path / "out/a.png.png")).shape == (30, 20)
    (tmp_path / "whole.txt").write_text("a\n")
    listed = ("--list", tmp_path / "whole.txt")
    assert tags2masks("predict", model, tmp_path / "photos", tmp_path / "listed", *listed) == 0
    assert (tmp_path / "listed/a.png.png").is_file()


def test_mistakes_end_in_one_line(finished, model, tags2masks, tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (20, 30)).save(photos / "a.png")
    (tmp_path / "full").mkdir()

    def said(*words):
        code = tags2masks(*words)
        printed = capsys.readouterr().err.splitlines()
        return code if isinstance(code, str) else printed[-1]

    assert said("predict", model, photos, tmp_path / "full") == (
        f"error: {tmp_path}/full: exists already; give another name, or delete it"
    )
    assert said("predict", model, photos, photos / "out").startswith(
        f"error: {photos}/out: lies in the folder of the images"
    )
    assert said("predict", model, tmp_path / "x", tmp_path / "out") == (
        f"error: {tmp_path}/x: no such folder or image; correct the second argument"
    )
    assert said("predict", photos, photos, tmp_path / "out").startswith(
        f"error: {photos}: no exported segmenter, it has no spec.json"
    )
    assert said("predict", model, photos, tmp_path / "out", "--scales", -1).startswith(
        "error: --scales: -1.0: "
    )
    assert said("predict", model, photos, tmp_path / "out", "--format", "voc").startswith(
        "error: voc: the server takes masks of PASCAL VOC's 20 classes in their order, not of zero"
    )
    names = tmp_path / "names.txt"
    names.write_text("b\n")
    assert said("predict", model, photos, tmp_path / "out", "--list", names) == (
        f"error: {names}: no image 'b' in {photos}; correct the list"
    )
    assert said("predict", model, photos / "a.png", tmp_path / "out", "--list", names) == (
        "error: --list: of images in a folder; give the folder, or leave it out"
    )
    assert said("export", "digits/x", tmp_path / "out").startswith(
        "error: no experiment 'digits/x'; choose from "
    )
    short = tmp_path / "short.yaml"
    short.write_text(yaml.safe_dump(CONFIG | {"experiments": ["digits / vanilla / cam"]}))
    assert said("export", "digits/vanilla/cam", tmp_path / "out", "--configfile", short) == (
        "error: digits/vanilla/cam: ends before a segmenter; name one that has one"
    )
    assert said("export", EXPERIMENT, tmp_path / "full") == (
        f"error: {tmp_path}/full: exists already; give another name, or delete it"
    )
    elsewhere = ("--results", tmp_path / "elsewhere")
    assert said("export", EXPERIMENT, tmp_path / "out", *elsewhere).endswith(
        ": not finished; run the workflow, then export"
    )
    harmed = bytearray((model / "model.safetensors").read_bytes())
    harmed[-1] ^= 1
    (model / "model.safetensors").write_bytes(harmed)
    damaged = f"{model}/model.safetensors: damaged: not what was written"
    assert damaged in said("predict", model, photos, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def documented() -> list[list[str]]:
    """The commands of the page's first block, without the program."""
    block = re.search(r"^```bash\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[1]
    return [shlex.split(line)[1:] for line in block.splitlines()]


def test_the_page_word_by_word(finished, tags2masks, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    image = min((finished.folder / "results/digits/images").rglob("*.png"))
    (tmp_path / "photos").mkdir()
    # Cut to sides that are no whole cells.
    Image.open(image).crop((0, 0, 27, 31)).save(tmp_path / "photos/photo.png")
    export, predict = documented()
    assert export[0] == "export" and predict[0] == "predict"
    export[1] = EXPERIMENT
    made = {"digit-model": tmp_path / "digit-model", "masks": tmp_path / "masks"}
    places = made | {"photos": tmp_path / "photos"}
    for words in (export, predict):
        assert tags2masks(*(places.get(word, word) for word in words)) == 0
    known = np.asarray(Image.open(tmp_path / "masks/photo.png.png"))
    assert known.shape == (31, 27)
    shutil.copy(tmp_path / "photos/photo.png", tmp_path)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    names, masks = {}, 0
    for block in blocks:
        names.pop("mask", None)
        exec(compile(block, "docs/export.md", "exec"), names)
        if "mask" in names:
            np.testing.assert_array_equal(np.asarray(names["mask"]), known)
            masks += 1
    assert len(blocks) == 5 and masks == 4
    weights = read_weights(tmp_path / "digit-model/model.safetensors")
    first = next(iter(names["backbone"].state_dict()))
    assert torch.equal(names["backbone"].state_dict()[first], weights[names["prefix"] + first])


def test_masks_are_exported_to_the_folder_of_the_config(copy):
    (copy.folder / "photos").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (20, 30)).save(copy.folder / f"photos/{name}.png")
    (copy.folder / "some of them.txt").write_text("a\n")
    copy.configure(
        copy.config
        | {
            "export": {"folder": "else where", "formats": ["coco", "cvat"], "overlays": True},
            "predict": {
                "new": {
                    "experiment": EXPERIMENT,
                    "images": "photos",
                    "image_list": "some of them.txt",
                    "probabilities": True,
                    "formats": ["yolo"],
                }
            },
        }
    )
    printed = copy.make("export_masks", "predict")
    own = copy.folder / "else where/digits"
    masks = {path.parent.name: path for path in copy.folder.glob("results/digits/masks/*/png")}
    assert {path.name for path in own.iterdir()} == set(masks) and len(masks) == 2
    for id, folder in masks.items():
        assert (
            f"else where/digits/{id}: 16 masks of digits/vanilla/cam/{id.split('-')[0]}" in printed
        )
        for file in folder.glob("*.png"):
            assert (own / id / file.name).read_bytes() == file.read_bytes()
        names = {path.name for path in (own / id).iterdir()} - {".snakemake_timestamp"}
        images = {path.stem for path in folder.glob("*.png")}
        assert names == {"classes.txt", "coco.json", "coco-polygons.json", "cvat.xml"} | {
            f"{image}{suffix}" for image in images for suffix in (".png", ".overlay.jpg")
        }
        listed = json.loads((own / id / "coco.json").read_text())["images"]
        assert len(listed) == len(images) == 16
        for each in listed:
            assert (copy.folder / "results/digits" / each["file_name"]).is_file()
    new = copy.folder / "results/predict/new"
    assert np.load(new / "a.png.npz")["probabilities"].shape == (3, 30, 20)
    assert (new / "yolo/labels/a.txt").is_file() and not (new / "coco.json").exists()
    assert not (new / "b.png.png").exists()
    (copy.folder / "some of them.txt").write_text("a\nb.png\n")
    assert copy.would_run("predict") == {"predict_images": 1, "predict": 1}
    copy.configure(copy.config | {"export": copy.config["export"] | {"formats": ["yolo"]}})
    assert copy.would_run("export_masks") == {"masks_in_folder": 2, "export_masks": 1}
