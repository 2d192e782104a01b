"""Metrics from packages: taken in by name, refused in words, and harmless where they are broken."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from flashbench.errors import InputError
from flashbench.metrics import catalogue, plugin, registry, values
from flashbench.metrics.catalogue import METRICS, choose, derived
from flashbench.metrics.plugin import Plugin
from flashbench.runs.extractors import extractors


class Extractor:
    name, fingerprint = "brightness", "brightness-1"

    def __init__(self, weights: str | None) -> None:
        self.weights = weights

    def measure(self, video: Any, case: Any, reference: Any) -> dict[str, Any]:
        return {"value": np.array(video.mean())}


METRIC = derived(METRICS["flicker"], "brightness", "brightness", "", formula="mean level")
BRIGHTNESS = Plugin(
    "brightness", Extractor, (METRIC,), case={"brightness": lambda s: float(s.measured["brightness"]["value"])}
)


class Entry:
    def __init__(self, name: str, what: Any) -> None:
        self.name, self.value, self._what = name, f"package:{name}", what

    def load(self) -> Any:
        if isinstance(self._what, Exception):
            raise self._what
        return self._what


def bare() -> None:
    """As if no plugin had been looked for yet."""
    embedded = {m.name for m in METRICS.values() if m.embedded}
    for held in (METRICS, values.CASE_METRICS, values.SET_METRICS):
        for name in [n for n in held if n not in embedded]:
            del held[name]
    plugin.PLUGINS.clear()
    registry.BROKEN.clear()
    registry.install.cache_clear()


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Entry]]:
    """A list of entry points in place of those that are installed; everything is put back afterwards."""
    entries: list[Entry] = []
    bare()
    monkeypatch.setattr(registry, "entry_points", lambda group: entries if group == "flashbench.metrics" else [])
    yield entries
    bare()


def test_it_is_found_by_its_metrics_name(offer: list[Entry]) -> None:
    offer.append(Entry("brightness", BRIGHTNESS))
    assert choose(["brightness", "psnr"]) == (METRICS["psnr"], METRIC)
    assert extractors({"brightness"}, {"brightness": "/there"})["brightness"].weights == "/there"
    assert METRIC not in choose(None)


def test_no_package_is_imported_for_what_is_embedded(offer: list[Entry]) -> None:
    offer.append(Entry("broken", ImportError("no module")))
    choose(["psnr"])
    assert METRICS["psnr"] and not registry.BROKEN


def test_a_broken_package_stops_nothing_and_is_named_where_a_name_is_missing(offer: list[Entry]) -> None:
    offer += [Entry("broken", ImportError("no module x")), Entry("brightness", BRIGHTNESS)]
    assert choose(["brightness"]) == (METRIC,)
    with pytest.raises(InputError, match="no metric 'sharpness'.*package:broken: ImportError: no module x"):
        choose(["sharpness"])


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (object(), "not a Plugin"),
        (dataclasses.replace(BRIGHTNESS, case={}), "has no function"),
        (dataclasses.replace(BRIGHTNESS, metrics=(dataclasses.replace(METRIC, embedded=True),)), "embedded=False"),
        (dataclasses.replace(BRIGHTNESS, metrics=(dataclasses.replace(METRIC, name="psnr"),)), "there already"),
    ],
)
def test_what_is_no_plugin(offer: list[Entry], what: Any, says: str) -> None:
    offer.append(Entry("wrong", what))
    with pytest.raises(InputError):
        choose(["brightness"])
    assert says in registry.BROKEN["wrong"] and not plugin.PLUGINS
    assert catalogue.METRICS["psnr"].embedded


def test_two_of_one_name(offer: list[Entry]) -> None:
    offer += [Entry("a", BRIGHTNESS), Entry("b", BRIGHTNESS)]
    choose(["brightness"])
    assert set(plugin.PLUGINS) == {"brightness"} and "there already" in registry.BROKEN["b"]


def test_weights_for_nobody(offer: list[Entry]) -> None:
    offer.append(Entry("brightness", BRIGHTNESS))
    choose(["brightness"])
    with pytest.raises(InputError, match="takes weights named 'dino'; leave it out"):
        extractors({"pixels"}, {"dino": "/there"})
    with pytest.raises(InputError, match="takes weights named 'dino'; choose among brightness"):
        extractors({"brightness"}, {"dino": "/there"})
