"""A function over many items with Dask: in this process, in processes of this job, on a cluster."""

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import islice
from threading import Thread
from typing import TypeVar

import dask
from dask.callbacks import Callback
from threadpoolctl import threadpool_limits

from tags2masks.errors import UserError
from tags2masks.progress import progress

Item = TypeVar("Item")
Result = TypeVar("Result")

PATIENCE = 30  # seconds that a cluster has to answer, and to show a first worker


def map_ordered(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    scheduler: str | None = None,
    batch: int = 64,
    desc: str = "work",
    total: int | None = None,
    unit: str = "image",
) -> Iterator[Result]:
    """Yield function(item) of each item in the items' order, `batch` of them in memory at a time.

    workers: 1 works in this process, more start as many processes, of one numeric thread each.
    scheduler: address of a Dask scheduler, tcp://…, whose workers do it instead; `batch` should
    then be no less than their threads, and paths in items must mean the same files there.
    desc: name of the progress bar on stderr. items are taken as they are needed.
    What the function raises is raised here as it is. Raises UserError when workers are killed or
    the cluster does not answer.
    """
    with _pool(workers, scheduler) as (compute, _):
        yield from _batches(function, items, compute, batch, desc, total, unit)


def ahead(items: Iterable[Item], count: int) -> Iterator[Item]:
    """Yield the items, of which `count` are made beforehand, in a thread.

    So that what makes them (a network) works on while what takes them (`map_ordered`) waits for its
    workers. What making an item raises is raised in its place.
    """
    source, end = iter(items), object()
    maker = ThreadPoolExecutor(1)
    try:
        waiting = deque(maker.submit(next, source, end) for _ in range(count))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(maker.submit(next, source, end))
            yield item
            del item
    finally:
        maker.shutdown(cancel_futures=True)


def fold(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    combine: Callable[[Result, Result], Result],
    *,
    workers: int,
    scheduler: str | None = None,
    desc: str = "work",
    total: int | None = None,
    unit: str = "chunk",
) -> Result:
    """combine(… combine(f(item 0), f(item 1)) …, f(item n)), always in this order.

    Memory holds some results for every worker, however many items there are.
    The rest is as for `map_ordered`. Raises ValueError when there are no items.
    """
    with _pool(workers, scheduler) as (compute, slots):
        results = _batches(function, items, compute, 4 * slots, desc, total, unit)
        try:
            folded = next(results)
        except StopIteration:
            raise ValueError("nothing to fold: no items") from None
        for result in results:
            folded = combine(folded, result)
    return folded


def _batches(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    compute: Callable[..., tuple[Result, ...]],
    batch: int,
    desc: str,
    total: int | None,
    unit: str,
) -> Iterator[Result]:
    waiting, done = iter(items), 0
    with progress((), desc, total, unit) as bar:
        while part := list(islice(waiting, batch)):
            tasks = [dask.delayed(partial(function, item), pure=False)() for item in part]
            # Called for each finished task, but by the local schedulers alone.
            with Callback(posttask=lambda *_: bar.update()):
                results = deque(compute(*tasks))
            done += len(results)
            bar.update(done - bar.n)
            del part, tasks
            while results:
                yield results.popleft()


@contextmanager
def _pool(workers: int, scheduler: str | None) -> Iterator[tuple[Callable, int]]:
    """A function like `dask.compute`, and the number of tasks that it runs at a time."""
    if scheduler is not None:
        with _cluster(scheduler) as client:
            yield partial(dask.compute, scheduler=client), sum(client.nthreads().values())
    elif workers == 1:
        yield partial(dask.compute, scheduler="synchronous"), 1
    else:
        # spawn: a forked child inherits locks of the threads that numeric libraries hold.
        pool = ProcessPoolExecutor(
            workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
        )
        try:
            yield partial(dask.compute, scheduler="processes", pool=pool, chunksize=1), workers
        except BrokenProcessPool:
            raise UserError(
                "a worker process was killed, most likely for lack of memory; lower threads or "
                "batch_size in the config, or give the job more memory"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Prepare a new process: one numeric thread, and no life after its parent's death."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # for libraries that are loaded later
    threadpool_limits(limits=1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """End this process with its parent: a killed one cannot end its workers, which would stay."""
    multiprocessing.parent_process().join()
    os._exit(1)


@contextmanager
def _cluster(address: str) -> Iterator:
    """A client of a Dask scheduler that has workers."""
    from distributed import Client, KilledWorker  # not needed by jobs of their own

    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"dask: {address} does not answer ({error}); start a scheduler there, correct the "
            "address, or set dask: null"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise UserError(f"dask: {address} has no workers; start some there") from None
        try:
            yield client
        except KilledWorker:
            raise UserError(
                f"dask: {address}: its workers were killed, most likely for lack of memory; give "
                "them more"
            ) from None
