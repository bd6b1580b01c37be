"""Chains from boxes, really run: instances, their figures, and a segmenter on their masks."""

import copy as copying

import numpy as np
import pandas as pd
import pytest

from tags2masks.data.boxes import read_boxes
from tags2masks.data.index import images_sha, read_index, rows_of
from tags2masks.instance_store import read_instances
from tags2masks.store import Shard
from tests.unit.read_page import table_of
from tests.workflow.conftest import CONFIG, fresh_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small run from boxes of the digits."""
    config = {name: copying.deepcopy(CONFIG[name]) for name in ("threads", "segmenters", "report")}
    config["datasets"] = copying.deepcopy(CONFIG["datasets"])
    config["datasets"]["digits"]["shards"] = 1
    config["instances"] = {"boxfill": {"method": "boxfill"}}
    config["experiments"] = ["digits / boxfill / net"]
    project = fresh_project(tmp_path_factory.mktemp("boxes"), config)
    project.make()
    return project


def test_an_instance_for_every_box_and_their_masks(made):
    own = made.folder / "results/digits"
    rows = rows_of(read_index(own / "train.csv"), "train")
    boxes = read_boxes(own / "boxes.csv")
    (instances,), (masks,) = (own.glob(f"{stage}/*") for stage in ("instances", "masks"))
    assert masks.name.startswith("semantic-") and len(boxes) > len(rows)
    sha = images_sha(rows)
    with (
        Shard(instances / "0.zarr.zip", instances.name, sha) as shard,
        Shard(masks / "0.zarr.zip", masks.name, sha) as drawn,
    ):
        for image in rows["image"]:
            listed = boxes[boxes["image"] == image]
            found = read_instances(shard, image)
            assert [each.box for each in found] == [
                tuple(box) for box in listed[["x1", "y1", "x2", "y2"]].to_numpy().tolist()
            ]
            union = np.any([each.mask for each in found], axis=0)
            np.testing.assert_array_equal(drawn.read(image)[0] > 0, union)


def test_their_figures_are_in_the_tables_and_on_the_page(made):
    figures = pd.read_csv(made.folder / "results/metrics.csv", dtype={"class": str})
    figures = figures[(figures["stage"] == "instances") & (figures["class"] == "mean")]
    told = figures.set_index("metric")["value"]
    assert set(told.index) >= {"ap", "ap25", "ap50", "ap70", "ap75", "aps", "abo", "abo_instances"}
    assert told["ap75"] < told["ap50"] and told["ap25"] == pytest.approx(1)
    assert 0.4 < told["abo"] < 0.8  # digits fill some 60 % of their boxes
    (row,) = pd.read_csv(made.folder / "results/leaderboard.csv").to_dict("records")
    assert (row["supervision"], row["label_cost"]) == ("boxes", 38.1)
    for metric in ("ap", "ap50", "abo"):
        assert row[f"instance_{metric}"] == pytest.approx(told[metric], abs=1e-5)
    assert row["mask_iou"] > 0.5 and row["prediction_iou"] >= 0
    page = (made.folder / "results/report.html").read_text(encoding="utf-8")
    assert "Instance AP" in " ".join(table_of(page, "leaderboard")[0])
    assert f'<td class="num">{100 * told["abo"]:.1f}</td>' in page
    assert page.count("Instances of train-") == 2  # a picture for each example


def test_what_a_changed_option_makes_again(made):
    first = made.config
    changed = copying.deepcopy(first)
    changed["instances"]["boxfill"]["difficult"] = "leave_out"
    made.configure(changed)
    ran = made.would_run()
    made.configure(first)
    assert {"boxfill", "semantic", "deeplabv3plus", "predictions", "measure_instances"} <= set(ran)
    assert not {"digits_boxes", "true_instances", "digits_truth"} & set(ran)
    assert made.would_run() == {}


def test_figures_of_a_kind_without_true_instances_are_refused(made, tmp_path):
    (tmp_path / "tags.csv").write_text("image,tags,split\na.png,zero,train\nb.png,zero,val\n")
    (tmp_path / "boxes.csv").write_text("image,class,x1,y1,x2,y2\na.png,zero,0,0,1,1\n")
    (tmp_path / "masks").mkdir()
    first = made.config
    places = {name: str(tmp_path / f"{name}.csv") for name in ("tags", "boxes")}
    places |= {"images": str(tmp_path), "masks": str(tmp_path / "masks"), "classes": ["zero"]}
    own = {"datasets": {"mine": {"kind": "folder"} | places}, "experiments": ["mine / boxfill"]}
    made.configure(first | own)
    done = made.snakemake("--dry-run", "results/mine/true_instances/0.zarr.zip")
    made.configure(first)
    assert done.returncode == 1
    assert "a folder data set has no true instances to measure instances with" in (
        done.stdout + done.stderr
    )
