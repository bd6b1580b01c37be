"""What `tags2masks run` and `init` make of their arguments."""

import sys
from pathlib import Path

import pytest

from tags2masks.__main__ import main
from tags2masks.errors import UserError
from tags2masks.workflow.checkout import (
    CHECKOUT,
    EXAMPLES,
    copy_examples,
    given_config,
    snakemake_command,
)

ROOT = Path(__file__).resolve().parents[2]
START = [sys.executable, "-m", "snakemake", "--configfile", "a.yaml"]
START += ["--snakefile", str(ROOT / "Snakefile")]


@pytest.mark.parametrize(
    "arguments",
    [["--cores", "2"], ["-c2"], ["-j", "4"], ["--profile", "slurm"], ["x.csv", "--executor=slurm"]],
)
def test_arguments_follow_as_they_are(arguments, monkeypatch):
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    assert snakemake_command(Path("a.yaml"), arguments) == [*START, *arguments]


@pytest.mark.parametrize("arguments", [[], ["--dry-run"], ["--configfoo"], ["export_masks"]])
def test_without_a_number_of_cores_it_is_all(arguments, monkeypatch):
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    command = snakemake_command(Path("a.yaml"), arguments)
    assert command == [*START, "--cores", "all", *arguments]
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "site")
    assert snakemake_command(Path("a.yaml"), arguments) == [*START, *arguments]


@pytest.mark.parametrize("argument", ["--configfile", "--configfile=b.yaml", "--snakefile", "-s"])
def test_another_config_or_snakefile_is_refused(argument):
    with pytest.raises(UserError) as caught:
        snakemake_command(Path("a.yaml"), ["--cores", "2", argument])
    assert str(caught.value) == (
        f"{argument}: `tags2masks run CONFIG` gives Snakemake the config and its Snakefile; leave "
        "this out"
    )


def test_the_config_is_that_of_the_folder_or_the_demos(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert given_config(Path("config.yaml")) == ROOT / "config.yaml"
    assert capsys.readouterr().err == "no config.yaml in this folder: the demo's is used\n"
    with pytest.raises(UserError) as caught:
        given_config(Path("papers/lpcam.yaml"))
    assert str(caught.value) == (
        "papers/lpcam.yaml does not exist; correct its path, or let `tags2masks examples` write "
        "config.yaml, papers/ and slurm/ into this folder"
    )
    Path("config.yaml").symlink_to("gone.yaml")  # which the reader of configs tells
    assert given_config(Path("config.yaml")) == Path("config.yaml")
    assert capsys.readouterr().err == ""


def test_the_config_comes_first(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tags2masks", "run", "--cores", "2", "config.yaml"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err.splitlines()[-1] == (
        "tags2masks: error: unrecognized arguments: --cores; CONFIG comes first, then Snakemake's "
        "arguments"
    )


def test_examples_are_copied_all_or_none(tmp_path):
    (tmp_path / "papers").mkdir()
    with pytest.raises(UserError, match=rf"^{tmp_path}/papers: already here; rename it, or use"):
        copy_examples(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["papers"]
    (tmp_path / "papers").rmdir()
    assert copy_examples(tmp_path) == [tmp_path / name for name in EXAMPLES]
    for file in ("config.yaml", "papers/published/lpcam.csv", "slurm/profile.yaml"):
        assert (tmp_path / file).read_bytes() == (CHECKOUT / file).read_bytes()
