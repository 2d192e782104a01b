"""Progress with the time left, on stderr: a bar in a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from flashbench.runs.generate import Tick

LINE_EVERY = 20.0  # seconds


@contextmanager
def progress() -> Iterator[Tick]:
    """Yields a Tick that shows what is done and how long the rest will take."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich import progress as parts
    from rich.console import Console

    columns = (
        parts.TextColumn("{task.description}"),
        parts.BarColumn(),
        parts.MofNCompleteColumn(),
        parts.TimeElapsedColumn(),
        parts.TextColumn("left"),
        parts.TimeRemainingColumn(),
    )
    with parts.Progress(*columns, console=Console(stderr=True), speed_estimate_period=120) as bars:
        tasks: dict[str, parts.TaskID] = {}

        def tick(task: str, done: int, total: int) -> None:
            if task not in tasks:  # what an earlier call had done does not count for the speed
                tasks[task] = bars.add_task(task, total=total, completed=done)
            bars.update(tasks[task], completed=done)

        yield tick


def _lines() -> Tick:
    begun: dict[str, tuple[float, int]] = {}
    last = time.monotonic()

    def tick(task: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        start, before = begun.setdefault(task, (now, done))
        if done < total and now - last < LINE_EVERY:
            return
        last = now
        left = (now - start) / (done - before) * (total - done) if done > before else None
        ending = "" if left is None or done == total else f", {left:.0f} s left"
        print(f"{task} {done}/{total}{ending}", file=sys.stderr, flush=True)

    return tick
