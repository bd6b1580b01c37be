"""The training program: every stage, what it writes, what it refuses, and whose edits count."""

import json
import sys
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tags2masks import methods
from tags2masks.config.classifiers import Vanilla
from tags2masks.data.index import (
    build_index,
    images_sha,
    read_index,
    rows_of,
    write_classes,
    write_index,
)
from tags2masks.errors import UserError
from tags2masks.machine import Machine
from tags2masks.methods import method_block
from tags2masks.nets.checkpoint import read_spec
from tags2masks.nets.classifier import Classifier
from tags2masks.stages import STAGES, Stage
from tags2masks.store import write_shard
from tags2masks.task import Task
from tags2masks.task import train as train_task
from tags2masks.workflow.ids import artifact_id
from tags2masks.workflow.sources import _closure
from workflow_scripts import measure_classifier, train

CLASSES = ["red", "green"]
LABELS = "made-00000000"
COMMON = {
    "backbone": {"name": "test_resnet", "output_stride": 8},
    "augment": {"resize": [16, 24], "crop": 16},
    "epochs": 2,
    "batch_size": 4,
    "optimizer": {"lr": 0.01},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Five training images in two shards and three of val, their index, and masks of the former."""
    folder, rng = tmp_path_factory.mktemp("train"), np.random.default_rng(0)
    listing, masks = [], {}
    for number in range(8):
        image = rng.integers(0, 90, (20, 22, 3), dtype=np.uint8)
        mask = np.full((20, 22), 255, np.uint8)
        image[4:14, 4:14, number % 2] = 250
        mask[:14, :14], mask[4:14, 4:14] = 0, number % 2 + 1
        Image.fromarray(image).save(folder / f"{number}.png")
        masks[str(number)] = mask
        split = "train" if number < 5 else "val"
        listing.append((str(number), f"{number}.png", split, (CLASSES[number % 2],)))
    frame = pd.DataFrame(listing, columns=["image", "path", "split", "tags"])
    index = build_index(frame, folder, CLASSES, 2, 1)
    write_index(folder / "index.csv", index)
    for split in ("train", "val"):
        write_index(folder / f"{split}.csv", rows_of(index, split))
    write_classes(folder / "classes.txt", CLASSES)
    for number in (0, 1):
        rows = rows_of(index, "train", number)
        entries = [
            (name, masks[name], {"size": [20, 22]}, probabilities(masks[name]))
            for name in rows["image"]
        ]
        write_shard(folder / f"{number}.zarr.zip", {"id": LABELS}, images_sha(rows), entries)
    return folder


def probabilities(labels):
    """Those of both CRFs, as `agreed` keeps them; at 255 only the loose one has a class."""
    strict, loose = (labels != 0) & (labels != 255), labels != 0
    both = np.stack([np.stack([~one, one]) for one in (strict, loose)])
    return {"probabilities": 255 * both.astype(np.uint8)}


def words(data, out, recipe, files, index=("index.csv",), **free):
    """The program's arguments."""
    arguments = {
        "recipe": [json.dumps(recipe)], "free": [json.dumps(free)], "threads": [1],
        "root": [data], "index": [data / name for name in index],
        "classes": [data / "classes.txt"], "model": [out / "model.safetensors"],
        "spec": [out / "spec.json"], "training": [out / "training.csv"],
    }  # fmt: skip
    pairs = [(f"--{name}", *values) for name, values in (arguments | files).items()]
    return [str(word) for pair in pairs for word in pair]


@pytest.fixture
def call(data, tmp_path, monkeypatch):
    """A function that trains, and gives the folder that the artifact is in."""
    made = {}

    def run(name, stage, method, spec=None, classifier=None, **files):
        free = files.pop("free", {})
        index = files.pop("index", ("index.csv",))
        package = STAGES[stage].package
        block = method_block(package, {"method": method, "spec": COMMON | (spec or {})})
        values = {k: v for k, v in block.key().items() if k not in ("ordinary", "test")}
        upstream = dict.fromkeys(files, LABELS)
        given = {role: [data / f"{n}.zarr.zip" for n in (0, 1)] for role in files}
        if classifier:
            upstream["classifier"] = made[classifier]
            given["classifier"] = [tmp_path / classifier / "model.safetensors"]
        recipe = {
            "stage": stage, "method": method, "spec": values, "seed": 3, "upstream": upstream
        }  # fmt: skip
        made[name], out = artifact_id(recipe), tmp_path / name
        monkeypatch.setattr(sys, "argv", ["train", *words(data, out, recipe, given, index, **free)])
        train.main()
        assert read_spec(out / "spec.json")["id"] == made[name]
        assert read_spec(out / "spec.json")["classes"] == CLASSES
        assert not (out / "state").exists()
        return out

    return run


def columns(folder):
    return list(pd.read_csv(folder / "training.csv").columns)


def test_a_classifier_learns_from_tags_and_is_measured_on_val(call):
    out = call("vanilla", "classifier", "vanilla")
    assert columns(out) == ["epoch", "loss", "val_map", "lr", "images_per_s"]
    assert sorted(path.name for path in out.iterdir()) == [
        "model.safetensors", "spec.json", "training.csv"
    ]  # fmt: skip
    again = call("again", "classifier", "vanilla", index=("train.csv", "val.csv"))
    for name in ("model.safetensors", "spec.json"):
        assert (out / name).read_bytes() == (again / name).read_bytes()
    alone = call("alone", "classifier", "vanilla", index=("train.csv",))
    assert columns(alone) == ["epoch", "loss", "lr", "images_per_s"]
    assert (out / "model.safetensors").read_bytes() == (alone / "model.safetensors").read_bytes()


def test_val_is_measured_when_due_and_after_the_last_epoch(call):
    spec = {"epochs": 5}
    every = pd.read_csv(call("every", "classifier", "vanilla", spec) / "training.csv")
    some = call("some", "classifier", "vanilla", spec, free={"validate_every": 2})
    some = pd.read_csv(some / "training.csv")
    assert some["val_map"].isna().tolist() == [True, False, True, False, False]
    assert some["val_map"].dropna().tolist() == every["val_map"][[1, 3, 4]].tolist()


def measured(data, out, monkeypatch, index, classes="classes.txt"):
    """The figures of a classifier in a folder, by the program that measures it alone."""
    arguments = {
        "recipe": json.dumps(read_spec(out / "spec.json")["recipe"]), "threads": 1, "root": data,
        "index": data / index, "classes": data / classes, "model": out / "model.safetensors",
        "spec": out / "spec.json", "metrics": out / "metrics.csv",
    }  # fmt: skip
    given = [str(word) for name, value in arguments.items() for word in (f"--{name}", value)]
    monkeypatch.setattr(sys, "argv", ["measure_classifier", *given])
    measure_classifier.main()
    return (out / "metrics.csv").read_text()


def test_a_classifier_is_measured_apart_from_its_training(call, data, monkeypatch):
    out = call("vanilla", "classifier", "vanilla")
    measured(data, out, monkeypatch, "index.csv")
    rows = pd.read_csv(out / "metrics.csv")
    assert list(rows.columns) == [
        "split", "metric", "class", "value", "threshold", "tuned_on_masks", "images", "crc"
    ]  # fmt: skip
    assert rows["metric"].tolist() == ["map", "average_precision", "average_precision"]
    assert rows["class"].tolist() == ["mean", *CLASSES]
    assert rows["value"][0] == pytest.approx(rows["value"][1:].mean())
    trained = pd.read_csv(out / "training.csv")
    assert rows["value"][0] == pytest.approx(trained["val_map"].iloc[-1], abs=1e-6)
    assert (rows["images"] == 3).all() and not rows["tuned_on_masks"].any()
    assert set(rows["split"]) == {"val"} and rows["threshold"].isna().all()
    assert measured(data, out, monkeypatch, "val.csv") == measured(
        data, out, monkeypatch, "index.csv"
    )


def test_without_val_images_there_is_a_header_alone(call, data, monkeypatch):
    out = call("vanilla", "classifier", "vanilla")
    text = measured(data, out, monkeypatch, "train.csv")
    assert text == "split,metric,class,value,threshold,tuned_on_masks,images,crc\n"
    (data / "others.txt").write_text("green\nred\n")
    with pytest.raises(UserError, match=r"others.txt: not the classes of vanilla-\w{8}, which are"):
        measured(data, out, monkeypatch, "val.csv", "others.txt")


def test_the_ordinary_classifier_is_consulted_and_written_where_it_has_learned(call):
    ordinary = load_file(call("vanilla", "classifier", "vanilla") / "model.safetensors")
    out = call("occse", "classifier", "occse", classifier="vanilla")
    assert "cse" in columns(out) and not (out / "noc.safetensors").exists()
    out = call("pnoc", "classifier", "pnoc", classifier="vanilla")
    learned = load_file(out / "noc.safetensors")
    assert set(learned) == set(ordinary)
    assert not torch.equal(learned["head.weight"], ordinary["head.weight"])


def test_an_affinity_network_learns_from_labels_and_is_centred(call):
    call("vanilla", "classifier", "vanilla")
    spec = {"init_from_classifier": True, "radius": 3}
    out = call("irn", "affinity", "irn", spec, classifier="vanilla", labels=True)
    assert {"boundary", "displacement", "pair_accuracy"} <= set(columns(out))
    irn = load_file(out / "model.safetensors")
    started = load_file(out.parent / "vanilla/model.safetensors")
    kept = [name for name in started if name.startswith("backbone.")]
    # IRN leaves its backbone as it is.
    assert kept and all(torch.equal(irn[name], started[name]) for name in kept)
    assert irn["mean_displacement"].abs().max() > 0
    for cell_labels in ("mean", "middle"):
        spec = {"radius": 3, "cell_labels": cell_labels}
        assert columns(call(f"psa-{cell_labels}", "affinity", "psa", spec, labels=True)) == [
            "epoch", "loss", "pair_accuracy", "lr", "images_per_s"
        ]  # fmt: skip


def test_a_segmenter_learns_from_masks_that_may_grow(call):
    spec = {"decoder_channels": 8}
    out = call("net", "segmenter", "deeplabv3plus", spec, masks=True)
    assert columns(out) == ["epoch", "loss", "pixel_agreement", "lr", "images_per_s"]
    out = call("grown", "segmenter", "deeplabv3plus", spec | {"growing": {"stride": 4}}, masks=True)
    assert {"seeding", "boundary", "grown"} <= set(columns(out))


def test_a_killed_run_goes_on_to_the_same_bytes(call, monkeypatch, capsys):
    whole = call("whole", "segmenter", "deeplabv2", masks=True)
    real, calls = train.train, []

    def killed(task):
        method, step = task.method, task.method.step

        def stopping(*arguments):
            calls.append(1)
            if len(calls) == 3:  # the first step of the second epoch
                raise KeyboardInterrupt
            return step(*arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(method, "step", stopping)
            return real(task)

    monkeypatch.setattr(train, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        call("killed", "segmenter", "deeplabv2", masks=True)
    monkeypatch.setattr(train, "train", real)
    again = call("killed", "segmenter", "deeplabv2", masks=True)
    assert "going on after epoch 1" in capsys.readouterr().out
    assert (whole / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()


@pytest.mark.parametrize("role", ["masks", "weights", "labelled", "keep", "boxes"])
def test_a_checkpoint_of_other_files_of_the_same_id_is_not_resumed(data, tmp_path, role):
    file, marks = tmp_path / "file", []
    given = {"files": {"masks": [file]}} if role == "masks" else {role: file}
    recipe = {"stage": "segmenter", "method": "deeplabv2", "spec": {}, "upstream": {}}
    for content in ("one", "two", "one"):
        file.write_text(content, encoding="utf-8")
        index = read_index(data / "index.csv")
        task = Task(recipe, index, CLASSES, data, Machine(), tmp_path / "model", **given)
        marks.append(task.state.fingerprint)
    assert marks[0] == marks[2] != marks[1]


def test_a_checkpoint_of_other_tags_or_an_order_of_classes_is_not_resumed(data, tmp_path):
    index = read_index(data / "index.csv")
    other = index.assign(tags=[(*tags, "another") for tags in index["tags"]])
    marks = [
        Task({"stage": "classifier", "method": "vanilla", "spec": {}, "upstream": {}}, rows,
             classes, data, Machine(), tmp_path / "model").state.fingerprint
        for rows, classes in ((index, CLASSES), (other, CLASSES), (index, CLASSES[::-1]))
    ]  # fmt: skip
    assert len(set(marks)) == 3


@pytest.mark.parametrize(
    ("stage", "method", "spec", "message"),
    [
        ("affinity", "psa", {}, r"psa-\w{8}: its recipe has no labels upstream"),
        ("segmenter", "deeplabv2", {}, r"deeplabv2-\w{8}: its recipe has no masks upstream"),
        ("classifier", "occse", {}, r"occse-\w{8}: its recipe has no classifier upstream"),
        ("affinity", "irn", {"init_from_classifier": True}, r"no classifier upstream"),
    ],
)
def test_a_recipe_without_what_is_learned_from(call, stage, method, spec, message):
    with pytest.raises(UserError, match=message):
        call("lacking", stage, method, spec)


def test_upstream_files_that_are_not_given_and_a_stage_without_networks(
    data, tmp_path, monkeypatch
):
    recipe = {
        "stage": "segmenter", "method": "deeplabv2", "seed": 0,
        "spec": COMMON, "upstream": {"masks": LABELS},
    }  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["train", *words(data, tmp_path, recipe, {})])
    with pytest.raises(UserError, match=f"is made from {LABELS}; give its files as --masks"):
        train.main()
    other = words(data, tmp_path, recipe | {"stage": "maps"}, {})
    monkeypatch.setattr(sys, "argv", ["train", *other])
    with pytest.raises(UserError, match="stage maps: is not trained; the trained ones are class"):
        train.main()


def test_a_new_stage_is_a_new_module(data, tmp_path, monkeypatch):
    """One whose batches have three parts, images, masks and tags, and that measures nothing."""

    class Views(torch.utils.data.Dataset):
        def __init__(self, task):
            self.masked = methods.learning_module("segmenters").views(task)
            self.tagged = methods.learning_module("classifiers").views(task)

        def __len__(self):
            return len(self.masked)

        def __getitem__(self, draw):
            return *self.masked[draw], self.tagged[draw][1]

    def step(network, batch, moment, spec):
        assert [tuple(part.shape[1:]) for part in batch] == [(3, 16, 16), (16, 16), (2,)]
        return {"loss": network(batch[0].float() / 255).square().mean(), "tags": batch[2].sum()}

    def build(spec, classes):
        return Classifier(spec.backbone, classes)

    for name, content in {
        "tags2masks.config.extra": {"METHODS": {"own": Vanilla}},
        "tags2masks.extra": {},
        "tags2masks.extra.learning": {"views": Views},
        "tags2masks.extra.own": {"build": build, "step": step},
    }.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    stage = Stage("extra", "", "", "extra", "train", "network", ("masks",), "")
    monkeypatch.setitem(STAGES, "extra", stage)
    recipe = {
        "stage": "extra", "method": "own", "spec": COMMON, "seed": 0, "upstream": {"masks": LABELS}
    }  # fmt: skip
    task = Task(
        recipe,
        read_index(data / "index.csv"),
        CLASSES,
        data,
        Machine(threads=1),
        tmp_path / "model.safetensors",
        files={"masks": [data / "0.zarr.zip", data / "1.zarr.zip"]},
    )
    _, rows = train_task(task)
    assert [list(row) for row in rows] == [["epoch", "loss", "tags", "lr", "images_per_s"]] * 2
    # A tag an image, in two batches: of the five, the last goes with another to fill its batch.
    assert rows[0]["tags"] == (4 + 2) / 2


def test_an_edit_of_one_stages_learning_concerns_no_other():
    stages = {"classifiers": "vanilla", "affinity": "irn", "segmenters": "deeplabv3plus"}
    for package, method in stages.items():
        roots = ("workflow_scripts.train", f"tags2masks.{package}.{method}")
        reached = _closure((*roots, f"tags2masks.{package}.learning"))
        others = [f"tags2masks.{other}" for other in stages if other != package]
        assert not [name for name in reached if name.startswith(tuple(others))]
        assert "tags2masks.training" in reached and "tags2masks.data.views" in reached
        assert "tags2masks.data.truth" not in reached
    assert "tags2masks.segmenters.dsrg" not in reached


@pytest.mark.parametrize(
    ("stage", "method", "role"),
    [("segmenter", "deeplabv2", "masks"), ("affinity", "psa", "labels")],
)
def test_labels_that_say_nothing_are_told(call, data, monkeypatch, stage, method, role):
    index = read_index(data / "index.csv")
    whole = [(data / f"{number}.zarr.zip").read_bytes() for number in (0, 1)]
    try:
        for number in (0, 1):
            rows = rows_of(index, "train", number)
            nothing = np.full((20, 22), 255, np.uint8)
            unsure = probabilities(nothing)
            entries = [(name, nothing, {"size": [20, 22]}, unsure) for name in rows["image"]]
            write_shard(data / f"{number}.zarr.zip", {"id": LABELS}, images_sha(rows), entries)
        with pytest.raises(UserError, match=r"every pixel of every image is ignored \(255\)"):
            call("empty", stage, method, **{role: True})
        # One labelled pixel in the last shard is enough.
        (data / "1.zarr.zip").write_bytes(whole[1])
        call("some", stage, method, **{role: True})
    finally:
        for number in (0, 1):
            (data / f"{number}.zarr.zip").write_bytes(whole[number])
