"""The commands that look after what the workflow made."""

import json
import os
import subprocess
from itertools import pairwise

import pandas as pd
import pytest
import yaml

from tests.workflow.conftest import CONFIG
from tests.workflow.preloaded import python
from tests.workflow.test_reruns import changed


def command(project, *arguments):
    """Run `tags2masks` there."""
    return subprocess.run(
        [*python(os.environ), "-m", "tags2masks", *arguments],
        cwd=project.folder, text=True, capture_output=True, timeout=100, check=False,
    )  # fmt: skip


NAME = "digits/vanilla/cam/crf/net"


def test_lineage_lies_beside_the_artifacts(finished):
    file = next(finished.folder.glob("results/digits/predictions/*/lineage.json"))
    chain = json.loads(file.read_text())
    assert [one["stage"] for one in chain] == [
        "classifier", "maps", "masks", "segmenter", "predictions",
    ]  # fmt: skip
    assert all(one["supervision"] == ["tags"] for one in chain)
    assert [one["learns_from"] for one in chain] == [["tags"], ["tags"], [], [], []]
    assert chain[-1]["id"] == file.parent.name
    for earlier, later in pairwise(chain):
        assert earlier["id"] in later["recipe"]["upstream"].values()
        assert later["recipe"]["seed"] == 0
        assert later["versions"]["torch"]
    folders = {p.parent for p in finished.folder.glob("results/digits/*/*/lineage.json")}
    assert len(folders) == 1 + 1 + 2 + 2 + 2


def test_a_run_ends_with_a_page_of_its_times(copy):
    masks = next(copy.folder.glob("results/digits/masks/threshold-*"))
    (masks / "0.zarr.zip").unlink()
    shard = str((masks / "0.zarr.zip").relative_to(copy.folder))
    copy.make(shard)
    times = pd.read_csv(copy.folder / "logs/times.csv", index_col="artifact")
    assert len(times) == 1 + 1 + 2 + 2 + 2
    assert dict(times.jobs[times.jobs > 0]) == {masks.name: 1}  # the rest was copied, without logs
    assert times.loc[masks.name, "minutes"] > 0
    assert masks.name in (copy.folder / "logs/times.html").read_text()

    (copy.folder / "logs/digits/masks" / masks.name / "0.tsv").write_text("cut")
    (masks / "1.zarr.zip").unlink()
    printed = copy.make(shard.replace("0.zarr", "1.zarr"))
    assert "warning: logs/digits/masks" in printed and "no measurements of a job" in printed


def test_lineage_is_printed(finished):
    printed = command(finished, "lineage", NAME).stdout
    assert printed.startswith(f"{NAME}\n  data set     {{")
    assert "seed         0" in printed
    assert "maps cam-" in printed and printed.count("supervision  tags") == 5
    told = json.loads(command(finished, "lineage", NAME, "--json").stdout)
    assert [one["made"] for one in told] == [True] * 5
    specs = [line.split(maxsplit=1)[1] for line in printed.splitlines() if line[:7] == "  spec "]
    assert [yaml.safe_load(spec) for spec in specs] == [one["recipe"]["spec"] for one in told]


def test_lineage_of_what_is_not_made_or_not_there(copy):
    copy.configure(changed("masks.crf.iterations", 2))
    printed = command(copy, "lineage", NAME).stdout
    assert printed.count("(not made yet)") == 3
    done = command(copy, "lineage", "digits/vanilla/cam/crv/net")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no experiment 'digits/vanilla/cam/crv/net'; did you mean")


def test_prune_lists_and_deletes_what_no_config_refers_to(copy):
    everything = sorted(p for p in copy.folder.glob("results/**/*") if p.is_file())
    assert "Every artifact in results belongs to an experiment" in command(copy, "prune").stdout

    (copy.folder / "old.yaml").write_text((copy.folder / "config.yaml").read_text())
    copy.configure(changed("experiments", ["digits / vanilla / cam / crf"]))
    both = command(copy, "prune", "--delete", "--configfile", "config.yaml", "old.yaml").stdout
    assert "Every artifact in results belongs to an experiment of config.yaml, old.yaml" in both

    printed = command(copy, "prune").stdout
    # The threshold masks, two segmenters, two predictions, and the examples of both.
    assert "in 7 artifacts that no experiment of config.yaml uses; --delete deletes them" in printed
    assert sorted(p for p in copy.folder.glob("results/**/*") if p.is_file()) == everything

    locks = copy.folder / ".snakemake/locks"
    locks.mkdir(exist_ok=True)
    (locks / "0.input.lock").touch()
    refused = command(copy, "prune", "--delete")
    assert refused.returncode == 1 and "a run is going on" in refused.stderr
    (locks / "0.input.lock").unlink()

    assert "deleted: 7 artifacts" in command(copy, "prune", "--delete").stdout
    left = {p.name for p in copy.folder.glob("results/digits/*/*") if p.suffix != ".png"}
    assert {name.split("-")[0] for name in left if "-" in name} == {"vanilla", "cam", "crf"}
    assert (copy.folder / "results/digits/train.csv").exists()
    copy.configure(CONFIG)
    assert copy.would_run()["deeplabv3plus"] == 2


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [", "config.yaml: not readable"),
        ("sede: 1", "config.yaml: sede: unknown key; did you mean 'seed'?"),
    ],
)
def test_a_config_that_cannot_be_read_deletes_nothing(copy, text, line):
    (copy.folder / "config.yaml").write_text(text)
    done = command(copy, "prune", "--delete")
    assert done.returncode == 1
    assert all(one.startswith("error: config.yaml: ") for one in done.stderr.splitlines())
    assert line in done.stderr
    assert list(copy.folder.glob("results/digits/maps/cam-*"))


def test_a_deletion_that_was_killed_is_finished_by_the_next(copy):
    folder = next(copy.folder.glob("results/digits/masks/crf-*"))
    half = folder.with_name(f".{folder.name}.deleted")
    half.mkdir()
    (half / "0.zarr.zip").touch()
    assert "deleted: 1 artifacts" in command(copy, "prune", "--delete").stdout
    assert folder.exists() and not half.exists()
