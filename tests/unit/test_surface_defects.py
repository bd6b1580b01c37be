"""The images of docs/another-domain.md are what the page and the program say."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import label

from docs.examples import surface_defects
from docs.examples.surface_defects import AREA, CLASSES, SIDE, draw, main
from tags2masks.config.project import parse_config
from tags2masks.config.reading import read_config
from tags2masks.data.folder import list_classes, list_images
from tags2masks.program import run
from tags2masks.workflow.artifacts import all_artifacts
from tags2masks.workflow.building import build_experiments
from tests.workflow.conftest import ROOT

CONFIG = ROOT / "docs/examples/surface-defects.yaml"


@pytest.fixture(scope="module")
def photographs():
    return [draw("train", number) for number in range(60)]


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(surface_defects, "IMAGES", {"train": 5, "val": 2})


def test_a_defect_is_of_one_piece_and_not_larger_than_said(photographs):
    counts = Counter()
    for image, mask in photographs:
        assert image.shape == mask.shape == (SIDE, SIDE)
        assert image.dtype == mask.dtype == np.uint8
        ids = np.unique(mask[mask > 0])
        counts.update([f"{len(ids)} defects", *ids.tolist()])
        for kind in ids:
            assert label(mask == kind)[1] == 1
            assert 0.02 < (mask == kind).mean() <= AREA[1]
    assert set(counts) == {"0 defects", "1 defects", "2 defects", 1, 2, 3}


def test_a_defect_changes_the_texture_and_not_the_mean_colour(photographs, monkeypatch):
    sound = dict.fromkeys(CLASSES, lambda rng, surface: surface_defects._inner(surface).copy())
    monkeypatch.setattr(surface_defects, "DEFECTS", sound)
    seen = set()
    for number, (image, mask) in enumerate(photographs):
        if len(kinds := np.unique(mask[mask > 0])) != 1:  # a second region depends on the first's
            continue
        plain = draw("train", number)
        np.testing.assert_array_equal(plain.mask, mask)
        np.testing.assert_array_equal(plain.image[mask == 0], image[mask == 0])
        inside = mask > 0
        before, after = plain.image[inside].astype(float), image[inside].astype(float)
        assert abs(after.mean() - before.mean()) < 2
        assert np.abs(after - before).mean() > 5
        seen.update(kinds.tolist())
    assert seen == {1, 2, 3}


def test_train_and_val_show_different_halves_of_the_photographs(monkeypatch):
    ramp = np.tile(np.arange(512, dtype=np.uint16), (512, 1))
    monkeypatch.setattr(surface_defects, "_photograph", lambda name: ramp)
    monkeypatch.setattr(surface_defects, "_lit", lambda rng, view: view)
    for split, columns in (("train", range(256)), ("val", range(256, 512))):
        for number in range(20):
            rng = np.random.default_rng(number)
            assert {*np.unique(surface_defects._surface(rng, split))} <= {*columns}


def test_the_config_reads_the_folder(tmp_path, monkeypatch, capsys, small):
    spec = parse_config(read_config(CONFIG)).datasets["surfaces"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["surface_defects.py", "surface-defects"])
    run(main)
    assert capsys.readouterr().out == "surface-defects: 7 images, tags.csv, masks to check by\n"
    assert list_classes(spec, spec.images) == list(CLASSES)
    for split, count in (("train", 5), ("val", 2)):
        listed = list_images(spec, spec.images, split, CLASSES)
        assert len(listed) == count
        for number, row in enumerate(listed.itertuples()):
            drawn = draw(split, number)
            image = np.asarray(Image.open(Path(spec.images) / row.path))
            mask = np.asarray(Image.open(Path(spec.masks) / row.path))
            np.testing.assert_array_equal(image, drawn.image)
            np.testing.assert_array_equal(mask, drawn.mask)
            assert row.tags == tuple(CLASSES[kind - 1] for kind in np.unique(mask) if kind)
    table = Path(spec.tags).read_text(encoding="utf-8")
    assert table.count("\n") == 8
    page = (ROOT / "docs/another-domain.md").read_text(encoding="utf-8")
    (printed,) = re.findall(r"^```csv\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert table.startswith(printed)


def test_a_folder_that_exists_is_left_alone(tmp_path, monkeypatch, capsys, small):
    (tmp_path / "photo.png").touch()
    monkeypatch.setattr("sys.argv", ["surface_defects.py", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        run(main)
    assert end.value.code == 1
    said = f"error: {tmp_path}: exists already; delete it, or name another folder\n"
    assert capsys.readouterr().err == said
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_without_its_masks_the_config_makes_the_same_artifacts():
    with_masks, without = read_config(CONFIG), read_config(CONFIG)
    del without["datasets"]["surfaces"]["masks"]
    ids = [{*all_artifacts(build_experiments(parse_config(c)))} for c in (with_masks, without)]
    assert ids[0] == ids[1] and len(ids[0]) > 5
