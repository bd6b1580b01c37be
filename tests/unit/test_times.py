"""Time and memory of an experiment, from the measurements of its jobs."""

import sys
from pathlib import Path

import pytest
import yaml

from tags2masks.__main__ import main
from tags2masks.config.project import parse_config
from tags2masks.report.times import write_times
from tags2masks.workflow.building import build_experiments
from tags2masks.workflow.times import Times, summed, times_table

CONFIG = {
    "datasets": {"d": {"kind": "digits"}},
    "classifiers": {"vanilla": {"method": "vanilla"}},
    "maps": {"cam": {"method": "cam"}},
    "experiments": ["d / vanilla / cam"],
}
HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


@pytest.fixture
def printed(tmp_path, monkeypatch, capsys):
    """A function that runs the command in a folder with a config, and gives its lines."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")

    def run():
        monkeypatch.setattr(sys, "argv", ["tags2masks", "times", "d / vanilla / cam"])
        main()
        return capsys.readouterr().out.splitlines()

    return run


def logged(artifact, name, seconds, memory, cpu):
    file = Path("logs") / artifact.dataset / artifact.stage / f"{artifact.id}{name}.tsv"
    file.parent.mkdir(parents=True, exist_ok=True)
    row = [seconds, "0:00:00", memory, 0, 0, 0, 0, 0, 0, cpu]
    file.write_text(HEAD + "\t".join(map(str, row)) + "\n")
    return file


def test_jobs_add_up_and_the_largest_counts(printed):
    (experiment,) = build_experiments(parse_config(CONFIG))
    classifier, maps = (experiment.artifacts[stage] for stage in ("classifier", "maps"))
    logged(classifier, "", 90, 2048, 150)
    logged(maps, "/0", 30, 512, 30)
    logged(maps, "/1", 60, 1536, "NA")  # a job that was too short to be measured
    lines = [line.split() for line in printed()]
    assert ["classifier", classifier.id, "1", "1.5", "2.5", "2.0"] in lines
    assert ["maps", maps.id, "2", "1.5", "0.5", "1.5"] in lines
    assert lines[-1] == ["together", "3", "3.0", "3.0", "2.0"]


def test_what_was_not_made_has_no_figures(printed):
    assert printed()[-1].split() == ["together", "0"]
    assert summed([]) == Times(0, 0, 0, 0)


@pytest.mark.parametrize("text", ["", "s\tmax_rss\n1\t2\n", HEAD])
def test_a_damaged_measurement_is_named(printed, text):
    (experiment,) = build_experiments(parse_config(CONFIG))
    file = logged(experiment.artifacts["maps"], "/0", 1, 2, 3)
    file.write_text(text)
    with pytest.raises(SystemExit, match=rf"^error: {file}: no measurements of a job \("):
        printed()


def test_a_page_and_a_table_for_all_artifacts(tmp_path):
    (experiment,) = build_experiments(parse_config(CONFIG))
    classifier, maps = (experiment.artifacts[stage] for stage in ("classifier", "maps"))
    folder = tmp_path / "d" / "classifier"
    folder.mkdir(parents=True)
    row = [90, "0:01:30", 2048, 0, 0, 0, 0, 0, 0, 150]
    (folder / f"{classifier.id}.tsv").write_text(HEAD + "\t".join(map(str, row)) + "\n")
    write_times(times_table([classifier, maps], tmp_path), tmp_path)
    lines = (tmp_path / "times.csv").read_text().splitlines()
    assert lines == [
        "dataset,stage,artifact,jobs,minutes,cpu_minutes,memory_gb",
        f"d,classifier,{classifier.id},1,1.500,2.500,2.000",
        f"d,maps,{maps.id},0,0.000,0.000,0.000",
    ]
    page = (tmp_path / "times.html").read_text()
    assert "1 of 2 artifacts\nhave no measurements" in page
    assert 'style="--w: 100.0%"' in page
    # Again, with the maps made: two jobs, and a bar of a third of the classifier's.
    for shard in (0, 1):
        log = tmp_path / "d" / "maps" / maps.id / f"{shard}.tsv"
        log.parent.mkdir(parents=True, exist_ok=True)
        row = [30, "0:00:30", 512, 0, 0, 0, 0, 0, 0, 25]
        log.write_text(HEAD + "\t".join(map(str, row)) + "\n")
    write_times(times_table([classifier, maps], tmp_path), tmp_path)
    page = (tmp_path / "times.html").read_text()
    assert 'style="--w: 33.3%"' in page
    assert "no measurements" not in page
    assert '<td class="num">3</td><td class="num">2.5</td><td></td><td class="num">3.3</td>' in page
