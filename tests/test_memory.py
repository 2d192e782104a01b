"""Freed memory is kept for the next call, and not without end."""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys

import pytest

MIB = 2**20

# Takes and frees blocks of 30 MiB four times; prints the page faults of the last time, and what is left at the end.
BLOCKS = """
import ctypes, json, resource, sys
import psutil
from flashbench.memory import keep_freed

libc, size = ctypes.CDLL(None), 30 * 2**20
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if sys.argv[2] == "kept":
    keep_freed()
start = psutil.Process().memory_info().rss
for _ in range(4):
    before = faults()
    blocks = [libc.malloc(size) for _ in range(int(sys.argv[1]))]
    for block in blocks:
        ctypes.memset(block, 1, size)
    for block in blocks:
        libc.free(block)
print(json.dumps([faults() - before, psutil.Process().memory_info().rss - start]))
"""


def left(blocks: int, how: str) -> tuple[int, int]:
    """Page faults of the last round, and bytes that are held when all blocks are freed."""
    command = [sys.executable, "-c", BLOCKS, str(blocks), how]
    faults, held = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return faults, held


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="keep_freed does nothing without glibc")
def test_blocks_are_used_again_without_being_fetched_from_the_system() -> None:
    pages = 3 * 30 * MIB // resource.getpagesize()
    faults, held = left(3, "kept")
    assert faults < pages // 100 and held > 80 * MIB
    faults, held = left(3, "as it is")
    assert faults > pages // 2 and held < 60 * MIB  # else there is nothing to mend


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="keep_freed does nothing without glibc")
def test_what_is_kept_has_an_end() -> None:
    assert left(8, "kept")[1] < 140 * MIB
