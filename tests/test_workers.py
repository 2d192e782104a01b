"""Forked workers: every item once, errors as raised, nobody left when the parent is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from flashbench import workers
from flashbench.errors import InputError
from flashbench.workers import spread

ITEMS = [f"c{i}" for i in range(11)]


def with_pid(item: str) -> tuple[str, int]:
    time.sleep(0.01)
    return item, os.getpid()


@pytest.mark.parametrize("workers", [1, 2, 3, 20])
def test_every_item_once_whatever_the_workers(workers: int) -> None:
    done = list(spread(with_pid, ITEMS, workers))
    assert sorted(item for item, _ in done) == sorted(ITEMS)
    pids = {pid for _, pid in done}
    assert (pids == {os.getpid()}) if workers == 1 else (os.getpid() not in pids and 2 <= len(pids) <= workers)


def threads(item: str) -> int:
    return max(i["num_threads"] for i in threadpool_info())


def test_a_worker_is_one_cores() -> None:
    with threadpool_limits(2):
        assert set(spread(threads, ITEMS, 2)) == {1}
        assert threads("c0") == 2


def test_no_items() -> None:
    assert list(spread(with_pid, [], 4)) == []


def test_a_slow_item_does_not_hold_up_the_others() -> None:
    def work(item: str) -> tuple[str, int]:
        time.sleep(1.0 if item == "c0" else 0.01)
        return item, os.getpid()

    done = list(spread(work, ITEMS, 2))
    assert done[-1][0] == "c0"
    assert sum(pid == done[-1][1] for _, pid in done) == 1


@pytest.mark.parametrize("workers", [1, 3])
def test_bad_input_is_raised_as_it_was(workers: int) -> None:
    def work(item: str) -> str:
        if item == "c4":
            raise InputError("c4.mkv", "is empty", "delete it")
        return item

    with pytest.raises(InputError, match=r"c4\.mkv") as caught:
        list(spread(work, ITEMS, workers))
    assert (caught.value.where, caught.value.what, caught.value.mend) == ("c4.mkv", "is empty", "delete it")


def test_a_worker_that_dies_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    def work(item: str) -> str:
        if item == "c4":
            os.kill(os.getpid(), signal.SIGKILL)
        if item == "c5":
            raise ValueError("seven")
        return item

    with pytest.raises(RuntimeError, match="worker died"):
        list(spread(work, ITEMS[:5], 2))
    with pytest.raises(RuntimeError, match="worker died"):
        list(spread(work, ITEMS[5:], 2))
    assert "ValueError: seven" in capfd.readouterr().err


def deaf(seconds: float, flag: Path) -> None:
    """Leaves a sign that it has begun, and loses SIGTERM's exception for a while."""
    flag.touch()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(SystemExit):
            time.sleep(0.01)


def refuse_after(flag: Path) -> None:
    while not flag.exists():
        time.sleep(0.01)
    raise InputError("here", "is wrong", "mend it")


@pytest.mark.timeout(30)
def test_one_that_is_ended_while_it_starts_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """threadpoolctl looks for libraries by callbacks from C, which lose an exception such as SystemExit at SIGTERM."""

    def limits(limit: int) -> None:
        try:
            (tmp_path / "first").touch(exist_ok=False)
        except FileExistsError:
            deaf(1.0, tmp_path / "deaf")

    monkeypatch.setattr(workers, "threadpool_limits", limits)
    with pytest.raises(InputError):
        list(spread(lambda item: refuse_after(tmp_path / "deaf"), ITEMS, 2))


@pytest.mark.timeout(30)
def test_one_that_is_deaf_ends_with_its_item(tmp_path: Path) -> None:
    def work(item: str) -> None:
        return refuse_after(tmp_path / "deaf") if item == "c0" else deaf(1.0, tmp_path / "deaf")

    with pytest.raises(InputError):
        list(spread(work, ITEMS, 2))


def test_an_early_end_leaves_no_worker() -> None:
    with closing(spread(with_pid, ITEMS * 50, 2)) as results:
        pids = {next(results)[1] for _ in range(4)}
    assert not [pid for pid in pids if alive(pid)]


def test_a_worker_that_is_ended_tidies_up(tmp_path: Path) -> None:
    def work(item: str) -> str:
        if item == "c1":
            until(lambda: (tmp_path / "begun").exists())
            raise InputError("c1.mkv", "is empty", "delete it")
        (tmp_path / "begun").touch()
        try:
            time.sleep(60)
        finally:
            (tmp_path / "begun").unlink()
        return item

    with pytest.raises(InputError):
        list(spread(work, ITEMS[:2], 2))
    assert not (tmp_path / "begun").exists()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="workers are told of a killed parent by Linux")
def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = """
import os, sys, time
from pathlib import Path
from flashbench.workers import spread

def work(item):
    Path(sys.argv[1], str(os.getpid())).touch()
    time.sleep(60)

list(spread(work, ["a", "b", "c"], 3))
"""
    parent = subprocess.Popen([sys.executable, "-c", script, tmp_path])
    try:
        until(lambda: len(list(tmp_path.iterdir())) == 3)
        pids = [int(p.name) for p in tmp_path.iterdir()]
        assert all(alive(pid) for pid in pids)
        parent.kill()
        parent.wait()
        until(lambda: not any(alive(pid) for pid in pids))
    finally:
        parent.kill()
        parent.wait()


def until(holds, seconds: float = 20) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
