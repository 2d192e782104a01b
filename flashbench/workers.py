"""One function over many items, spread over forked processes.

Forked, since suites and metrics hold closures. A worker asks for its next item when it is done with the last; when the
parent is killed, every worker ends with it, so that nobody writes into a folder whose lock is free.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar, cast

from threadpoolctl import threadpool_limits

from flashbench.errors import InputError

T = TypeVar("T")

_PR_SET_PDEATHSIG = 1


def spread(work: Callable[[str], T], items: Sequence[str], workers: int) -> Generator[T, None, None]:
    """Yields `work(item)` of each item as it is done, in any order.

    Args:
        work: what is done; its results are pickled, if there are several workers.
        items: each is worked on once, the first ones first.
        workers: processes, each with one thread for its linear algebra; 1: this one, as it is.

    Raises:
        InputError: as `work` raises it.
        RuntimeError: a worker died; what it has to say stands on stderr.
    """
    if min(workers, len(items)) <= 1:
        for item in items:
            yield work(item)
        return
    context, todo = multiprocessing.get_context("fork"), iter(items)
    started: dict[Connection, BaseProcess] = {}
    try:
        for _ in range(min(workers, len(items))):
            here, there = context.Pipe()
            process: BaseProcess = context.Process(target=_serve, args=(work, there, [here, *started]), daemon=True)
            process.start()
            there.close()
            started[here] = process
        busy = list(started)
        for pipe in busy:
            pipe.send(next(todo))
        while busy:
            for pipe in cast("list[Connection]", wait(busy)):
                done, result = pipe.recv()
                if not done:
                    raise InputError(*result)
                following = next(todo, None)
                pipe.send(following)
                if following is None:
                    busy.remove(pipe)
                yield result
    except (EOFError, ConnectionError) as error:
        raise RuntimeError("a worker died; its own message stands above, unless memory ran out") from error
    finally:
        for pipe, process in started.items():
            process.terminate()
            pipe.close()  # ends one that waits for its next item, should its exception at SIGTERM be swallowed
            process.join()


def _serve(work: Callable[[str], Any], pipe: Connection, parents: Iterable[Connection]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for other in parents:  # held open here, the parent's end of a pipe would outlive the parent
        other.close()
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid != os.getppid():  # killed before the signal was asked for
        return
    # A worker is one core's: as many as there are cores, each with threads for all of them, took four times as long.
    threadpool_limits(1)
    # Half-written files are tidied up on the way out. Not before: threadpoolctl calls back from C, where the exception
    # would be lost.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    while (item := _received(pipe)) is not None:
        try:
            answer: tuple[bool, Any] = True, work(item)
        except InputError as error:
            answer = False, (error.where, error.what, error.mend)
        with contextlib.suppress(ConnectionError):  # nobody waits for it any more
            pipe.send(answer)


def _received(pipe: Connection) -> Any:
    """The next item; None where there is none, or nobody to give it."""
    try:
        return pipe.recv()
    except (EOFError, ConnectionError):
        return None
