"""What the parts of `make bench` share: one line a measured quantity, and time and memory of a command."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from flashbench.backbones import assets

BIN = Path(sys.executable).parent
MIB = 2**20


def row(quantity: str, value: float, unit: str = "", target: str = "") -> None:
    """Prints one measured quantity for run.py. `target` is a comparison with a number, such as `< 360`, or empty."""
    print(json.dumps({"quantity": quantity, "value": float(value), "unit": unit, "target": target}), flush=True)


def exponent(sizes: list[int], seconds: list[float]) -> float:
    return math.log(seconds[-1] / seconds[-2]) / math.log(sizes[-1] / sizes[-2])


def grown(name: str, sizes: list[int], used: list[tuple[float, float]], flat: bool = True) -> None:
    """Rows of one kind: seconds and peak (MiB) by size, and how they grow. flat: they are to be flat and linear."""
    for size, (seconds, mib) in zip(sizes, used, strict=True):
        row(f"{name} {size}", seconds, "s")
        row(f"{name} {size}: peak memory", mib, "MiB")
    if len(sizes) > 1:
        row(f"{name}: exponent of the time", exponent(sizes, [s for s, _ in used]), "", "< 1.1" if flat else "")
        row(f"{name}: largest peak over smallest", used[-1][1] / used[0][1], "x", "< 1.2" if flat else "")


class Usage(NamedTuple):
    """What a command took."""

    seconds: float
    peak_bytes: int  # largest sum over its process tree of the proportional set size, sampled once a second
    output: str


def measured(command: Sequence[str | Path], cwd: str | Path | None = None, env: dict[str, str] | None = None) -> Usage:
    """Runs a command to its end; its stderr passes through. A command that fails ends the part."""
    start = time.monotonic()
    process = subprocess.Popen([str(c) for c in command], cwd=cwd, env=env, stdout=subprocess.PIPE, text=True)
    stop, peak = threading.Event(), [0]

    def watch() -> None:
        root = psutil.Process(process.pid)
        while not stop.wait(1.0):  # more often, it takes a sixth of a core from what is timed
            with contextlib.suppress(psutil.Error):
                peak[0] = max(peak[0], sum(memory(p) for p in [root, *root.children(recursive=True)]))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    output, _ = process.communicate()
    seconds = time.monotonic() - start
    stop.set()
    watcher.join()
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with code {process.returncode}\n{output[-2000:]}")
    return Usage(seconds, peak[0], output)


def only_weights(cache: Path) -> dict[str, str]:
    """The environment with an empty cache of measurements, and the weights that are in the user's."""
    folder = cache / "flashbench"
    folder.mkdir(parents=True)
    for name in assets.ASSETS:
        weights = assets.fetch(name)
        for file in (weights, weights.with_suffix(".sha256")):
            shutil.copy(file, folder)
    return {**os.environ, "XDG_CACHE_HOME": str(cache)}


def memory(process: psutil.Process) -> int:
    """Proportional set size in bytes: pages shared by several processes are counted once in their sum."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0
