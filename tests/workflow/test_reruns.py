"""What runs again after a change: exactly what depends on it."""

import copy as copying
import os
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from PIL import Image

from tests.workflow.conftest import CONFIG, fresh_project

# Jobs of the small config, from a stage to the end; two shards, two masks methods.
MEASURED = {"collect": 1, "correlate": 1, "correlate_doubts": 1, "report_page": 1}
END = {"collect_plausibility": 1} | MEASURED
MADE = {"lineage": 1} | END
PREDICTIONS = {
    "predictions": 4,
    "measure_labels": 2,
    "measure_plausibility": 2,
    "examples": 2,
} | MADE
SEGMENTER = {"deeplabv3plus": 2} | PREDICTIONS
# Masks and predictions of the other chain are compared with those of this one.
ONE_CHAIN = {
    "deeplabv3plus": 1, "predictions": 2, "measure_labels": 2, "measure_plausibility": 4,
    "examples": 1,
} | MADE  # fmt: skip
MASKS = {"threshold": 2, "crf": 2} | SEGMENTER | {"measure_labels": 4, "measure_plausibility": 4}
MAPS = {"cam": 2, "measure_maps": 1} | MASKS
CLASSIFIER = {"vanilla": 1, "measure_classifier": 1} | MAPS
LISTED = {"digits": 1, "digits_val": 1, "digits_ood": 1}
EVERYTHING = LISTED | {"digits_truth": 1, "measure_classes": 1} | CLASSIFIER
OUTLINE = {"outline": 1, "lineage": 1}  # other ids or settings to write down


def changed(path, value):
    """The small config with one value set."""
    config = copying.deepcopy(CONFIG)
    here = config
    *parents, last = path.split(".")
    for key in parents:
        here = here.setdefault(key, {})
    here[last] = value
    return config


def test_a_finished_run_has_nothing_to_do(finished):
    assert finished.would_run() == {}
    assert finished.would_run("--forceall") == EVERYTHING | OUTLINE | {"describe": 4}


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("seed", 1, EVERYTHING | OUTLINE | {"describe": 4}),
        ("datasets.digits.train", 17, EVERYTHING | OUTLINE | {"describe": 4}),
        ("classifiers.vanilla.epochs", 3, CLASSIFIER | OUTLINE),
        ("classifiers.vanilla.optimizer", {"lr": 0.02}, CLASSIFIER | OUTLINE),
        ("maps.cam.flip", False, MAPS | OUTLINE),
        ("masks.threshold.background_score", 0.4, {"threshold": 2} | ONE_CHAIN | OUTLINE),
        ("masks.crf.bilateral", {"srgb": 7}, {"crf": 2} | ONE_CHAIN | OUTLINE),
        ("segmenters.net.epochs", 2, SEGMENTER | OUTLINE),
        ("segmenters.net.test", {"flip": True}, PREDICTIONS | OUTLINE),
        ("datasets.digits.evaluate_on", "train", PREDICTIONS | OUTLINE),
        ("evaluation.background_score", 0.5, {"measure_maps": 1} | END | OUTLINE),
        (
            "evaluation.regions",
            False,
            {"measure_maps": 1, "measure_labels": 2, "examples": 2} | MEASURED,
        ),
        ("report.examples", 2, {"examples": 2} | END | OUTLINE),
        ("threads", 2, {}),
        ("workers", 1, {}),
        ("maps.cam.batch_size", 3, {}),
    ],
)
def test_a_changed_parameter(finished, path, value, expected):
    finished.configure(changed(path, value))
    try:
        assert finished.would_run() == expected
    finally:
        finished.configure(CONFIG)


def test_going_back_to_the_old_value_finds_the_old_artifacts(copy):
    copy.configure(changed("masks.threshold.background_score", 0.4))
    copy.make("--until", "threshold")
    copy.configure(CONFIG)
    assert copy.would_run() == {}


def test_more_shards_deal_the_images_out_again(finished):
    finished.configure(changed("datasets.digits.shards", 3))
    try:
        planned = finished.would_run()
    finally:
        finished.configure(CONFIG)
    assert planned == EVERYTHING | {
        "describe": 3, "cam": 3, "threshold": 3, "crf": 3, "predictions": 6,
    }  # fmt: skip


