"""The shipped measurements are of the embedded suite, of the extractors as they are, and what one gets oneself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flashbench.cases.suites import open_suite
from flashbench.files.atomic import read_json, read_npz
from flashbench.metrics.protocol import Extractor
from flashbench.runs.extractors import extractors
from flashbench.runs.measure import SHIPPED, Measurer

AGAIN = "run `python scripts/prepare_references.py`"


@pytest.fixture(scope="module")
def found() -> dict[str, Extractor]:
    return extractors(("i3d", "lk"))


def test_they_are_of_the_suite_and_the_extractors_as_they_are(found: dict[str, Extractor], golden: Path) -> None:
    facts, suite = read_json(SHIPPED / "manifest.json"), open_suite("sprites-v1")
    content = read_json(golden / "sprites_v1.json")["content_sha256"][suite.condition]
    assert facts["suite"] == {"name": "sprites-v1", "content_sha256": content}, AGAIN
    assert facts["extractors"] == {name: e.fingerprint for name, e in found.items()}, AGAIN
    assert {p.name for p in SHIPPED.iterdir()} == {*found, "manifest.json"}
    for name in found:
        assert len(list((SHIPPED / name).iterdir())) == len(suite) == 48, AGAIN


def test_they_are_what_is_measured_here(found: dict[str, Extractor]) -> None:
    """Bit for bit on the machine that made them; elsewhere CPUs round in other ways."""
    suite = open_suite("sprites-v1")
    case_id = suite.case_ids[17]
    case, video = suite.load_case(case_id), suite.load_reference(case_id)
    measurer = Measurer(case, video)
    shipped = measurer.measure(video, found.values(), SHIPPED)  # read, for every key is there
    fresh = {name: e.measure(video.copy(), case, video) for name, e in found.items()}
    assert np.allclose(fresh["i3d"]["features"], shipped["i3d"]["features"], rtol=1e-3, atol=1e-3)
    ours, theirs = fresh["lk"], shipped["lk"]
    assert np.mean(ours["visible"] == theirs["visible"]) > 0.99
    both = ours["visible"] & theirs["visible"]
    assert np.median(np.abs(ours["centres"] - theirs["centres"])[both]) < 0.02  # px
    together, either = (f(ours["masks"], theirs["masks"]).sum() for f in (np.logical_and, np.logical_or))
    assert together / either > 0.98


def test_each_names_its_key(found: dict[str, Extractor]) -> None:
    for path in sorted(SHIPPED.rglob("*.npz")):
        assert str(read_npz(path, "key")["key"]) == path.stem
