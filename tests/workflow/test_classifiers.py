"""Every way to train a classifier, really run, and maps from each."""

import copy as copying

import pandas as pd
import pytest

from tests.workflow.conftest import CONFIG, NETWORK, VIEWS, fresh_project

pytestmark = pytest.mark.slow  # whole chains of its own

TRAINING = {"backbone": NETWORK, "augment": VIEWS, "epochs": 1, "batch_size": 8}
METHODS = {
    "ficklenet": {"kernel": 3},
    "puzzle": {},
    "occse": {"ordinary": "vanilla"},
    "poc": {"ordinary": "vanilla"},
    "pnoc": {"ordinary": "vanilla"},
    "seam": {},
    "sampling": {},
    "edam": {"width": 8},
    "mctformer": {"backbone": {"name": "test_vit", "args": {"patch_size": 8, "img_size": 64}}},
}
# Of their own classifiers.
OWN_MAPS = {
    "random": {"method": "ficklenet", "passes": 5},
    "noc": {"method": "cam", "scales": [1], "network": "noc"},
    "tokens": {"method": "mctformer"},
    "tokens-lpcam": {
        "method": "mctformer",
        "patch_map": "lpcam",
        "prototypes": {"clusters": 2, "foreground_score": 0.5},
    },
}
OF_NOC = {"digits/pnoc/noc"}
OF_MCTFORMER = {f"digits/mctformer/{name}" for name in ("tokens", "tokens-lpcam")}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A chain of each method that ends in maps, and of maps that are their own; finished."""
    config = copying.deepcopy(CONFIG)
    del config["segmenters"]
    for name, more in METHODS.items():
        config["classifiers"][name] = {"method": name} | TRAINING | more
    config["maps"] |= OWN_MAPS
    config["masks"] = {"any": {"method": "any_pass"}}
    config["experiments"] = [f"digits / {{{','.join(METHODS)}}} / cam"]
    config["experiments"] += ["digits / ficklenet / random / any", *sorted(OF_MCTFORMER | OF_NOC)]
    project = fresh_project(tmp_path_factory.mktemp("classifiers"), config)
    project.make()
    return project


def test_each_has_maps_with_figures(made):
    assert made.would_run() == {}
    board = pd.read_csv(made.folder / "results/leaderboard.csv").set_index("experiment")
    random = "digits/ficklenet/random/any"
    cams = {f"digits/{name}/cam" for name in METHODS}
    assert set(board.index) == {random, *cams, *OF_MCTFORMER, *OF_NOC}
    assert 0 < board.loc[random, "mask_iou"] < 1
    assert board.loc["digits/pnoc/noc", "seed_iou"] != board.loc["digits/pnoc/cam", "seed_iou"]
    assert board["seed_iou"].between(0, 1).all() and board["classifier_map"].between(0, 1).all()


def test_the_helper_is_trained_once_and_not_again(made):
    folders = (made.folder / "results/digits/classifier").glob("vanilla-*")
    assert len(list(folders)) == 1
    path = made.folder / "tags2masks/classifiers/occse.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "\nX = 1\n", encoding="utf-8")
    try:
        planned = made.would_run()
    finally:
        path.write_text(text, encoding="utf-8")
    assert planned["occse"] == 1 and "vanilla" not in planned and "seam" not in planned
