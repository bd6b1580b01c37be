"""Published figures: which measured ones stand beside them, and the tables that are shipped."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from tags2masks.config.papers import INDEX
from tags2masks.config.voc import VOC_CLASSES
from tags2masks.errors import UserError
from tags2masks.metrics.rows import COLUMNS as FIGURE_COLUMNS
from tags2masks.report.page import write_page
from tags2masks.report.published import (
    COLUMNS,
    OPTIONAL,
    epoch_figures,
    published_tables,
    read_published,
)
from tags2masks.report.reading import read_metrics
from tags2masks.report.tables import METRIC_NAMES
from tests.unit.fabricated_report import COUNT, MAPS, OUTLINE, fabricate, settings
from tests.unit.read_page import Page, table_of

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "papers/published").glob("*.csv"))
GROUPS = [
    *(f"group: {name}" for name in ("small", "mid", "large")),
    *(f"group: {name}" for name in ("singleton", "p-rel", "room", "traffic")),
]
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


PER_CLASS = [
    ("vanilla/cam/crf", "train", "mask_iou", "60.5", "mean", ""),
    ("vanilla/cam/crf", "train", "mask_iou", "51", "dog", ""),
    ("vanilla/cam/crf", "train", "mask_iou", "52", "cat", ""),
    ("SEAM", "train", "mask_iou", "53", "cat", ""),
    ("vanilla/cam", "train", "seed_iou", "44.4", "", "1"),
    ("vanilla/cam", "train", "seed_iou", "45.5", "", "2"),
]


def written_finely(folder, rows=PER_CLASS):
    """A table of (method, split, metric, value, class, epoch) rows."""
    path = folder / "fine.csv"
    full = [("P", "T", "VOC", split, m, metric, v, "", *at) for m, split, metric, v, *at in rows]
    pd.DataFrame(full, columns=(*COLUMNS, *OPTIONAL)).to_csv(path, index=False)
    return path


@pytest.fixture
def epochs(made):
    """The file of the figures after each of two epochs, of the maps of two experiments."""
    path = made[0] / "pets" / "maps" / MAPS / "epochs.csv"
    rows = [
        (1, "train", "iou", "mean", 0.401, 0.3, False, 8),
        (1, "train", "iou", "mean", 0.409, 0.4, True, 8),
        (1, "train", "iou", "cat", 0.333, 0.3, False, 8),
        (2, "train", "iou", "mean", 0.412, 0.3, False, 8),
    ]
    pd.DataFrame(rows, columns=("epoch", *FIGURE_COLUMNS)).to_csv(path, index=False)
    yield path
    path.unlink()


def test_figures_of_classes_and_epochs_stand_beside_their_own(made, tmp_path, epochs):
    results, outline, _ = made
    metrics = read_metrics(results / "metrics.csv")
    after = epoch_figures(outline, results, [epochs, epochs.with_name("steps.csv")])
    assert len(after) == 8  # four rows for each of the two experiments on these maps
    [table] = published_tables([written_finely(tmp_path)], outline, metrics, after)
    crf, cam = "pets/vanilla/cam/crf", "pets/vanilla/cam"
    assert [(figure.value, figure.measured) for figure in table.means] == [
        ("60.5", [(crf, "57.1")])
    ]
    by_class, by_epoch = table.grids
    assert (by_class.title, by_class.rows) == ("Class", ["dog", "cat"])
    assert [(column.chains, column.cells) for column in by_class.columns] == [
        ([crf], {"dog": ("51", ["43.0"]), "cat": ("52", ["47.2"])}),
        ([], {"cat": ("53", [])}),
    ]
    assert (by_epoch.title, by_epoch.rows) == ("Epoch", ["1", "2"])
    [column] = by_epoch.columns
    assert (column.chains, column.cells) == (
        [cam],
        {"1": ("44.4", ["40.1"]), "2": ("45.5", ["41.2"])},
    )
    assert table.measured == 5


def test_the_page_has_a_table_by_class_and_one_by_epoch(made, tmp_path, epochs):
    results, outline, roots = made
    page = write_page(
        outline, roots, results, COUNT, settings(), [written_finely(tmp_path)], [epochs]
    )
    Page(page)
    by_class = page[page.index('aria-label="P, T, by class"') :]
    rows = table_of('<section id="x">' + by_class, "x")
    assert rows[0][0] == "Class" and len(rows[0]) == 3
    assert rows[0][1] == "vanilla/cam/crfMask IoUVOC, train; here: pets/vanilla/cam/crf"
    assert rows[1:] == [["dog", "5143.0", "–"], ["cat", "5247.2", "53"]]
    by_epoch = page[page.index('aria-label="P, T, by epoch"') :]
    assert table_of('<section id="x">' + by_epoch, "x")[1:] == [
        ["1", "44.440.1"],
        ["2", "45.541.2"],
    ]


def test_an_epoch_is_a_whole_number(tmp_path):
    rows = [("a", "train", "seed_iou", "1", "", epoch) for epoch in ("1", "0", "last", "1.5")]
    with pytest.raises(UserError) as error:
        read_published(written_finely(tmp_path, rows))
    assert [
        line.partition(": ")[2].partition(";")[0] for line in str(error.value).splitlines()
    ] == [f"epoch '{epoch}' is no whole number from 1 on" for epoch in ("0", "last", "1.5")]


def test_the_page_has_the_section_where_the_config_asks_for_it(made, tmp_path):
    results, outline, roots = made
    path = written(
        tmp_path,
        ("vanilla/cam/crf", "train", "mask_iou", "60.50"),
        ("A <b> name", "test", "seed_fp_best", "7"),
    )
    page = write_page(outline, roots, results, COUNT, settings(), [path])
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
    assert 'id="published"' not in write_page(outline, roots, results, COUNT, settings())


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
    assert set(frame.columns) == {*COLUMNS, *OPTIONAL}
    assert not frame.duplicated().any()
    values = pd.to_numeric(frame["value"])
    correlations = frame["metric"].str.startswith("pearson")
    seconds = frame["metric"] == "annotation_seconds"
    assert values[correlations].between(-100, 100).all()
    assert values[~correlations & ~seconds].between(0, 100, inclusive="right").all()
    assert values[seconds].between(20, 240).all()
    assert set(frame["split"]) <= {"train", "val", "test", "test-dev", ""}
    assert set(frame["dataset"]) <= {"VOC 2012", "COCO 2014", "COCO 2017", ""}
    known = {*VOC_CLASSES, "background", *GROUPS, ""}
    assert set(frame["class"]) <= known
    assert set(frame["epoch"]) <= {"", *map(str, range(1, 16))}
    of_stage = frame["metric"].str.match("(seed|mask|prediction)_")
    chained = frame[frame["method"].str.contains("/") & of_stage]
    plain = chained["metric"].str.removesuffix("_best").str.partition("_")[2]
    assert set(plain) <= set(METRIC_NAMES)


def test_configs_name_tables_that_are_there():
    named = set()
    for path in {*(ROOT / "papers").glob("*.yaml")} - {INDEX}:
        tables = yaml.safe_load(path.read_text(encoding="utf-8")).get("published", [])
        named |= {tables} if isinstance(tables, str) else set(tables)
    assert named and all((ROOT / name).is_file() for name in named)
