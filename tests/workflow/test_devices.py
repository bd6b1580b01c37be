"""Several processes train what one does: the same batches, their gradients averaged."""

import copy as copying

import pandas as pd
import pytest

from tests.workflow.conftest import CONFIG


def test_two_processes_train_what_one_does(copy):
    table = next((copy.folder / "results/digits/classifier").glob("*/training.csv"))
    alone = pd.read_csv(table)
    copy.configure(copying.deepcopy(CONFIG) | {"devices": 2})
    printed = copy.make("--forcerun", "vanilla", "--until", "vanilla")
    assert "2 processes" in printed
    together = pd.read_csv(table)
    assert together["loss"].tolist() == pytest.approx(alone["loss"].tolist(), rel=1e-4)
    assert together["val_map"].tolist() == pytest.approx(alone["val_map"].tolist(), abs=1e-3)
