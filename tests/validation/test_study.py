"""The study of the metrics by themselves, on a suite of nine small cases."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path

import pytest

from flashbench import overall
from flashbench.cases.folder import save_suite
from flashbench.cases.scenes import sprites_suite
from flashbench.comparison import Comparison
from flashbench.errors import InputError
from flashbench.metrics.catalogue import choose
from flashbench.models.corrupted import CHEATS, DAMAGES
from flashbench.statistics.paired import Difference
from flashbench.validation import page, study
from flashbench.validation.study import Finding, findings, findings_csv, make_runs, verdicts

METRICS = ["psnr", "flicker", "epe_lk"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two corruptions, controls and cheats."""
    folder = tmp_path_factory.mktemp("study")
    save_suite(sprites_suite(9, 64, 17), folder / "suite")
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    make_runs(folder / "runs", choose(METRICS), str(folder / "suite"), only=["flicker", "path_offset"])
    patch.undo()
    return folder / "runs"


def test_a_run_for_each_strength_each_control_and_each_cheat(root: Path) -> None:
    expected = {*study.CONTROLS, *CHEATS, *(f"{c}@{s}" for c in ("flicker", "path_offset") for s in range(1, 6))}
    assert {p.name for p in root.iterdir()} == expected


def test_what_is_there_is_not_made_again(root: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*.json")}
    make_runs(root, choose(METRICS), str(root.parent / "suite"), only=["flicker", "path_offset"])
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*.json")} == before


def test_each_metric_sees_its_own_damage(root: Path) -> None:
    flicker = {v.metric: v for v in verdicts(findings(root, "flicker"))}
    assert flicker["flicker"].monotone and 1 <= flicker["flicker"].first <= 2
    assert flicker["psnr"].monotone and flicker["psnr"].first == 1
    moved = {v.metric: v for v in verdicts(findings(root, "path_offset"))}
    assert moved["epe_lk"].monotone and 1 <= moved["epe_lk"].first <= 4
    assert moved["flicker"].first == 0


def test_the_csv_has_a_line_for_everything(root: Path) -> None:
    rows = list(csv.DictReader(StringIO(findings_csv(findings(root, "path_offset")))))
    assert len(rows) == 3 * 5 and [float(r["level"]) for r in rows[:5]] == [2, 4, 8, 16, 32]
    assert {r["n"] for r in rows} == {"9"} and {r["resolved"] for r in rows} <= {"0", "1"}
    worst = next(r for r in rows if r["metric"] == "psnr" and r["strength"] == "5")
    assert float(worst["value"]) < float(worst["reference"]) and float(worst["hi"]) < 0 and worst["worse"] == "1"


def finding(strength: int, difference: float, p: float, metric: str = "psnr") -> Finding:
    d = Difference(48, difference, difference - 1, difference + 1, p)
    return Finding("blur", strength, Comparison(metric, "all", difference, 0.0, d), p, study._worse(metric, difference))


def test_first_resolved_is_where_all_stronger_ones_are_too() -> None:
    def first(ps: list[float]) -> int:
        (verdict,) = verdicts([finding(s, -s, p) for s, p in zip(range(1, 6), ps, strict=True)])
        return verdict.first

    assert first([0.5, 0.01, 0.01, 0.01, 0.01]) == 2
    assert first([0.01, 0.5, 0.01, 0.01, 0.01]) == 3
    assert first([0.01, 0.01, 0.01, 0.01, 0.5]) == 0
    better = [finding(s, +s, 0.001) for s in range(1, 6)]  # seen, but as an improvement
    assert verdicts(better)[0].first == 0 and not verdicts(better)[0].monotone


def test_monotone() -> None:
    def monotone(values: list[float], metric: str = "psnr") -> bool:
        return verdicts([finding(s, v, 0.5, metric) for s, v in zip(range(1, 6), values, strict=True)])[0].monotone

    assert monotone([-1, -2, -3, -4, -5]) and not monotone([-1, -5, -2, -1, -3]) and not monotone([0, 0, 0, 0, 0])
    assert monotone([1, 2, 3, 4, 5], "epe_lk") and not monotone([1, 2, 3, 4, 5], "psnr")
    assert monotone([0.1, -0.2, 0.3, -0.4, 0.5], "speed_ratio_lk")  # no better way: any distance counts


def test_the_page_and_its_picture(root: Path, tmp_path: Path) -> None:
    found = [f for c in ("flicker", "path_offset") for f in findings(root, c)]
    held = verdicts(found)
    beside = study.cheats_beside(root, [], root.parent / "cache" / "flashbench" / "measurements")
    seen = {"The tracker": ["| a table |"]}
    text = page.page(found, beside.runs, overall.order(beside), seen, 9, "validity.png", "validity.csv")
    assert "over 9 cases" in text and "| flicker ↑ | 1 | . |" in text.replace("1~", "1")
    assert "| path_offset | beside the path, px@256 | 2, 4, 8, 16, 32 |" in text and "| half_second_late |" in text
    assert "No overall order: miou_lk and delta_avg_lk and fvd_i3d not taken of every model." in text
    assert "| epe_lk | none |" in text and "| flicker | none |" in text  # what should not matter to them does not
    assert "\n## The tracker\n\n| a table |\n" in text
    page.picture(held, tmp_path / "validity.png")
    assert (tmp_path / "validity.png").read_bytes().startswith(b"\x89PNG")


def test_which_corruptions() -> None:
    assert study.chosen([]) == list(DAMAGES) and study.chosen(["path_offset", "blur"]) == ["blur", "path_offset"]
    with pytest.raises(InputError, match="unknown corruption 'blurr'; choose of blur"):
        study.chosen(["blurr"])
