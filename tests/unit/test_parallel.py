"""Order, memory, errors and leftovers of parallel work, in every way it can run."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import weakref

import psutil
import pytest
from threadpoolctl import threadpool_info
from tqdm import tqdm

from tags2masks import parallel
from tags2masks.errors import UserError
from tags2masks.parallel import ahead, fold, map_ordered


def square(number):
    return number * number


def later_first(number):
    """Early items take longest: results would come out of order by themselves."""
    time.sleep(0.02 * max(0, 4 - number))
    return number, os.getpid()


def refuse_three(number):
    if number == 3:
        raise UserError("three: not a number we take; choose another")
    return number


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def numeric_threads(_):
    import numpy as np

    np.ones((2, 2)) @ np.ones((2, 2))
    return [library["num_threads"] for library in threadpool_info()]


def text(number):
    return str(number)


ALIVE = weakref.WeakSet()


class Counted:
    """A result that can be seen to be in memory."""

    def __init__(self, number):
        self.number = number
        ALIVE.add(self)

    def __add__(self, other):
        return Counted(self.number + other.number)


@pytest.fixture(scope="module")
def cluster():
    from distributed import LocalCluster  # slow, and the workers of other tests import this file

    with LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        protocol="tcp",
        dashboard_address=":0",
    ) as made:
        assert made.scheduler_address.startswith("tcp://")
        yield made.scheduler_address


@pytest.mark.parametrize("batch", [1, 3, 10, 64])
def test_in_process_in_order(batch):
    found = map_ordered(square, range(10), workers=1, batch=batch)
    assert list(found) == [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]


def test_processes_in_order():
    found = list(map_ordered(later_first, range(8), workers=2, batch=6))
    assert [number for number, _ in found] == list(range(8))
    pids = {pid for _, pid in found}
    assert os.getpid() not in pids and len(pids) <= 2
    assert not multiprocessing.active_children()


def test_a_cluster_in_order(cluster):
    found = map_ordered(later_first, range(8), workers=1, scheduler=cluster, batch=3)
    assert [number for number, _ in found] == list(range(8))


def test_no_items():
    assert list(map_ordered(square, [], workers=1)) == []
    with pytest.raises(ValueError, match="nothing to fold"):
        fold(square, [], int.__add__, workers=1)


def test_no_more_than_a_batch_in_memory_nor_taken_ahead():
    taken = []

    def items():
        for number in range(20):
            taken.append(number)
            yield number

    results = map_ordered(Counted, items(), workers=1, batch=4)
    for place in range(20):
        assert next(results).number == place
        assert len(taken) == 4 * (place // 4 + 1)
        # What came before is gone, what is left of this batch waits.
        assert len(ALIVE) == 3 - place % 4
    assert next(results, None) is None
    assert len(taken) == 20


@pytest.mark.parametrize("count", [1, 3, 50])
def test_items_made_ahead_in_order(count):
    assert list(ahead(range(20), count)) == list(range(20))
    assert list(ahead([], count)) == []


def test_items_are_made_in_a_thread_but_no_more_than_asked_for():
    made, third = [], threading.Event()

    def items():
        for number in range(20):
            made.append(threading.current_thread())
            if len(made) == 4:
                third.set()
            yield number

    source = ahead(items(), 3)
    assert next(source) == 0
    # While we have the first, three more are made.
    assert third.wait(10)
    source.close()
    assert len(made) == 4
    assert threading.main_thread() not in made
    assert not made[0].is_alive()


def test_what_making_an_item_raises_comes_in_its_place():
    def items():
        yield 1
        raise UserError("shard 0: damaged")

    source = ahead(items(), 4)
    assert next(source) == 1
    with pytest.raises(UserError, match="shard 0: damaged"):
        next(source)


def test_fold_memory_does_not_grow_with_the_items():
    most = []

    def combine(left, right):
        most.append(len(ALIVE))
        return left + right

    assert fold(Counted, range(100), combine, workers=1).number == 4950
    # Four waiting results of the one worker, and the sum so far.
    assert max(most) <= 5


@pytest.mark.parametrize("workers", [1, 2])
def test_fold_combines_from_left_to_right(workers):
    assert fold(text, range(12), str.__add__, workers=workers) == "01234567891011"


def test_fold_on_a_cluster(cluster):
    assert fold(text, range(12), str.__add__, workers=1, scheduler=cluster) == "01234567891011"


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_come_as_they_are_and_leave_nothing_behind(workers):
    results = map_ordered(refuse_three, range(100), workers=workers, batch=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(UserError) as caught:
        next(results)
    assert type(caught.value) is UserError
    assert str(caught.value) == "three: not a number we take; choose another"
    assert not multiprocessing.active_children()


def test_errors_come_as_they_are_from_a_cluster(cluster):
    with pytest.raises(UserError, match="three: not a number we take; choose another") as caught:
        fold(refuse_three, range(9), int.__add__, workers=1, scheduler=cluster)
    assert type(caught.value) is UserError
    # The cluster works on.
    assert list(map_ordered(square, [5], workers=1, scheduler=cluster)) == [25]


def test_an_error_of_the_items_ends_it_too():
    def items():
        yield 1
        raise UserError("shard 0: damaged")

    with pytest.raises(UserError, match="shard 0: damaged"):
        list(map_ordered(square, items(), workers=2))
    assert not multiprocessing.active_children()


def test_stopping_early_ends_the_workers():
    results = map_ordered(square, range(100), workers=2, batch=2)
    assert next(results) == 0
    assert len(multiprocessing.active_children()) == 2
    results.close()
    assert not multiprocessing.active_children()


def test_a_killed_worker_is_told_in_one_line():
    with pytest.raises(UserError, match="a worker process was killed, most likely for lack of"):
        list(map_ordered(die, range(4), workers=2))
    assert not multiprocessing.active_children()


def test_a_worker_has_one_numeric_thread(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    for threads in map_ordered(numeric_threads, range(2), workers=2):
        assert threads and set(threads) == {1}


def test_workers_do_not_outlive_a_killed_parent(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import os, time\n"
        "from tags2masks.parallel import map_ordered\n"
        "def work(number):\n"
        "    time.sleep(0.1)\n"
        "    return os.getpid()\n"
        "if __name__ == '__main__':\n"
        "    for pid in map_ordered(work, range(10_000), workers=2, batch=4):\n"
        "        print(pid, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        workers = {int(parent.stdout.readline()) for _ in range(4)}
        assert workers and parent.pid not in workers
        running = [psutil.Process(pid) for pid in workers]
        parent.kill()
        # Whoever adopts them may leave their exit status unread: a zombie has ended, too.
        ended = [gone(process, time.monotonic() + 10) for process in running]
    assert all(ended)


def gone(process, deadline):
    while time.monotonic() < deadline:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    process.kill()
    return False


def test_a_scheduler_that_is_not_there(monkeypatch):
    monkeypatch.setattr(parallel, "PATIENCE", 0.5)
    with pytest.raises(UserError, match=r"dask: tcp://127\.0\.0\.1:9 does not answer"):
        list(map_ordered(square, range(3), workers=1, scheduler="tcp://127.0.0.1:9"))


def test_a_scheduler_without_workers(monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(parallel, "PATIENCE", 0.5)
    with (
        LocalCluster(n_workers=0, processes=False, protocol="tcp", dashboard_address=":0") as made,
        pytest.raises(UserError, match=r"dask: tcp://.* has no workers"),
    ):
        list(map_ordered(square, range(3), workers=1, scheduler=made.scheduler_address))


def test_a_bar_counts_on_stderr(capsys, cluster, monkeypatch):
    # As at a terminal; elsewhere only long work shows a bar.
    def bar(items, desc, total, unit):
        return tqdm(items, desc=desc, total=total, unit=unit)

    monkeypatch.setattr(parallel, "progress", bar)
    for scheduler in (None, cluster):
        list(map_ordered(square, range(9), workers=1, desc="squares", total=9, scheduler=scheduler))
        captured = capsys.readouterr()
        assert "squares: 100%" in captured.err and "9/9" in captured.err
        assert captured.out == ""