def test_a_renamed_entry_makes_only_new_tables(finished):
    renamed = copying.deepcopy(CONFIG)
    renamed["maps"] = {"heat": renamed["maps"]["cam"]}
    renamed["experiments"] = ["digits / vanilla / heat / {threshold,crf} / net"]
    finished.configure(renamed)
    try:
        assert finished.would_run() == END | OUTLINE
    finally:
        finished.configure(CONFIG)


def test_a_new_experiment_makes_only_what_is_new(finished):
    more = copying.deepcopy(CONFIG)
    more["masks"]["low"] = {"method": "threshold", "background_score": 0.1}
    more["experiments"].append("digits / vanilla / cam / low")
    finished.configure(more)
    try:
        made = {"threshold": 2, "measure_labels": 1, "measure_plausibility": 3}
        assert finished.would_run() == made | END | OUTLINE
    finally:
        finished.configure(CONFIG)


def test_fewer_experiments_make_only_new_tables(finished):
    finished.configure(changed("experiments", ["digits / vanilla / cam / crf"]))
    try:
        # What is left is compared with less.
        assert finished.would_run() == {"measure_plausibility": 1} | END | OUTLINE
    finally:
        finished.configure(CONFIG)


def edit(project, name, pattern, replacement):
    """Change a source file by a pattern that must be there."""
    path = project.folder / name
    text = path.read_text(encoding="utf-8")
    edited = re.sub(pattern, replacement, text, count=1)
    assert edited != text
    path.write_text(edited, encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "pattern", "replacement", "expected"),
    [
        ("tags2masks/maps/cam.py", r'"""Class act', '"""Some class act', {}),
        ("tags2masks/maps/cam.py", r"\n    def score", "\n    # why\n\n    def score", {}),
        ("tags2masks/maps/cam.py", r"spec\.flip", "not spec.flip", MAPS),
        # localize -> maps.cam -> maps.scales: two imports deep
        ("tags2masks/maps/scales.py", r"\+ 1e-5\)", "+ 1e-6)", MAPS),
        ("tags2masks/masks/threshold.py", r"\Z", "\nX = 1\n", {"threshold": 2} | ONE_CHAIN),
        ("tags2masks/masks/crf.py", r"\Z", "\nX = 1\n", {"crf": 2} | ONE_CHAIN),
        ("tags2masks/classifiers/vanilla.py", r"\Z", "\nX = 1\n", CLASSIFIER),
        ("tags2masks/segmenters/deeplabv3plus.py", r"\Z", "\nX = 1\n", SEGMENTER),
        ("tags2masks/classifiers/learning.py", r"\Z", "\nX = 1\n", CLASSIFIER),
        ("tags2masks/segmenters/learning.py", r"\Z", "\nX = 1\n", SEGMENTER),
        ("tags2masks/affinity/learning.py", r"\Z", "\nX = 1\n", {}),
        ("tags2masks/config/maps.py", r"\Z", "\nX = 1\n", {}),
        ("tags2masks/data/voc.py", r"\Z", "\nX = 1\n", {}),
        ("tags2masks/report/page.py", r"\Z", "\nX = 1\n", {"report_page": 1}),
        ("tags2masks/data/digits.py", r"\Z", "\nX = 1\n", EVERYTHING),
    ],
)
def test_an_edited_source(copy, name, pattern, replacement, expected):
    edit(copy, name, pattern, replacement)
    assert copy.would_run() == expected


def test_touching_every_source_runs_nothing(copy):
    for path in copy.folder.rglob("*"):
        if path.suffix in (".py", ".smk", ".jinja") or path.name in ("Snakefile", "config.yaml"):
            path.touch()
    assert copy.would_run() == {}


def test_a_fresh_clone_with_results_copied_over_runs_nothing(finished, tmp_path):
    assert finished.copied_to(tmp_path).would_run() == {}


