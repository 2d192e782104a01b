"""Trackers of the field as plugins: the same trajectory metrics, under their own names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flashbench.cases.schema import Case
from flashbench.errors import InputError
from flashbench.metrics.catalogue import followed_rows
from flashbench.metrics.plugin import PLUGINS, Plugin
from flashbench.metrics.protocol import Arrays, Video
from flashbench.metrics.registry import install
from flashbench.metrics.values import followed_metrics
from flashbench.runs.extractors import Lazy
from flashbench.tracking.lk import LKTracker
from flashbench.tracking.protocol import ObjectTracker


class TrackerExtractor:
    """Measurements as `lk` makes them, by another tracker, which `make` makes when it is first needed."""

    def __init__(self, name: str, make: Callable[[], ObjectTracker]) -> None:
        self.name, self._tracker = name, Lazy(make)

    @property
    def tracker(self) -> ObjectTracker:
        return self._tracker()

    @property
    def fingerprint(self) -> str:
        return f"{self._tracker().fingerprint}+1"

    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        found = self._tracker().track(video, case)
        return {name: np.asarray(value) for name, value in found._asdict().items()}


def tracker_plugin(
    name: str,
    make: Callable[[str | None], ObjectTracker],
    licence: str,
    brings: str,
    requires: tuple[str, ...] = (),
) -> Plugin:
    """A tracker with all trajectory metrics.

    Args:
        name: what the metrics' names end with.
        make: makes the tracker of what `--weights NAME=...` says.
        licence, brings, requires: see `Plugin`.
    """

    def extractor(weights: str | None) -> TrackerExtractor:
        return TrackerExtractor(name, lambda: make(weights))

    rows, functions = followed_rows(name), followed_metrics(name)
    return Plugin(name, extractor, rows, functions, licence=licence, brings=brings, requires=requires)


def object_tracker(name: str, weights: str | None = None) -> ObjectTracker:
    """A tracker by the name that its metrics end with: `lk`, or that of a plugin.

    Args:
        weights: what `--weights NAME=...` says.

    Raises:
        InputError: no such tracker; weights that it does not take or that are not there.
    """
    if name == LKTracker.name:
        if weights is not None:
            raise InputError("--weights", f"tracker {name} has none", "leave it out")
        return LKTracker()
    install()
    made = PLUGINS[name].make(weights) if name in PLUGINS else None
    if not isinstance(made, TrackerExtractor):
        there = [n for n, plugin in PLUGINS.items() if isinstance(plugin.make(None), TrackerExtractor)]
        raise InputError("--tracker", f"there is no tracker {name!r}", f"choose {', '.join([LKTracker.name, *there])}")
    _ = made.fingerprint  # its weights are found before anything is done
    return made.tracker
