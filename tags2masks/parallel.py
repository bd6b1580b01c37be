"""Parallel map and fold with Dask: in this process, in worker processes, or on a cluster."""

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
import dask.multiprocessing
from dask.callbacks import Callback
from threadpoolctl import threadpool_limits

from tags2masks.errors import UserError
from tags2masks.progress import progress

Item = TypeVar("Item")
Result = TypeVar("Result")

PATIENCE = 30  # seconds to wait for a cluster's answer, and for its first worker


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
    """Yield function(item) in the order of items, with `batch` of them in memory at a time.

    workers: 1 runs in this process; more start that many processes with one numeric thread each.
    scheduler: address of a Dask scheduler, tcp://…, to use instead; `batch` should then be at least
    its number of threads, and paths in items must be valid there.
    desc: name of the progress bar on stderr. items is consumed lazily.
    Exceptions of the function are passed on. Raises UserError if workers are killed or the cluster
    does not answer.
    """
    with _pool(workers, scheduler) as (compute, _):
        yield from _batches(function, items, compute, batch, desc, total, unit)


def ahead(items: Iterable[Item], count: int) -> Iterator[Item]:
    """Yield the items, computing `count` of them ahead in a thread.

    So a network can compute the next items while `map_ordered` waits for its workers. Exceptions
    are raised in the place of their item.
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
    """Return combine(… combine(f(item 0), f(item 1)) …, f(item n)), always in this order.

    Memory holds a few results per worker, for any number of items. Other arguments and errors are
    those of `map_ordered`. Raises ValueError if there are no items.
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
            # Called for each finished task, but only by local schedulers.
            with Callback(posttask=lambda *_: bar.update()):
                results = deque(compute(*tasks))
            done += len(results)
            bar.update(done - bar.n)
            del part, tasks
            while results:
                yield results.popleft()


@contextmanager
def _pool(workers: int, scheduler: str | None) -> Iterator[tuple[Callable, int]]:
    """Yield a function like `dask.compute`, and the number of tasks that it runs at a time.

    Local schedulers are given as functions: to look up a name, Dask imports all of distributed.
    """
    if scheduler is not None:
        with _cluster(scheduler) as client:
            yield partial(dask.compute, scheduler=client), sum(client.nthreads().values())
    elif workers == 1:
        yield partial(dask.compute, scheduler=dask.get), 1
    else:
        # spawn: a forked child inherits locks of the threads that numeric libraries hold.
        pool = ProcessPoolExecutor(
            workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
        )
        try:
            yield (
                partial(dask.compute, scheduler=dask.multiprocessing.get, pool=pool, chunksize=1),
                workers,
            )
        except BrokenProcessPool:
            raise UserError(
                "a worker process was killed, most likely for lack of memory; lower threads or "
                "batch_size in the config, or give the job more memory"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Prepare a worker process: one numeric thread, and exit when the parent dies."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # for libraries that are imported later
    threadpool_limits(limits=1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """Exit when the parent ends: a killed parent cannot stop its workers."""
    multiprocessing.parent_process().join()
    os._exit(1)


@contextmanager
def _cluster(address: str) -> Iterator:
    """Yield a client of a Dask scheduler with at least one worker."""
    from distributed import Client, KilledWorker  # lazy import: only needed with a cluster

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
