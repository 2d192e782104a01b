"""Layouts by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple

from flashbench.cases.schema import Condition, Suite
from flashbench.errors import InputError
from flashbench.layouts import ati, davis, magicdata, movebench, tapvid, tora, videofolder
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
    "videofolder": Layout(
        videofolder.read, videofolder.write, "boxes", "Hugging Face's videofolder with boxes or points"
    ),
    "tapvid": Layout(tapvid.read, tapvid.write, "boxes", "TAP-Vid pickles: points (read without running code)"),
}


GROUP = "flashbench.layouts"  # entry points: NAME = module:LAYOUT


def layout(name: str) -> Layout:
    """A layout by name: one of ours, or one that an installed package offers.

    Raises:
        InputError: an unknown name, or a package that cannot be imported or offers something else.
    """
    if name in LAYOUTS:
        return LAYOUTS[name]
    offered = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in offered:
        raise InputError("LAYOUT", f"unknown layout {name!r}", f"choose one of {', '.join([*LAYOUTS, *offered])}")
    try:
        found = offered[name].load()
    except Exception as error:
        what = f"{offered[name].value} cannot be imported ({type(error).__name__}: {error})"
        raise InputError(f"layout {name!r}", what, "mend or remove that package") from error
    if not isinstance(found, Layout):
        raise InputError(f"layout {name!r}", f"{offered[name].value} is no Layout", "mend or remove that package")
    return found
