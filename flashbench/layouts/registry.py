"""Layouts by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from flashbench.cases.schema import Condition, Suite
from flashbench.errors import InputError
from flashbench.layouts import ati, davis, magicdata, movebench, tapvid, tora
from flashbench.layouts.clips import Source


class Layout(NamedTuple):
    """How data of others are read and written. condition: what its annotations can ask for, unless another is given."""

    read: Callable[[Path], Source]
    write: Callable[[Suite, Path], None]
    condition: Condition
    what: str


LAYOUTS = {
    "magicdata": Layout(magicdata.read, magicdata.write, "masks", "MagicData and MagicBench: colour maps and a CSV"),
    "davis": Layout(davis.read, davis.write, "masks", "DAVIS 2016 and 2017: JPEGs and indexed PNGs"),
    "movebench": Layout(movebench.read, movebench.write, "boxes", "MoveBench, and what Wan-Move reads: point tracks"),
    "ati": Layout(ati.read, ati.write, "boxes", "ATI: a YAML list and track files"),
    "tora": Layout(tora.read, tora.write, "boxes", "Tora: text files of points on a 256 x 256 canvas"),
    "tapvid": Layout(tapvid.read, tapvid.write, "boxes", "TAP-Vid pickles: points (read without running code)"),
}


def layout(name: str) -> Layout:
    """A layout by name."""
    if name not in LAYOUTS:
        raise InputError("LAYOUT", f"unknown layout {name!r}", f"choose one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]
