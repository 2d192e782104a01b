"""Scoring: the same numbers whatever the workers, the interruptions and the order; failures as worst."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from flashbench.errors import InputError
from flashbench.metrics.catalogue import METRICS, choose
from flashbench.metrics.plugin import PLUGINS
from flashbench.runs.generate import generate
from flashbench.runs.layout import RunFolder, RunInfo
from flashbench.runs.results import Row
from flashbench.runs.score import metric_fingerprints, score


def scored(
    kit: ModuleType, root: Path, model: Any = None, workers: int = 2, cases: int = 8, **options: Any
) -> tuple[RunFolder, RunInfo, list[Row]]:
    suite, model = kit.tiny_suite(cases), model or kit.Painter()
    run, info = kit.new_run(root / "run", model, suite)
    generate(run, model, suite, 0)
    options = {"make": kit.fakes, "cache": root / "cache", "workers": workers, **options}
    return run, info, score(run, info, suite, options.pop("metrics", kit.CHEAP), **options)


def untimed(run: RunFolder) -> list[str]:
    return [line for line in (run.root / "results.csv").read_text().splitlines() if ",seconds," not in line]


def value(rows: list[Row], metric: str, stratum: str = "all") -> Row:
    return next(r for r in rows if (r.metric, r.stratum) == (metric, stratum))


def test_results_are_complete_and_agree(kit: ModuleType, tmp_path: Path) -> None:
    run, info, rows = scored(kit, tmp_path)
    assert {r.stratum for r in rows} == {"1", "2", "all"}
    assert {r.metric for r in rows} == {m.name for m in kit.CHEAP} - {"epe_points_lk"}  # boxes fix no points
    held = json.loads((run.root / "results.json").read_text())
    assert held["cases"] == 8
    assert held["failures"] == {}
    assert held["suite"]["content_sha256"] == info.suite_sha256
    assert held["extractors"]["lk"] == "fake-1"
    assert set(held["metrics"]) == {m.name for m in kit.CHEAP}
    assert held["environment"]["packages"]["numpy"]
    assert held["generated_in"]["cpu"] == held["environment"]["cpu"]
    assert len(held["rows"]) == len(rows)
    epe = value(rows, "epe_lk")
    assert (epe.n, epe.floor, epe.n_failed) == (8, 0, 0)
    assert epe.lo <= epe.value <= epe.hi
    assert value(rows, "epe_lk_excess").value == epe.value


@pytest.mark.parametrize("workers", [1, 3, 7])
def test_workers_do_not_change_a_number(kit: ModuleType, tmp_path: Path, workers: int) -> None:
    run, _, _ = scored(kit, tmp_path / "a", workers=2)
    other, _, _ = scored(kit, tmp_path / "b", workers=workers)
    assert untimed(other) == untimed(run)
    for name in ("cases.csv",):
        lines = [
            [line for line in (r.root / name).read_text().splitlines() if ",seconds," not in line] for r in (run, other)
        ]
        assert lines[0] == lines[1]


def test_scoring_again_measures_nothing_and_ends_the_same(kit: ModuleType, tmp_path: Path) -> None:
    run, info, _ = scored(kit, tmp_path)
    names = ("results.csv", "cases.csv", "cases.parquet", "results.json")
    before = {name: (run.root / name).read_bytes() for name in names}

    def make(wanted: Any) -> Any:
        made = kit.fakes(wanted)
        for extractor in made.values():
            extractor.measure = None
        return made

    score(run, info, kit.tiny_suite(8), kit.CHEAP, make=make, cache=tmp_path / "cache")
    assert {name: (run.root / name).read_bytes() for name in names} == before


def test_a_failed_case_counts_as_worst_in_every_mean(kit: ModuleType, tmp_path: Path) -> None:
    _, _, good = scored(kit, tmp_path / "good")
    run, _, rows = scored(kit, tmp_path / "bad", kit.Painter(breaks=("c3",)))
    for metric in (m for m in kit.CHEAP if m.kind == "case" and m.worst == m.worst and m.name != "epe_points_lk"):
        ours, theirs = value(rows, metric.name), value(good, metric.name)
        worst = (kit.FRAMES - 1) / 24 if metric.name == "arrival_lk" else metric.worst
        held = [line.split(",") for line in (run.root / "cases.csv").read_text().splitlines()]
        (line,) = [x for x in held if x[2] == "c3" and x[4] == metric.name]
        assert float(line[5]) == worst
        assert line[7] == "1"
        assert ours.n == theirs.n == 8
        assert ours.n_failed == 1
    assert value(rows, "epe_lk").value > value(good, "epe_lk").value + 20
    assert value(rows, "fvd_i3d").value > value(good, "fvd_i3d").value
    assert value(rows, "fvd_i3d").n == 24
    assert value(rows, "seconds").n == 7
    assert json.loads((run.root / "results.json").read_text())["failures"] == {"c3": "RuntimeError: no answer"}


@pytest.mark.parametrize("text", ["[]", "{}", '{"error": 3}', "{"])
def test_a_damaged_failure_is_named(kit: ModuleType, tmp_path: Path, text: str) -> None:
    run, info, _ = scored(kit, tmp_path, kit.Painter(breaks=("c3",)))
    before = (run.root / "results.json").read_bytes()
    run.failure("c3").write_text(text)
    with pytest.raises(InputError, match=r"failures/c3\.json"):
        score(run, info, kit.tiny_suite(8), kit.CHEAP, make=kit.fakes, cache=tmp_path / "cache")
    assert (run.root / "results.json").read_bytes() == before


def test_the_reference_is_its_own_floor(kit: ModuleType, tmp_path: Path) -> None:
    suite = kit.tiny_suite()

    class Truth(kit.Painter):  # type: ignore[name-defined,misc]
        def generate(self, case, seed):  # type: ignore[no-untyped-def]
            return suite.load_reference(case.id)

    _, _, rows = scored(kit, tmp_path, Truth(), cases=4)
    for row in (r for r in rows if METRICS[r.metric].kind == "case" and METRICS[r.metric].floored):
        assert row.value == row.floor
    assert value(rows, "fvd_i3d").value == 0
    assert value(rows, "mmd_i3d").value == pytest.approx(0, abs=1e-6)
    assert value(rows, "epe_lk_excess").value == 0


def test_an_unfinished_run_is_refused(kit: ModuleType, tmp_path: Path) -> None:
    run, info = kit.new_run(tmp_path, kit.Painter(), kit.tiny_suite())
    with pytest.raises(InputError, match=r"4 of 4 cases were not generated yet \(first: c0\)"):
        score(run, info, kit.tiny_suite(), kit.CHEAP, make=kit.fakes, cache=tmp_path / "cache")
    assert not (run.root / "results.json").exists()


def test_another_suite_is_refused(kit: ModuleType, tmp_path: Path) -> None:
    run, info = kit.new_run(tmp_path, kit.Painter(), kit.tiny_suite())
    with pytest.raises(InputError, match=r"run.json: field suite_sha256.*--suite"):
        score(run, info, kit.tiny_suite(condition="masks"), kit.CHEAP, make=kit.fakes, cache=tmp_path / "cache")


def test_points_are_scored_where_the_condition_fixes_them(kit: ModuleType, tmp_path: Path) -> None:
    suite = kit.tiny_suite(condition="masks")
    run, info = kit.new_run(tmp_path, kit.Painter(), suite)
    generate(run, kit.Painter(), suite, 0)
    rows = score(run, info, suite, kit.CHEAP, make=kit.fakes, cache=tmp_path / "cache")
    assert value(rows, "epe_points_lk").value == pytest.approx(value(rows, "epe_lk").value)


def test_one_metric_asks_for_its_own_extractors_only(kit: ModuleType, tmp_path: Path) -> None:
    asked: list[set[str]] = []

    def make(wanted: Any) -> Any:
        asked.append(set(wanted))
        return kit.fakes(wanted)

    _, _, rows = scored(kit, tmp_path, metrics=choose(["psnr", "flicker"]), make=make)
    assert asked == [{"pixels"}]
    assert [r.metric for r in rows if r.stratum == "all"] == ["flicker", "psnr"]


def test_an_error_of_one_case_stops_and_keeps_what_was_measured(kit: ModuleType, tmp_path: Path) -> None:
    run, info, _ = scored(kit, tmp_path)
    (run.root / "results.json").unlink()
    run.video("c5").write_bytes(b"")
    with pytest.raises(InputError, match=r"c5\.mkv"):
        score(run, info, kit.tiny_suite(8), kit.CHEAP, make=kit.fakes, cache=tmp_path / "cache")
    assert not (run.root / "results.json").exists()


def test_fingerprints_change_with_definition_and_network(kit: ModuleType) -> None:
    metrics = choose(["fvd_i3d", "psnr"])
    one = metric_fingerprints(metrics, {"i3d": kit.Fake("i3d"), "pixels": kit.Fake("pixels")})
    two = metric_fingerprints(metrics, {"i3d": kit.Fake("i3d", "other"), "pixels": kit.Fake("pixels")})
    assert one["fvd_i3d"] != two["fvd_i3d"]
    assert one["psnr"] == two["psnr"]


def test_what_uses_a_gpu_is_measured_in_this_process(
    kit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class WithPid(kit.Fake):  # type: ignore[name-defined,misc]
        def measure(self, video, case, reference):  # type: ignore[no-untyped-def]
            (tmp_path / "pids").mkdir(exist_ok=True)
            (tmp_path / "pids" / f"{self.name}-{os.getpid()}").touch()
            return super().measure(video, case, reference)

    def make(wanted: Any) -> Any:
        return {name: WithPid(name) if name != "pixels" else e for name, e in kit.fakes(wanted).items()}

    plain = untimed(scored(kit, tmp_path / "plain")[0])
    monkeypatch.setitem(PLUGINS, "i3d", PLUGINS.get("i3d"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    assert untimed(scored(kit, tmp_path / "gpu", make=make)[0]) == plain
    measured = {tuple(p.name.rsplit("-", 1)) for p in (tmp_path / "pids").iterdir()}
    assert {pid for name, pid in measured if name == "i3d"} == {str(os.getpid())}
    assert str(os.getpid()) not in {pid for name, pid in measured if name == "lk"}