def test_a_lost_shard_is_made_again_when_something_needs_it(copy):
    lost = next((copy.folder / "results/digits/maps").glob("cam-*/1.zarr.zip"))
    Path(lost).unlink()
    assert copy.would_run() == {}  # all that was made of it is there
    copy.configure(changed("masks.threshold.background_score", 0.4))
    planned = copy.would_run()
    assert (planned["cam"], planned["threshold"]) == (1, 2)
    assert "vanilla" not in planned


def test_of_initial_weights_the_content_counts_and_not_the_place(tmp_path):
    def weights(name, seed):
        torch.manual_seed(seed)
        network = timm.create_model("test_resnet", num_classes=0)
        path = tmp_path / name / "net.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_file(network.state_dict(), path)
        return str(path)

    def started_from(path):
        backbone = CONFIG["classifiers"]["vanilla"]["backbone"] | {"weights": path}
        return changed("classifiers.vanilla.backbone", backbone) | {
            "experiments": ["digits / vanilla"]
        }

    (tmp_path / "project").mkdir()
    project = fresh_project(tmp_path / "project", started_from(weights("here", seed=0)))
    project.make()
    assert project.would_run() == {}
    os.utime(weights("here", seed=0))  # the same bytes, written anew
    assert project.would_run() == {}
    project.configure(started_from(weights("there", seed=0)))
    assert project.would_run() == {}
    weights("there", seed=1)
    assert project.would_run()["vanilla"] == 1


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """A finished run on a folder of 12 training and 6 evaluation images, without masks."""
    folder = tmp_path_factory.mktemp("pets")
    (folder / "photos").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for number in range(30):
        pixels = rng.integers(0, 255, (32, 40, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"photos/{number:02}.png")
        split = "train" if number < 12 else "val"
        rows.append(f"{number:02}.png,{('cat', 'dog')[number % 2]},{split}")
    config = copying.deepcopy(CONFIG)
    mine = {"kind": "folder", "images": "photos", "tags": "tags.csv", "classes": ["cat", "dog"]}
    config["datasets"] = {"pets": mine}
    config["experiments"] = ["pets / vanilla / cam / threshold / net"]
    write_tags(folder, rows[:18])
    project = fresh_project(folder, config)
    project.make()
    return project, rows


def write_tags(folder, rows):
    (folder / "tags.csv").write_text("\n".join(["image,tags,split", *rows]) + "\n")


def planned_with(pets, change):
    """What would run when the table of tags is changed; the table is put back."""
    project, rows = pets
    assert project.would_run() == {}
    write_tags(project.folder, change(rows))
    try:
        return project.would_run()
    finally:
        write_tags(project.folder, rows[:18])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda rows: rows[:23], id="five added"),
        pytest.param(lambda rows: rows[:13] + rows[18:23], id="five named anew"),
        pytest.param(lambda rows: rows[:13], id="five removed"),
        pytest.param(lambda rows: [r.replace("dog,val", "cat,val") for r in rows[:18]], id="tags"),
    ],
)
def test_other_images_of_val_train_nothing_again(pets, change):
    assert planned_with(pets, change) == {
        "describe": 1, "folder_val": 1, "measure_classifier": 1, "predictions": 1,
        "measure_plausibility": 1, "collect_plausibility": 1, "lineage": 1, "collect": 1,
        "report_page": 1,
    }  # fmt: skip


def test_other_images_of_train_train_everything_again(pets):
    more = [f"{number}.png,cat,train" for number in range(18, 23)]
    planned = planned_with(pets, lambda rows: rows[:18] + more)
    trained = {"folder", "vanilla", "cam", "threshold", "deeplabv3plus"}
    assert trained | {"folder_val", "predictions"} <= set(planned)


def test_other_images_of_val_in_truth(pets):
    """What runs in earnest after five more images of val: the model's file stays as it was."""
    project, rows = pets
    model = next((project.folder / "results/pets/classifier").glob("*/model.safetensors"))
    before = model.stat().st_mtime_ns
    write_tags(project.folder, rows[:23])
    project.make()
    assert len((project.folder / "results/pets/val.csv").read_text().splitlines()) == 12
    assert model.stat().st_mtime_ns == before
    assert project.would_run() == {}
