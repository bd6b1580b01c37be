"""Analyses of trained networks, on request: their tables, what a change makes again, the page."""

import copy as copying
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.store import Shard
from tests.workflow.conftest import CONFIG, fresh_project

ROOT = Path(__file__).resolve().parents[2]
MNIST = ROOT.parent / "shared/data/mnist"


def with_landscape(points):
    config = copying.deepcopy(CONFIG)
    config["experiments"] = ["digits / vanilla / cam"]
    surface = {"images": 4, "points": points, "around": ["images", "weights"]}
    return config | {"evaluation": {"background_score": 0.3, "landscape": surface}}


def test_a_landscape_is_a_table_beside_its_classifier(copy):
    copy.configure(with_landscape(3))
    planned = copy.would_run()
    assert planned["map_landscape"] == 1 and planned.keys() & {"vanilla", "cam"} == set()
    copy.make()
    (table,) = copy.folder.glob("results/digits/classifier/vanilla-*/landscape.csv")
    surface = pd.read_csv(table)
    assert surface.groupby("around").size().to_dict() == {"images": 9, "weights": 9}
    assert (surface["images"] == 4).all() and surface["loss"].gt(0).all()
    images = surface[surface["around"] == "images"].pivot(index="first", columns="second")["loss"]
    assert images[0.0].is_monotonic_increasing  # along the gradient
    before = table.read_bytes()
    copy.make("--forcerun", "map_landscape")
    assert table.read_bytes() == before
    page = (copy.folder / "results/report.html").read_text(encoding="utf-8")
    assert "Loss around images: vanilla" in page and "Loss around the weights: vanilla" in page
    copy.configure(with_landscape(5))
    assert copy.would_run() == {"map_landscape": 1, "report_page": 1}


def with_untagged(classes):
    config = copying.deepcopy(CONFIG)
    config["experiments"] = ["digits / vanilla / cam"]
    untagged = {"classes": classes, "images": 2}
    return config | {
        "evaluation": {"background_score": 0.3, "untagged": untagged},
        "report": {"side_by_side": {"digits": 2}},
    }


def test_untagged_classes_are_localized_and_drawn(copy):
    copy.configure(with_untagged(["one"]))
    planned = copy.would_run()
    assert planned["localize_untagged"] == 1 and planned.keys() & {"vanilla", "cam"} == set()
    copy.make()
    (file,) = copy.folder.glob("results/digits/maps/cam-*/untagged.zarr.zip")
    usual = {}
    train = read_index(copy.folder / "results/digits/train.csv")
    for number in (0, 1):
        rows = rows_of(train, "train", number)
        path = file.with_name(f"{number}.zarr.zip")
        with Shard(path, file.parent.name, images_sha(rows)) as shard:
            usual |= {image: shard.read(image)[0] for image in rows["image"]}
    with Shard(file, file.parent.name, images_sha(rows_of(train, "train"))) as shard:
        held = [row for row in train.to_dict("records") if shard.holds(row["image"])]
        assert len(held) == 2
        for row in held:
            maps, attributes = shard.read(row["image"])
            assert row["tags"] == ("zero",) and attributes["classes"] == ["zero", "one"]
            np.testing.assert_allclose(maps[0], usual[row["image"]][0], atol=2e-3)
            assert maps[1].max() == 0 or maps[1].max() > 0.9
    page = (copy.folder / "results/report.html").read_text(encoding="utf-8")
    assert f"Where one would be seen in {held[0]['image']}" in page and "Side by side" in page
    copy.configure(with_untagged(["zero"]))
    assert copy.would_run() == {"localize_untagged": 1, "report_page": 1}


@pytest.mark.whole
def test_the_demo_of_climbs(tmp_path):
    config = yaml.safe_load((ROOT / "papers/analyses-digits.yaml").read_text(encoding="utf-8"))
    made = fresh_project(tmp_path, config)
    made.make()
    (table,) = made.folder.glob("results/digits/maps/advcam-*/climbs.csv")
    places = pd.read_csv(table, dtype={"class": str})
    climbs = places[places["kind"] == "climb"]
    assert climbs.groupby("class")["step"].apply(list).to_dict() == {
        name: list(range(21)) for name in ("one", "zero")
    }
    (table,) = made.folder.glob("results/digits/classifier/vanilla-*/landscape.csv")
    surface = pd.read_csv(table)
    middle = surface[(surface["around"] == "images") & (surface["second"] == 0)]
    loss = middle.set_index("first")["loss"]
    # Climbing is flatter than attacking, as in the thesis's figure 3.4.
    assert loss.loc[0.05] > 5 * loss.loc[0] and loss.loc[:0].max() < 2 * loss.loc[0]
    page = (made.folder / "results/report.html").read_text(encoding="utf-8")
    assert "Features along climbs, by t-SNE" in page


@pytest.mark.whole
@pytest.mark.skipif(not MNIST.is_dir(), reason=f"MNIST is absent: no folder {MNIST}")
def test_the_demo_of_gradients(tmp_path):
    config = yaml.safe_load((ROOT / "papers/analyses-mnist.yaml").read_text(encoding="utf-8"))
    config["datasets"]["mnist"]["root"] = str(MNIST)
    made = fresh_project(tmp_path, config)
    made.make()
    (table,) = made.folder.glob("results/mnist/maps/rib-*/gradients.csv")
    ratios = pd.read_csv(table).set_index(["over", "number", "region"])["ratio"]
    # The logit's gradient is high in far fewer pixels than the last layer's.
    for region in ("discriminative", "non-discriminative"):
        assert ratios["layer", 6, region] < 0.7 * ratios["layer", 5, region]
    assert ratios["step", 0].tolist() == ratios["layer", 6].tolist()
    page = (made.folder / "results/report.html").read_text(encoding="utf-8")
    assert "High gradients by layer" in page and "over RIB's steps" in page.replace("&#39;", "'")
    # Three images: one of six layers and the logit, and six of RIB's steps.
    assert "Gradients by layer and over RIB’s steps" in page
    assert len(re.findall(r'alt="Gradients of \S+: step', page)) == 3 * 6
