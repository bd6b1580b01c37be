"""Maps measured after each epoch, on request; and maps that a correlation module refined."""

import copy as copying

import pandas as pd
import pytest

from tests.workflow.conftest import CONFIG, NETWORK, VIEWS, fresh_project

pytestmark = pytest.mark.slow

CHAINS = ("digits/vanilla/cam", "digits/seam/cam", "digits/seam/pcm")


def config_of(images):
    """Chains that end in maps, measured on so many images after both epochs of the classifiers."""
    config = copying.deepcopy(CONFIG)
    del config["masks"], config["segmenters"]
    config["classifiers"]["vanilla"]["keep_states"] = True
    config["classifiers"]["seam"] = {
        "method": "seam",
        "backbone": NETWORK,
        "augment": VIEWS,
        "epochs": 2,
        "batch_size": 8,
        "scale": 0.5,
        "keep_states": True,
        "validate_every": 2,
    }
    config["maps"]["pcm"] = {"method": "pcm", "scales": [1]}
    config["experiments"] = ["digits / {vanilla,seam} / cam", "digits / seam / pcm"]
    return config | {"evaluation": {"regions": False, "epoch_images": images}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The chains on all 16 images, finished."""
    project = fresh_project(tmp_path_factory.mktemp("epochs"), config_of(16))
    project.make()
    return project


def test_the_last_epoch_is_the_artifacts_own(made):
    for folder in (made.folder / "results/digits/maps").iterdir():
        figures = pd.read_csv(folder / "epochs.csv")
        assert figures["epoch"].unique().tolist() == [1, 2]
        last = figures[figures["epoch"] == 2].drop(columns="epoch").reset_index(drop=True)
        own = pd.read_csv(folder / "metrics.csv").drop(columns="crc")
        pd.testing.assert_frame_equal(last, own)
        first = figures[figures["epoch"] == 1].drop(columns="epoch").reset_index(drop=True)
        assert not first.equals(last)
        assert (figures["images"] == 16).all() and figures["tuned_on_masks"].any()


def test_refined_maps_are_others(made):
    board = pd.read_csv(made.folder / "results/leaderboard.csv").set_index("experiment")
    assert set(board.index) == set(CHAINS)
    assert board.loc["digits/seam/cam", "seed_iou"] != board.loc["digits/seam/pcm", "seed_iou"]
    assert board["classifier_map"].between(0, 1).all()


def test_val_is_looked_at_when_it_is_due(made):
    (folder,) = (made.folder / "results/digits/classifier").glob("seam-*")
    assert pd.read_csv(folder / "training.csv")["val_map"].notna().tolist() == [False, True]


def test_the_report_shows_them(made):
    page = (made.folder / "results/report.html").read_text(encoding="utf-8")
    assert "Seed IoU after each epoch, measured with masks" in page


def test_another_number_of_images_measures_again_and_makes_nothing(made):
    made.configure(config_of(8))
    try:
        planned = made.would_run()
    finally:
        made.configure(config_of(16))
    assert planned == {"measure_epochs": 3, "report_page": 1}


def test_what_was_not_kept_is_named(made):
    (state,) = (made.folder / "results/digits/classifier").glob("vanilla-*/state/epoch-0001.pt")
    state.unlink()
    done = made.snakemake("--forcerun", "measure_epochs")
    assert done.returncode != 0
    assert "epoch-0001.pt: no such checkpoint; set keep_states: true" in done.stdout + done.stderr
