"""Several processes train what one does: the same batches, their gradients averaged."""

import copy as copying
import re

import pandas as pd
import pytest

from tests.workflow.conftest import CONFIG

# Live batch norm would take its statistics of each process's part of a batch.
PNOC = {"method": "pnoc", "erase_max": "image", "k_noc": 2, "epochs": 2, "freeze_bn": True}


def test_two_processes_train_two_networks_as_one_does(copy):
    config = copying.deepcopy(CONFIG)
    config["classifiers"]["pnoc"] = config["classifiers"]["vanilla"] | PNOC
    config["experiments"] = ["digits / pnoc"]
    copy.configure(config)
    copy.make("--until", "pnoc")
    table = next((copy.folder / "results/digits/classifier").glob("pnoc-*/training.csv"))
    alone = pd.read_csv(table)
    copy.configure(config | {"devices": 2})
    assert "2 processes" in copy.make("--forcerun", "pnoc", "--until", "pnoc")
    together = pd.read_csv(table)
    for column in ("loss", "cse", "noc", "second_loss", "lambda_noc"):
        assert together[column].tolist() == pytest.approx(alone[column].tolist(), rel=1e-3)


def test_two_processes_train_what_one_does(copy):
    table = next((copy.folder / "results/digits/classifier").glob("*/training.csv"))
    alone = pd.read_csv(table)
    copy.configure(copying.deepcopy(CONFIG) | {"devices": 2})
    printed = copy.make("--forcerun", "vanilla", "--until", "vanilla")
    assert "2 processes" in printed
    together = pd.read_csv(table)
    assert together["loss"].tolist() == pytest.approx(alone["loss"].tolist(), rel=1e-4)
    assert together["val_map"].tolist() == pytest.approx(alone["val_map"].tolist(), abs=1e-3)


def test_gpu_jobs_of_one_machine_take_turns(copy):
    copy.configure(copying.deepcopy(CONFIG) | {"device": "cuda", "devices": 2})
    made = ("results/digits/classes.txt", "--force")  # needs no GPU
    assert provided(copy.make(*made)) == 2
    assert provided(copy.make(*made, "--resources", "gpu=5")) == 5
    copy.configure(CONFIG)
    assert provided(copy.make(*made)) is None


def provided(printed):
    """The GPUs that Snakemake gives out at a time; None if it does not count them."""
    found = re.search(r"Provided resources: .*gpu=\D*(\d+)", printed)
    return int(found[1]) if found else None
