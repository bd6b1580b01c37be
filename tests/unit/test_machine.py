"""Where a program computes."""

from types import SimpleNamespace

import pytest
import torch

from tags2masks.config.training import Training
from tags2masks.errors import UserError
from tags2masks.machine import AUTOCAST, Machine, is_main_process, prepare


def test_an_absent_gpu_is_told(monkeypatch):
    monkeypatch.setattr(torch, "cuda", SimpleNamespace(is_available=lambda: False))
    with pytest.raises(UserError, match="device: cuda, but there is no GPU here"):
        prepare(Machine("cuda"), 0)


@pytest.mark.parametrize(
    ("machine", "loaders"),
    [
        (Machine("cpu", threads=4), 0),
        (Machine("cuda", threads=4), 4),
        (Machine("cpu", threads=4, workers=1), 1),
        (Machine("cuda", threads=4, workers=0), 0),
    ],
)
def test_images_are_loaded_beside_a_gpu_or_as_told(machine, loaders):
    assert machine.loaders == loaders


def test_every_precision_of_the_config_has_a_dtype():
    known = Training.model_json_schema()["properties"]["precision"]["enum"]
    assert set(AUTOCAST) == set(known)


@pytest.mark.parametrize(("rank", "main"), [(None, True), ("0", True), ("1", False)])
def test_one_process_of_several_writes(monkeypatch, rank, main):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert is_main_process() == main
