"""Properties of classes by hand, as P-NOC's table 8 has them, and on real images."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tags2masks.config.folders import Folder
from tags2masks.config.voc import VOC_CLASSES, Voc
from tags2masks.data import voc
from tags2masks.data.index import build_index, write_classes, write_index
from tags2masks.data.truth import plain_table, write_truth
from tags2masks.data.warnings import read_warnings
from tags2masks.metrics.properties import class_properties, correlations, region_counts
from tags2masks.report.reading import read_properties
from tests.unit.splits import list_all
from workflow_scripts import correlate, measure_classes

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "voc12_animals"

# P-NOC, table 8: relative size, co-occurrence, label-set cardinality, and the IoU of two methods.
TABLE = """
11.8  9.1 1.1 47.5 59.8
 6.4 76.9 2.2 32.2 39.9
11.8 11.4 1.2 49.5 68.6
10.8 32.1 1.4 40.8 48.5
 9.5 70.1 2.3 49.0 65.9
31.5 51.3 1.7 72.1 79.9
15.5 61.7 1.9 62.6 75.9
28.6 26.0 1.3 54.8 83.1
10.6 87.8 2.4 30.7 27.0
18.0 29.7 1.4 55.1 71.6
22.5 95.1 2.6 52.5 50.9
19.8 38.0 1.5 61.3 77.9
19.1 47.1 1.6 55.9 70.1
19.6 56.8 1.7 67.8 73.7
15.2 83.0 2.1 63.6 54.4
11.2 63.4 2.1 46.8 57.2
19.7 19.0 1.3 55.3 72.2
21.6 80.6 2.4 50.0 44.4
26.6 20.5 1.2 63.9 68.1
15.5 65.1 2.1 38.6 42.0
"""


def measured(experiment, stage, split, ious, tuned=False, metric="iou"):
    """Rows of metrics.csv: iou by class."""
    return pd.DataFrame(
        [
            (experiment, "voc", split, stage, "x-1", metric, name, value, None, tuned, 9)
            for name, value in ious.items()
        ],
        columns=["experiment", "dataset", "split", "stage", "artifact", "metric", "class", "value",
                 "threshold", "tuned_on_masks", "images"],
    )  # fmt: skip


def test_correlations_are_the_papers():
    figures = np.array([line.split() for line in TABLE.strip().splitlines()], float)
    properties = pd.DataFrame(
        {
            "split": "train",
            "class": VOC_CLASSES,
            "images": 9,
            "relative_size": figures[:, 0] / 100,
            "co_occurrence": figures[:, 1] / 100,
            "cardinality": figures[:, 2],
        }
    )
    parts = [
        measured(name, "maps", "train", dict(zip(VOC_CLASSES, ious / 100, strict=True)) | extra)
        for name, ious in (("voc/ra/cam", figures[:, 3]), ("voc/pnoc/cam", figures[:, 4]))
        for extra in [{"mean": 0.54, "background": 0.81}]
    ]
    found = correlations(properties, pd.concat(parts))
    assert found["classes"].tolist() == [20] * 6
    assert found["stage"].tolist() == ["maps"] * 6
    # ρ of the table's last three rows; from figures that are rounded to one decimal.
    expected = [0.703, -0.229, -0.329, 0.555, -0.580, -0.619]
    np.testing.assert_allclose(found["pearson"], expected, atol=0.006)
    size, iou = properties["relative_size"].rank(), pd.Series(figures[:, 3]).rank()
    assert found["spearman"][0] == pytest.approx(np.corrcoef(size, iou)[0, 1])


def test_the_last_stage_on_its_own_split_counts():
    names = ["a", "b", "c"]
    properties = pd.DataFrame(
        {
            "split": ["train"] * 3 + ["val"] * 3,
            "class": names * 2,
            "images": 1,
            "relative_size": [0.1, 0.2, 0.3, 0.3, 0.2, 0.1],
            "co_occurrence": [0.5] * 6,
            "cardinality": [1, 2, np.nan] * 2,
        }
    )
    ious = dict(zip(names, (0.1, 0.2, 0.6), strict=True))
    backwards = {name: 1 - value for name, value in ious.items()}
    metrics = pd.concat(
        [
            measured("voc/v/cam/crf/net", "maps", "train", ious),
            measured("voc/v/cam/crf/net", "masks", "train", ious),
            measured("voc/v/cam/crf/net", "predictions", "val", ious),
            measured("voc/v/cam", "maps", "train", ious),
            measured("voc/v/cam", "maps", "train", backwards, tuned=True),
            measured("voc/v/cam", "maps", "train", backwards, metric="recall"),
            measured("voc/v", "classifier", "val", {"mean": 0.9}, metric="map"),
        ]
    )
    found = correlations(properties, metrics).set_index(["experiment", "property"])
    assert len(found) == 6
    size = found.xs("relative_size", level="property")
    # (0.1, 0.2, 0.3) and (0.1, 0.2, 0.6): covariance 0.5 / 3, over 0.2 and 14 / 75.
    r = 0.05 / np.sqrt(0.02 * 0.14)
    assert size["pearson"].to_dict() == pytest.approx({"voc/v/cam/crf/net": -r, "voc/v/cam": r})
    assert size["spearman"].tolist() == pytest.approx([-1, 1])
    assert size["stage"].tolist() == ["predictions", "maps"]
    assert size["split"].tolist() == ["val", "train"]
    # Equal values, and two classes, have no correlation.
    rest = found.drop("relative_size", level="property")
    assert rest[["pearson", "spearman"]].isna().all(axis=None)
    assert rest["classes"].tolist() == [3, 2] * 2


def test_shares_and_properties_by_hand(tmp_path):
    masks = {
        "a": [[1, 1, 0, 0], [1, 1, 0, 255]],
        "b": [[2, 0], [0, 0]],
        "c": [[1, 2, 2, 0]],
    }
    truths = []
    for name, pixels in masks.items():
        pixels = np.array(pixels, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        own = {"a": ("x",), "b": ("y",), "c": ("x", "y")}[name]
        truths.append((str(tmp_path / f"{name}.png"), pixels.shape, own))
    classes = ["x", "y", "z"]
    counts = region_counts(truths, plain_table(3), classes)
    shares = counts[:2]
    # Of all pixels, the ignored one too; class 3 is nowhere.
    assert shares.tolist() == [
        [3 / 8 + 3 / 4 + 1 / 4, 4 / 8 + 1 / 4, 1 / 4 + 2 / 4, 0],
        [3, 2, 2, 0],
    ]
    # With the tag x: a and c; y: b and c; z: none.
    assert counts[2:].tolist() == [[2, 2, 1, 0], [2, 1, 2, 0], [0, 0, 0, 0]]
    assert (sum(region_counts([one], plain_table(3), classes) for one in truths) == counts).all()
    tags = [("x",), ("y",), ("x", "y")]
    found = class_properties(shares, tags, ["x", "y", "z"], "val").set_index("class")
    assert found["split"].tolist() == ["val"] * 4
    assert found["images"].tolist() == [3, 2, 2, 0]
    assert found["relative_size"].tolist()[:3] == [1.375 / 3, 0.375, 0.375]
    assert found.loc["x", ["co_occurrence", "cardinality"]].tolist() == [0.5, 1.5]
    assert found.loc["background", ["co_occurrence", "cardinality"]].isna().all()
    assert found.loc["z", ["relative_size", "co_occurrence", "cardinality"]].isna().all()


def call(monkeypatch, program, **options):
    words = []
    for name, value in options.items():
        words += [f"--{name}", *(value if isinstance(value, list) else [str(value)])]
    monkeypatch.setattr(sys, "argv", [program.__name__, *words])
    program.main()


def test_the_programs(tmp_path, monkeypatch):
    home = tmp_path / "pets"
    (home / "masks").mkdir(parents=True)
    names = ["a", "b", "c", "d"]
    for number, name in enumerate(names):
        Image.new("RGB", (4, 1)).save(home / f"{name}.png")
        mask = np.array([[1, 1, 1, 0], [1, 2, 0, 0], [3, 0, 0, 0], [1, 1, 0, 0]][number], np.uint8)
        if name != "d":
            Image.fromarray(mask[None]).save(home / f"masks/{name}.png")
    tags = [("x",), ("x", "y"), ("z",), ("x",)]
    listing = pd.DataFrame(
        {"image": names, "path": [f"{n}.png" for n in names], "split": "train", "tags": tags}
    )
    classes = ["x", "y", "z"]
    index = build_index(listing, home, classes, 1, 1)
    write_index(home / "index.csv", index)
    write_classes(home / "classes.txt", classes)
    truth = pd.DataFrame(
        {"image": names[:3], "mask": [f"masks/{n}.png" for n in names[:3]], "instances": ""}
    )
    write_truth(home / "truth.csv", truth)
    spec = Folder(images="", tags="", masks="", classes=tuple(classes))

    def warned_with(names):
        """The warnings where the ids of the masks are of these classes."""
        write_classes(home / "classes.txt", names)
        call(
            monkeypatch,
            measure_classes,
            recipe=json.dumps({"dataset": spec.key() | {"classes": names}, "seed": 0}),
            root=home,
            threads=1,
            output=home / "properties.csv",
            warnings=home / "masks-warnings.csv",
            **{name: home / f"{name}.{end}" for name, end in
               (("index", "csv"), ("classes", "txt"), ("truth", "csv"))},
        )  # fmt: skip
        return read_warnings(home / "masks-warnings.csv")

    (warned,) = warned_with(["z", "x", "y"])
    assert warned.note == "tags and masks differ: z, x, y"
    assert "its regions go with the tag x)" in warned.warning
    (warned,) = warned_with([*classes, "w"])
    assert warned.note == "no train mask shows w"
    assert warned_with(classes) == []
    found = read_properties(home / "properties.csv").set_index("class")
    assert found["images"].to_dict() == {"background": 3, "x": 2, "y": 1, "z": 1}  # d has no mask
    assert found["relative_size"].to_dict() == pytest.approx(
        {"background": 1.5 / 3, "x": 0.5, "y": 0.25, "z": 0.25}
    )
    assert found["co_occurrence"].tolist()[1:] == [0.5, 1, 0]

    ious = {"x": 0.9, "y": 0.1, "z": 0.2, "mean": 0.4}
    rows = measured("pets/v/cam", "maps", "train", ious).assign(dataset="pets")
    rows.to_csv(tmp_path / "metrics.csv", index=False)
    call(
        monkeypatch,
        correlate,
        metrics=tmp_path / "metrics.csv",
        results=tmp_path,
        datasets=["pets"],
        output=tmp_path / "correlations.csv",
    )
    table = pd.read_csv(tmp_path / "correlations.csv")
    expected = np.corrcoef([0.5, 0.25, 0.25], [0.9, 0.1, 0.2])[0, 1]
    assert table.loc[0, "pearson"] == pytest.approx(expected, abs=1e-5)
    assert table["dataset"].tolist() == ["pets"] * 3


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real data is absent: no folder {REAL}")
def test_real_animals_have_the_papers_properties():
    """Three animals whose images are all there: %S, %C and L of table 8."""
    spec = Voc(root=str(REAL))
    listing, classes = list_all(voc, spec, REAL)
    rows = listing[listing["split"] == "train"].reset_index(drop=True)
    truths = []
    for image, tags in zip(rows["image"], rows["tags"], strict=True):
        path = REAL / f"SegmentationClass/{image}.png"
        with Image.open(path) as mask:
            truths.append((str(path), (mask.height, mask.width), tags))
    counts = region_counts(truths, voc.mask_table(spec, classes), classes)
    found = class_properties(counts[:2], rows["tags"].tolist(), classes, "train").set_index("class")
    for name, expected in (
        ("cat", (28.6, 26.0, 1.3)),
        ("horse", (19.1, 47.1, 1.6)),
        ("sheep", (19.7, 19.0, 1.3)),
    ):
        one = found.loc[name]
        values = (100 * one.relative_size, 100 * one.co_occurrence, one.cardinality)
        assert tuple(round(float(value), 1) for value in values) == expected
