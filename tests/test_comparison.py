"""Two runs beside each other: pairing by case, words instead of missing intervals, and files."""

from __future__ import annotations

import csv
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from flashbench.comparison import Beside, compare_runs, comparison_csv, ranks
from flashbench.errors import InputError
from flashbench.metrics.frechet import frechet_distance
from flashbench.runs.scored import read_scored

Make = Callable[..., Path]
GOOD = [1.0 + 0.1 * k for k in range(12)]


@pytest.fixture
def beside(tmp_path: Path, scored_run: Make) -> Callable[..., Beside]:
    """`beside(a, b, shift_a, shift_b)`: two runs with these values."""

    def make(a: list[float], b: list[float], shifts: tuple[float, float] = (0.0, 0.0)) -> Beside:
        runs = [scored_run(tmp_path, "a", a, shifts[0]), scored_run(tmp_path, "b", b, shifts[1])]
        return Beside([read_scored(r) for r in runs], tmp_path / "cache", 100)

    return make


def test_values_are_paired_by_case(beside: Callable[..., Beside]) -> None:
    """A shift that is small against the spread over cases is decided all the same."""
    wide = [10.0 * v for v in GOOD]
    found = {c.metric: c for c in compare_runs(beside([v + 0.5 + 0.01 * k for k, v in enumerate(wide)], wide))}
    d = found["epe_lk"].difference
    assert d.n == 12 and d.value == pytest.approx(0.555) and d.lo > 0.5 and d.p < 0.01


def test_set_metrics_come_from_the_measured_features(tmp_path: Path, beside: Callable[..., Beside]) -> None:
    b = beside(GOOD, GOOD, (2.0, 0.0))
    ours, theirs = b.features(b.runs[0], "i3d", b.ids)
    expected = frechet_distance(np.concatenate(ours), np.concatenate(theirs))
    found = {c.metric: c for c in compare_runs(b)}["fvd_i3d"]
    assert found.a == pytest.approx(expected) and found.difference.lo > 0 and found.difference.n == 12


def test_only_shared_cases_count(tmp_path: Path, scored_run: Make) -> None:
    runs = [scored_run(tmp_path, "a", GOOD), scored_run(tmp_path, "b", [9.0, *GOOD[1:10]])]
    b = Beside([read_scored(r) for r in runs], tmp_path / "cache", 20)
    assert len(b.ids) == 10 and compare_runs(b, ["epe_lk"])[0].difference.n == 10
    assert b.values("epe_lk").shape == (2, 10) and b.values("epe_lk")[1, 0] == 9.0


def test_a_stratum(beside: Callable[..., Beside]) -> None:
    b = beside(GOOD, GOOD)
    (found,) = compare_runs(b, ["epe_lk"], "2")
    assert found.difference.n == 6 and found.difference.why == "fewer than 8 cases" and found.a == pytest.approx(1.6)
    with pytest.raises(InputError, match="no shared case is of stratum '9'; choose one of 1, 2, all"):
        compare_runs(b, None, "9")


def test_a_metric_that_never_differs_says_so(beside: Callable[..., Beside]) -> None:
    d = {c.metric: c.difference for c in compare_runs(beside(GOOD, GOOD))}["epe_lk"]
    assert (d.value, d.lo, d.hi, d.p) == (0, 0, 0, 1) and "same in every case" in d.why


def test_a_case_without_a_value_in_one_run_is_left_out_of_both(tmp_path: Path, scored_run: Make) -> None:
    runs = [scored_run(tmp_path, "a", GOOD), scored_run(tmp_path, "b", [float("nan"), *GOOD[1:]])]
    b = Beside([read_scored(r) for r in runs], tmp_path / "cache", 20)
    assert compare_runs(b, ["epe_lk"])[0].difference.n == 11
    none = [scored_run(tmp_path / "x", "c", [float("nan")] * 9), scored_run(tmp_path / "x", "d", GOOD[:9])]
    (found,) = compare_runs(Beside([read_scored(r) for r in none], tmp_path / "cache", 20), ["epe_lk"])
    assert found.difference.n == 0 and found.difference.why == "no case has a value in both"


def test_csv(beside: Callable[..., Beside]) -> None:
    b = beside(GOOD[:7], [v + 1 for v in GOOD[:7]])
    rows = list(csv.DictReader(StringIO(comparison_csv(b, compare_runs(b)))))
    assert [r["metric"] for r in rows] == ["fvd_i3d", "epe_lk"]
    assert rows[1]["model_a"] == "a" and rows[1]["n"] == "7" and rows[1]["lo"] == "" and "fewer than" in rows[1]["note"]
    assert all(r["lo"] or r["note"] for r in rows)  # never an empty interval without a word


def test_ranks_of_two(beside: Callable[..., Beside]) -> None:
    b = beside([v + 5 + 0.01 * k for k, v in enumerate(GOOD)], GOOD)
    a, other = ranks(b, "epe_lk")
    assert (a.rank_lo, a.rank_hi, other.rank_lo, other.rank_hi) == (2, 2, 1, 1) and a.resolvable == other.resolvable > 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"case_ids": ["x", "y"]}, "shares no case with"),
        ({"suite": {"content_sha256": "b" * 64}}, "suite content_sha256"),
        ({"metrics": {"epe_lk": "9" * 16, "fvd_i3d": "2" * 16}}, "fingerprint of metric epe_lk"),
    ],
)
def test_runs_that_cannot_be_compared(tmp_path: Path, scored_run: Make, changes: dict, says: str) -> None:  # type: ignore[type-arg]
    runs = [read_scored(scored_run(tmp_path, "a")), read_scored(scored_run(tmp_path, "b", **changes))]
    with pytest.raises(InputError, match=says):
        Beside(runs)


def test_one_run_alone(tmp_path: Path, scored_run: Make) -> None:
    with pytest.raises(InputError, match="1 run given; name at least two"):
        Beside([read_scored(scored_run(tmp_path, "a"))])


def test_features_that_are_gone_are_named(tmp_path: Path, scored_run: Make) -> None:
    runs = [scored_run(tmp_path, "a", GOOD), scored_run(tmp_path, "b", GOOD)]
    (runs[1] / "measurements" / "i3d" / "b-1-3.npz").unlink()
    with pytest.raises(InputError, match=r"b-1-3.npz: is missing; run `flashbench score .*b` again"):
        compare_runs(Beside([read_scored(r) for r in runs], tmp_path / "cache"))
    old = scored_run(tmp_path / "old", "c", GOOD, measured={})
    with pytest.raises(InputError, match="field measured does not name the i3d features of case 1-0"):
        compare_runs(Beside([read_scored(runs[0]), read_scored(old)], tmp_path / "cache"))


def test_an_unknown_metric(beside: Callable[..., Beside]) -> None:
    with pytest.raises(InputError, match="miou_lk is not in both runs"):
        compare_runs(beside(GOOD, GOOD), ["miou_lk"])
