"""Published figures: which measured ones stand beside them, and the tables that are shipped."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from tags2masks.errors import UserError
from tags2masks.report.page import write_page
from tags2masks.report.published import COLUMNS, published_tables, read_published
from tags2masks.report.tables import METRIC_NAMES, read_metrics
from tests.unit.fabricated_report import COUNT, OUTLINE, fabricate
from tests.unit.read_page import Page, table_of

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "papers/published").glob("*.csv"))
FIRST, SECOND, SCALED = (one["experiment"] for one in OUTLINE[:3])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    outline, roots = fabricate(folder)
    return folder / "results", outline, roots


def written(folder, *rows):
    """A table of (method, split, metric, value) rows."""
    path = folder / "table.csv"
    full = [("A & B", "Table 1", "VOC", split, m, metric, v, "x") for m, split, metric, v in rows]
    pd.DataFrame(full, columns=COLUMNS).to_csv(path, index=False)
    return path


def measured(made, tmp_path, *rows):
    results, outline, _ = made
    metrics = read_metrics(results / "metrics.csv")
    [table] = published_tables([written(tmp_path, *rows)], outline, metrics)
    return [figure.measured for figure in table.figures]


def test_chains_stages_splits_and_tuning_are_matched(made, tmp_path):
    assert measured(
        made,
        tmp_path,
        ("vanilla/cam", "train", "seed_iou", "48.8"),
        ("vanilla/cam", "train", "seed_iou_best", "48.8"),
        ("vanilla/cam/crf", "train", "mask_iou", "60"),
        ("vanilla/cam/crf/deeplabv3plus", "val", "prediction_iou", "70"),
        ("vanilla/cam/threshold/deeplabv3plus", "val", "prediction_contour_f", "40"),
    ) == [
        [("pets/vanilla/cam", "45.1"), (SCALED, "46.9")],  # two experiments share the first
        [("pets/vanilla/cam", "49.8"), (SCALED, "48.0")],
        [("pets/vanilla/cam/crf", "57.1")],
        [(SECOND, "61.5")],
        [(FIRST, "33.4")],
    ]


def test_an_entrys_name_goes_before_its_method(made, tmp_path):
    rows = [
        ("vanilla/cam", "train", "seed_iou", "1"),
        ("vanilla/scaled_cam", "train", "seed_iou", "2"),
    ]
    assert measured(made, tmp_path, *rows) == [
        [("pets/vanilla/cam", "45.1")],
        [(SCALED, "46.9")],
    ]


@pytest.mark.parametrize(
    "row",
    [
        ("vanilla/cam", "val", "seed_iou", "1"),  # seeds are of the training images
        ("vanilla/cam", "train", "mask_iou", "1"),  # no chain of masks
        ("vanilla/cam/crf", "train", "seed_iou", "1"),
        ("vanilla/lpcam", "train", "seed_iou", "1"),
        ("puzzle/cam", "train", "seed_iou", "1"),
        ("SEAM", "train", "seed_iou", "1"),
        ("vanilla/cam", "train", "seed_fp_best", "1"),
        ("vanilla/cam", "train", "saliency_iou", "1"),
        ("vanilla/cam/crf/deeplabv3plus", "test", "prediction_iou", "1"),
    ],
)
def test_what_does_not_fit_stands_alone(made, tmp_path, row):
    assert measured(made, tmp_path, row) == [[]]


def test_the_page_has_the_section_where_the_config_asks_for_it(made, tmp_path):
    results, outline, roots = made
    path = written(
        tmp_path,
        ("vanilla/cam/crf", "train", "mask_iou", "60.50"),
        ("A <b> name", "test", "seed_fp_best", "7"),
    )
    page = write_page(outline, roots, results, COUNT, [path])
    Page(page)
    _, first, second = table_of(page, "published")
    mine = "57.1 pets/vanilla/cam/crf"
    assert first == ["vanilla/cam/crf", "VOC, train", "Mask IoU", "60.50", mine, "x"]
    assert second == [
        "A &lt;b&gt; name",
        "VOC, test",
        "Seed False positives, best score †",
        "7",
        "–",
        "x",
    ]
    assert "A &amp; B, Table 1" in page and "2 figures, 1 measured here too" in page
    assert 'id="published"' not in write_page(outline, roots, results, COUNT)


def test_a_table_that_is_none_is_refused(tmp_path):
    path = written(tmp_path, ("a", "train", "seed_iou", "1"), ("", "train", "seed_iou", "4o"))
    with pytest.raises(UserError) as error:
        read_published(path)
    assert str(error.value).splitlines() == [
        f"{path}, row 2: value '4o' is no number; correct it, or take it out of `published`",
        f"{path}, row 2: no method; correct it, or take it out of `published`",
    ]
    path.write_text("paper,value\nx,1\n")
    with pytest.raises(UserError, match=r"table\.csv: no column table, dataset, split"):
        read_published(path)


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_shipped_tables(path):
    frame = read_published(path)
    assert tuple(frame.columns) == COLUMNS
    assert not frame.duplicated().any()
    assert pd.to_numeric(frame["value"]).between(1, 100).all()
    assert set(frame["split"]) <= {"train", "val", "test", "test-dev"}
    assert set(frame["dataset"]) <= {"VOC 2012", "COCO 2014", "COCO 2017"}
    chained = frame[frame["method"].str.contains("/")]
    stage, _, metric = zip(
        *(name.removesuffix("_best").partition("_") for name in chained["metric"]), strict=True
    )
    assert set(metric) <= {*METRIC_NAMES, "fp", "fn"}
    depth = chained["method"].str.count("/")
    hosts = chained["note"].str.startswith(
        "host "
    )  # hosts that the paper gives no masks' method of
    wanted = [{"seed": 1, "mask": 2, "prediction": 3}[name] for name in stage]
    assert (depth == wanted)[~hosts].all()


def test_configs_name_tables_that_are_there():
    named = set()
    for path in (ROOT / "papers").glob("*.yaml"):
        tables = yaml.safe_load(path.read_text(encoding="utf-8")).get("published", [])
        named |= {tables} if isinstance(tables, str) else set(tables)
    assert named and all((ROOT / name).is_file() for name in named)
