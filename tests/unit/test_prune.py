"""`tags2masks prune`: what it lists, what it leaves alone, and that nothing else is deleted."""

import sys
from pathlib import Path

import pytest
import yaml

from tags2masks import __main__ as command
from tags2masks.commands import experiments
from tags2masks.config.project import parse_config
from tags2masks.errors import UserError
from tags2masks.workflow.building import build_experiments
from tags2masks.workflow.prune import Unused, remove

CONFIG = {
    "datasets": {"digits": {"kind": "digits", "shards": 2}},
    "classifiers": {"vanilla": {"method": "vanilla"}},
    "maps": {"cam": {"method": "cam"}},
    "experiments": ["digits / vanilla / cam"],
}


@pytest.fixture
def maps(tmp_path, monkeypatch):
    """A project with one shard too many in its maps' folder, which is given."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(yaml.safe_dump(CONFIG))
    (experiment,) = build_experiments(parse_config(CONFIG))
    for artifact in experiment.artifacts.values():
        Path(artifact.folder).mkdir(parents=True)
    folder = Path(experiment.artifacts["maps"].folder)
    for name in ("0", "1", "2", "val-0", "val-2", "10"):
        (folder / f"{name}.zarr.zip").write_bytes(b"12345")
    return folder


def prune(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["tags2masks", "prune", *arguments])
    command.main()
    return capsys.readouterr().out


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_shards_of_when_there_were_more_are_pruned(maps, monkeypatch, capsys):
    printed = prune(monkeypatch, capsys)
    assert printed.count(".zarr.zip") == 3
    assert "in 3 shards that no experiment of config.yaml uses; --delete deletes them" in printed
    prune(monkeypatch, capsys, "--delete")
    assert names(maps) == ["0.zarr.zip", "1.zarr.zip", "val-0.zarr.zip"]
    # As many as the config has that needs the most.
    more = CONFIG | {"datasets": {"digits": {"kind": "digits", "shards": 3}}}
    Path("more.yaml").write_text(yaml.safe_dump(more))
    (maps / "2.zarr.zip").touch()
    printed = prune(monkeypatch, capsys, "--configfile", "config.yaml", "more.yaml")
    assert "Every artifact in results belongs to an experiment" in printed


def test_contact_sheets_go_with_their_masks(maps, monkeypatch, capsys):
    masks = {"masks": {"threshold": {"method": "threshold"}}}
    config = CONFIG | masks | {"experiments": ["digits / vanilla / cam / threshold"]}
    Path("config.yaml").write_text(yaml.safe_dump(config))
    (experiment,) = build_experiments(parse_config(config))
    sheets, used = Path("results/digits/sheets"), experiment.artifacts["masks"].id
    for name in (used, "crf-01234567"):
        (sheets / name / "0").mkdir(parents=True)
        (sheets / f"{name}.html").touch()
    (sheets / "images" / "0").mkdir(parents=True)  # of all masks
    printed = prune(monkeypatch, capsys, "--delete")
    assert "deleted: 2 artifacts and 3 shards" in printed
    assert names(sheets) == sorted([used, f"{used}.html", "images"])


def test_data_sets_that_no_config_names_are_left_alone(maps, monkeypatch, capsys):
    other = Path("results/mine/maps/cam-01234567")
    other.mkdir(parents=True)
    old = maps.with_name("cam-01234567")
    old.mkdir()
    printed = prune(monkeypatch, capsys, "--delete")
    assert "deleted: 1 artifacts and 3 shards" in printed
    assert "Left alone: mine, data sets that config.yaml does not name" in printed
    assert other.exists() and not old.exists()


def test_a_run_is_seen_where_results_are_a_link(maps, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    Path("results").rename("elsewhere/results")
    Path("results").symlink_to("elsewhere/results")
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    (tmp_path / ".snakemake/locks/0.input.lock").touch()
    with pytest.raises(UserError, match="says that a run is going on"):
        remove([Unused(maps / "2.zarr.zip", 5)], Path("results"))
    assert (maps / "2.zarr.zip").exists()


def test_of_an_artifact_that_is_a_link_the_link_goes(maps, tmp_path, monkeypatch, capsys):
    target = tmp_path / "kept"
    target.mkdir()
    (target / "0.zarr.zip").touch()
    links = [maps.with_name("cam-01234567"), maps.with_name("cam-89abcdef")]
    links[0].symlink_to(target)
    links[1].symlink_to("nowhere")
    printed = prune(monkeypatch, capsys, "--delete")
    assert "deleted: 2 artifacts and 3 shards" in printed
    assert names(target) == ["0.zarr.zip"]
    assert names(maps.parent) == [maps.name]


def test_what_cannot_be_deleted_is_named(maps, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(UserError, match=r"cam-.*: cannot be deleted \(Permission denied\)"):
        remove([Unused(maps, 5)], Path("results"))
    assert maps.exists()


def test_the_experiment_may_follow_the_config_of_lineage(maps, monkeypatch, capsys):
    Path("config.yaml").rename("mine.yaml")
    words = ["lineage", "--configfile", "mine.yaml", "digits/vanilla/cam"]
    monkeypatch.setattr(sys, "argv", ["tags2masks", *words])
    monkeypatch.setattr(experiments, "read_provenance", lambda folder: {"versions": {}})
    command.main()
    assert f"maps {maps.name}" in capsys.readouterr().out
