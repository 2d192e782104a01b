"""Trackers of the field as plugins: the same trajectory metrics, under their own names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flashbench.cases.schema import Case
from flashbench.metrics.catalogue import followed_rows
from flashbench.metrics.plugin import Plugin
from flashbench.metrics.protocol import Arrays, Video
from flashbench.metrics.values import followed_metrics
from flashbench.runs.extractors import Lazy
from flashbench.tracking.protocol import ObjectTracker


class TrackerExtractor:
    """Measurements as `lk` makes them, by another tracker, which `make` makes when it is first needed."""

    def __init__(self, name: str, make: Callable[[], ObjectTracker]) -> None:
        self.name, self._tracker = name, Lazy(make)

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
