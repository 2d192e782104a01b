"""Metrics that are not embedded: an extractor and what is made of it, found by name when they are asked for.

A package offers them through the entry point group `flashbench.metrics`: `EXTRACTOR = module:PLUGIN` (see `registry`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flashbench.metrics.catalogue import EXCESS, METRICS, Metric
from flashbench.metrics.protocol import Extractor
from flashbench.metrics.values import CASE_METRICS, SET_METRICS, Sample, SetMetric


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

    def add(self) -> None:
        """Enters the plugin into `PLUGINS`, the catalogue and the functions.

        Raises:
            ValueError: a name is taken, a metric has no function or claims to be embedded; nothing is entered then.
        """
        for metric in self.metrics:
            if dict.__contains__(METRICS, metric.name):
                raise ValueError(f"metric {metric.name} is there already")
            name = metric.name.removesuffix(EXCESS)
            if name not in (self.case if metric.kind == "case" else self.sets):
                raise ValueError(f"metric {metric.name} has no function")
            if metric.embedded:
                raise ValueError(f"metric {metric.name} must say embedded=False")
        if self.extractor in PLUGINS:
            raise ValueError(f"extractor {self.extractor} is there already")
        PLUGINS[self.extractor] = self
        METRICS.update({metric.name: metric for metric in self.metrics})
        CASE_METRICS.update(self.case)
        SET_METRICS.update(self.sets)


PLUGINS: dict[str, Plugin] = {}
