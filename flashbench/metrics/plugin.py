"""Metrics that are not embedded: an extractor and what is made of it, found by name when they are asked for.

A package offers them through the entry point group `flashbench.metrics`: `EXTRACTOR = module:PLUGIN`. Its module is
imported the first time that a metric is named which nobody knows yet; a module that cannot be imported is kept in
`BROKEN` with the reason, and stops nothing else.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from flashbench.metrics.catalogue import Metric
    from flashbench.metrics.values import Sample, SetMetric
    from flashbench.runs.extractors import Extractor

GROUP = "flashbench.metrics"
T = TypeVar("T")


@dataclass(frozen=True)
class Plugin:
    """An extractor with its metrics.

    Attributes:
        extractor: its name, the one that metrics `needs` and `--weights` use.
        make: makes it; takes what `--weights EXTRACTOR=...` says (a path or the id of a model hub) or None. It loads no
            network before the first video.
        metrics: rows of the catalogue.
        case: functions of the per-case metrics among them; sets: distances of the set metrics.
        features: array of the measurement that set metrics take, and its first row that counts.
        licence: of the weights; brings: the one command or address that brings them.
        requires: modules that must be installed beside flashbench.
    """

    extractor: str
    make: Callable[[str | None], Extractor]
    metrics: tuple[Metric, ...]
    case: Mapping[str, Callable[[Sample], float]] = field(default_factory=dict)
    sets: Mapping[str, SetMetric] = field(default_factory=dict)
    features: tuple[str, int] = ("features", 0)
    licence: str = ""
    brings: str = ""
    requires: tuple[str, ...] = ()


PLUGINS: dict[str, Plugin] = {}
BROKEN: dict[str, str] = {}


class Registry(dict[str, T], Generic[T]):
    """A dictionary of embedded entries that takes in those of plugins when a name is unknown."""

    def __missing__(self, name: str) -> T:
        install()
        if dict.__contains__(self, name):
            return self[name]
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        if not dict.__contains__(self, name):
            install()
        return dict.__contains__(self, name)


@functools.cache
def install() -> None:
    """Takes in every plugin that is installed; once a process."""
    for entry in entry_points(group=GROUP):
        try:
            add(entry.load())
        except Exception as error:
            BROKEN[entry.name] = f"{entry.value}: {type(error).__name__}: {error}"


def add(plugin: Plugin) -> None:
    """Takes in one plugin. Raises ValueError where a name is taken, or a metric has no function."""
    from flashbench.metrics.catalogue import EXCESS, METRICS
    from flashbench.metrics.values import CASE_METRICS, SET_METRICS

    if not isinstance(plugin, Plugin):
        raise ValueError(f"it is {type(plugin).__name__}, not a Plugin")
    for metric in plugin.metrics:
        if dict.__contains__(METRICS, metric.name):
            raise ValueError(f"metric {metric.name} is there already")
        name = metric.name.removesuffix(EXCESS)
        if name not in (plugin.case if metric.kind == "case" else plugin.sets):
            raise ValueError(f"metric {metric.name} has no function")
        if metric.embedded:
            raise ValueError(f"metric {metric.name} must say embedded=False")
    if plugin.extractor in PLUGINS:
        raise ValueError(f"extractor {plugin.extractor} is there already")
    PLUGINS[plugin.extractor] = plugin
    METRICS.update({metric.name: metric for metric in plugin.metrics})
    CASE_METRICS.update(plugin.case)
    SET_METRICS.update(plugin.sets)
