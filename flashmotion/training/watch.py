"""Stops a run that has collapsed, and says why."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Mapping
from pathlib import Path

WINDOW = 50  # values of a quantity that are averaged


class Collapse(Exception):
    """A training run whose output is no longer worth training on. The command exits with code 3."""


class Watch:
    """Compares moving averages of logged quantities with bounds.

    Args:
        limits: quantity -> lowest and highest mean of the last `WINDOW` logged values.
        log: log.csv of the run, from which a resumed run takes its last values.
    """

    def __init__(self, limits: Mapping[str, tuple[float, float]], log: Path) -> None:
        self.limits = dict(limits)
        self.last: dict[str, deque[float]] = {k: deque(maxlen=WINDOW) for k in self.limits}
        if self.limits and log.exists():
            with log.open(newline="") as file:
                for row in csv.DictReader(file):
                    self._take({k: float(v) for k, v in row.items() if k in self.limits and v})

    def _take(self, values: Mapping[str, float]) -> None:
        for k in self.limits.keys() & values.keys():
            self.last[k].append(values[k])

    def check(self, values: Mapping[str, float]) -> str | None:
        """Takes one step's values; says what is wrong where a full window is out of bounds, else None."""
        self._take(values)
        for k, (low, high) in self.limits.items():
            seen = self.last[k]
            mean = sum(seen) / max(len(seen), 1)
            if len(seen) == WINDOW and not low <= mean <= high:
                return f"{k} is {mean:.3g} over the last {WINDOW} values, healthy is {low:g} to {high:g}"
        return None
