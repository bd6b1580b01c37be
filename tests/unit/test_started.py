"""What a run began with is what its jobs must find."""

import os

import pytest

from tags2masks.config.base import ConfigError
from tags2masks.workflow import started


@pytest.fixture(autouse=True)
def own_record(monkeypatch):
    monkeypatch.setenv(started.VARIABLE, "{}")
    yield
    started.begin(is_main=True)


def test_a_job_finds_what_the_run_began_with():
    started.begin(is_main=True)
    assert started.kept("score", 0.3, "score of the config") == 0.3
    assert started.kept("code", "abc", "the code") == "abc"
    started.begin(is_main=False)  # as a job does, which inherits the environment
    assert started.kept("score", 0.3, "score of the config") == 0.3
    with pytest.raises(ConfigError, match="score of the config was edited after this run began"):
        started.kept("score", 0.4, "score of the config")
    with pytest.raises(ConfigError, match="the code was edited"):
        started.kept("code", "abd", "the code")


def test_a_new_run_begins_with_what_there_is_now():
    started.begin(is_main=True)
    started.kept("score", 0.3, "score")
    started.begin(is_main=True)
    assert started.kept("score", 0.4, "score") == 0.4


def test_a_job_without_a_record_starts_one(monkeypatch):
    monkeypatch.delenv(started.VARIABLE)
    started.begin(is_main=False)
    assert started.kept("score", 0.3, "score") == 0.3
    assert "score" in os.environ[started.VARIABLE]
