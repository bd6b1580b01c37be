"""A chain with prototypes, really run: what runs again, and that no mask reaches them."""

import copy as copying

import pytest

from tests.workflow.conftest import CONFIG, fresh_project
from tests.workflow.test_housekeeping import command

pytestmark = pytest.mark.slow

# Tables of masks, of which there are none here: they depend on the list of experiments alone.
OF_MASKS = {"collect_plausibility": 1, "correlate_doubts": 1}
END = {"measure_maps": 1, "collect": 1, "correlate": 1, "report_page": 1, "outline": 1}
MAPS = {"lineage": 1, "lpcam": 2} | END | OF_MASKS


def with_lpcam(**values):
    """The small config with one chain that ends in maps from prototypes."""
    config = copying.deepcopy(CONFIG)
    config["maps"] = {
        "lpcam": {"method": "lpcam", "scales": [1], "prototypes": {"clusters": 3}} | values
    }
    config["experiments"] = ["digits / vanilla / lpcam"]
    return config


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The chain, finished."""
    project = fresh_project(tmp_path_factory.mktemp("prototypes"), with_lpcam())
    project.make()
    return project


def test_the_chain_ends_in_figures_and_shows_its_prototypes(made):
    assert made.would_run() == {}
    (path,) = (made.folder / "results/digits/prototypes").glob("kmeans-*/*.zarr.zip")
    assert path.name == "prototypes.zarr.zip"
    figures = (made.folder / "results/metrics.csv").read_text()
    assert "digits/vanilla/lpcam,digits,train,maps,lpcam-" in figures
    page = (made.folder / "results/report.html").read_text()
    assert 'id="d0-prototypes"' in page and "Patches of" in page


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"prototypes": {"clusters": 4}}, {"kmeans": 1} | MAPS),
        ({"scales": [1, 2]}, MAPS),
        ({"context": False}, MAPS),
        ({"prototypes": {"clusters": 3, "batch_size": 1}}, {}),
    ],
)
def test_a_changed_parameter(made, values, expected):
    made.configure(with_lpcam(**values))
    try:
        assert made.would_run() == expected
    finally:
        made.configure(with_lpcam())


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("tags2masks/prototypes/kmeans.py", {"kmeans": 1} | MAPS),
        ("tags2masks/maps/lpcam.py", MAPS),
        # Not made from it: but its figures look at the regions that a plain CAM tells apart.
        (
            "tags2masks/maps/cam.py",
            {"cam": 2, "measure_maps": 1, "collect": 1, "correlate": 1, "report_page": 1},
        ),
    ],
)
def test_an_edited_source(made, file, expected):
    path = made.folder / file
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "\nX = 1\n", encoding="utf-8")
    try:
        of_outline = {"outline"} | OF_MASKS.keys()
        assert made.would_run() == {j: n for j, n in expected.items() if j not in of_outline}
    finally:
        path.write_text(text, encoding="utf-8")


def test_prune_keeps_the_cam_that_tells_regions_apart(made):
    assert list((made.folder / "results/digits/maps").glob("cam-*"))
    assert "Every artifact in results belongs to" in command(made, "prune").stdout


def test_no_mask_reaches_the_prototypes(made):
    done = made.snakemake("--detailed-summary", "--forceall")
    header, *lines = [line.split("\t") for line in done.stdout.splitlines() if "\t" in line]
    inputs = {line[header.index("rule")]: line[header.index("input-file(s)")] for line in lines}
    assert "classifier" in inputs["kmeans"] and "train.csv" in inputs["kmeans"]
    assert "prototypes.zarr.zip" in inputs["lpcam"]
    for rule in ("kmeans", "lpcam", "vanilla"):
        assert "truth" not in inputs[rule] and "metrics" not in inputs[rule]
