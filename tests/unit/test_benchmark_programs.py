"""Benchmarks of whole programs: their memory, and how long the workflow takes to read."""

import sys
from importlib import import_module

import pytest

from benchmarks import dag, memory
from benchmarks.peak import watched
from benchmarks.project import make_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A data set of five images on which the programs have run, in this process."""
    folder = tmp_path_factory.mktemp("memory") / "set"
    memory.make_data_set(folder, 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in memory.PROGRAMS:
            patch.setattr(sys, "argv", [name, *memory.arguments(name, threads=1)])
            import_module(f"workflow_scripts.{name}").main()
    return folder


def test_the_programs_take_these_arguments_and_measure_every_image(measured):
    memory.check(measured, 5)


def test_a_program_that_left_out_images_is_noticed(measured):
    with pytest.raises(AssertionError):
        memory.check(measured, 6)


HOLD = "x = b'1' * {size}_000_000; import time; time.sleep(0.4)"


def test_memory_is_that_of_a_program_and_its_children(tmp_path):
    alone = watched([sys.executable, "-c", HOLD.format(size=100)], tmp_path)
    assert 100 < alone.megabytes < 130
    assert alone.seconds > 0.4
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}])"
    both = watched([sys.executable, "-c", child.format(size=100)], tmp_path)
    assert alone.megabytes + 5 < both.megabytes < alone.megabytes + 40


def test_a_short_peak_is_seen(tmp_path):
    code = "x = b'1' * 100_000_000; del x; import time; time.sleep(0.2); print('done')"
    done = watched([sys.executable, "-c", code], tmp_path)
    assert done.megabytes > 100
    assert done.printed == "done\n"


def test_a_program_that_fails_is_told(tmp_path):
    with pytest.raises(RuntimeError, match=r"ended with 3:\nalas"):
        watched([sys.executable, "-c", "print('alas'); raise SystemExit(3)"], tmp_path)


def test_the_dry_run_holds_every_shards_jobs_and_loads_nothing_heavy(tmp_path):
    make_project(tmp_path, 6, 3)
    lines = (tmp_path / "results/mine/train.csv").read_text().splitlines()
    assert [line.rpartition(",")[2] for line in lines[1:]] == ["0", "0", "1", "1", "2", "2"]
    printed = dag.dry_run(tmp_path).printed
    dag.check_light(printed)
    assert dag.check_jobs(printed, 3) == dag.jobs(printed)["total"]
    with pytest.raises(AssertionError):
        dag.check_jobs(printed, 4)


def test_the_plain_workflow_has_a_job_per_image(tmp_path):
    make_project(tmp_path, 6, 3)
    assert dag.jobs(dag.dry_run(tmp_path, "PerImage").printed) == {"all": 1, "maps": 6, "total": 7}


@pytest.mark.parametrize("printed", ["loaded: torch\n", "loaded: timm torch\n", ""])
def test_heavy_imports_are_noticed(printed):
    with pytest.raises(AssertionError):
        dag.check_light(printed)


def test_the_plan_loads_nothing_heavy(tmp_path):
    dag.check_light(watched([sys.executable, "-c", dag.LIGHT], tmp_path).printed)


def test_jobs_by_hand():
    told = (
        "Job stats:\njob      count\n-----  -------\ncam          6\ntotal       74\n\nReasons:\n"
    )
    assert dag.jobs(told) == {"cam": 6, "total": 74}
