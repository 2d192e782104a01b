"""What the catalogue says that metrics see is what was measured: docs/validity.csv."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pytest

from flashbench.metrics.catalogue import METRICS
from flashbench.metrics.sight import SIGHT
from flashbench.models.corrupted import DAMAGES

EARLY = 2  # of the five strengths


@pytest.fixture(scope="module")
def measured(root: Path) -> dict[str, dict[str, int]]:
    """Metric -> corruption -> the lowest strength from which on all are resolved, 0 for none."""
    with (root / "docs" / "validity.csv").open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda r: -int(r["strength"]))
    first: dict[str, dict[str, int]] = defaultdict(dict)
    broken = set()
    for r in rows:  # from the greatest strength down
        key = r["metric"], r["corruption"]
        first[key[0]].setdefault(key[1], 0)
        if r["resolved"] == "0":
            broken.add(key)
        elif key not in broken:
            first[key[0]][key[1]] = int(r["strength"])
    return first


def test_every_embedded_metric_was_looked_at_with_every_corruption(measured: dict[str, dict[str, int]]) -> None:
    embedded = {m.name for m in METRICS.values() if m.embedded and m.needs and m.pictures != "photographs"}
    assert set(measured) == set(SIGHT) == embedded
    assert {frozenset(of) for of in measured.values()} == {frozenset(DAMAGES)}


@pytest.mark.parametrize("metric", SIGHT)
def test_the_catalogue_says_what_was_measured(metric: str, measured: dict[str, dict[str, int]]) -> None:
    found = measured[metric]
    assert SIGHT[metric].sees == tuple(c for c in DAMAGES if 0 < found[c] <= EARLY)
    assert SIGHT[metric].misses == tuple(c for c in DAMAGES if found[c] == 0)


@pytest.mark.parametrize("metric", SIGHT)
def test_a_metric_that_sees_nothing_early_is_not_embedded(metric: str) -> None:
    assert SIGHT[metric].sees
