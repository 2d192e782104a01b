"""The overall order: its formula, what may stand in it, and that no beauty outweighs a missed path."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import gmean

from flashbench import overall
from flashbench.comparison import Beside
from flashbench.runs.scored import read_scored

Make = Callable[..., Path]


def beside(
    tmp_path: Path, scored_run: Make, *, cases: int = 12, drop: str = "", **models: tuple[float, float, float]
) -> Beside:
    """Models by name: mean overlap and precision of their cases (floor 0.8), and the shift of their features."""
    runs = []
    for k, (name, (overlap, precision, shift)) in enumerate(models.items()):
        spread = 0.04 * np.random.default_rng(k).standard_normal((2, cases))
        more = {"miou_lk": overlap + spread[0], "delta_avg_lk": precision + spread[1]}
        more = {metric: list(np.clip(of, 0, 1)) for metric, of in more.items() if metric != drop}
        runs.append(read_scored(scored_run(tmp_path, name, [2.5] * cases, shift, more)))
    return Beside(runs, tmp_path / "cache", splits=20)


def test_the_weighted_product() -> None:
    factors = np.random.default_rng(0).uniform(0.05, 1, (3, 7))
    assert overall.combined(factors) == pytest.approx(gmean(factors, axis=0))
    weights = (0.5, 0.25, 0.25)
    assert overall.combined(factors, weights) == pytest.approx(
        gmean(factors, axis=0, weights=np.array(weights)[:, None])
    )
    assert overall.combined(np.ones((3, 1))) == pytest.approx(1)
    assert overall.combined(np.array([[0.0], [1.0], [1.0]])) == 0  # no quality makes up for paths that are not followed


def test_weights_that_are_tried() -> None:
    tried = overall.weightings()
    assert len(tried) == len(set(tried)) == 28
    assert [sum(weights) for weights in tried] == pytest.approx([1] * 28)
    assert min(map(min, tried)) == pytest.approx(1 / 6) and max(map(max, tried)) == pytest.approx(2 / 3)
    assert any(w == pytest.approx(overall.EQUAL) for w in tried)


def test_where_models_stand(tmp_path: Path, scored_run: Make) -> None:
    held = beside(tmp_path, scored_run, good=(0.7, 0.6, 0.3), fair=(0.5, 0.4, 0.3), lovely=(0.1, 0.05, 0.0))
    good, fair, lovely = found = overall.order(held)
    assert isinstance(found, list)
    table, fvd = held.table("miou_lk"), [value for value, _ in held.distances("fvd_i3d")]
    assert good.factors[0] == pytest.approx(table[0].mean() / 0.8) and good.factors[1] == pytest.approx(0.75, abs=0.03)
    assert [s.factors[2] for s in found] == pytest.approx([50 / (50 + v) for v in fvd])
    assert fair.overall == pytest.approx(float(gmean(fair.factors)))
    assert [(s.rank_lo, s.rank_hi) for s in found] == [(1, 1), (2, 2), (3, 3)]
    assert good.resolvable < good.overall - fair.overall and (good.best, good.worst) == (1, 1)
    assert lovely.factors[2] > fair.factors[2] and lovely.worst == 3


def test_models_that_cases_cannot_tell_apart_share_their_ranks(tmp_path: Path, scored_run: Make) -> None:
    held = beside(tmp_path, scored_run, a=(0.5, 0.5, 0.2), b=(0.505, 0.5, 0.2), c=(0.05, 0.1, 0.2))
    found = overall.order(held)
    assert [(s.rank_lo, s.rank_hi) for s in found] == [(1, 2), (1, 2), (3, 3)]  # type: ignore[union-attr]


def test_the_order_depends_on_weights_where_factors_disagree(tmp_path: Path, scored_run: Make) -> None:
    held = beside(tmp_path, scored_run, follows=(0.7, 0.7, 3.0), looks=(0.4, 0.4, 0.0))
    found = overall.order(held)
    assert [(s.best, s.worst) for s in found] == [(1, 2), (1, 2)]  # type: ignore[union-attr]
    lines = "\n".join(overall.page(["follows", "looks"], found))
    assert (
        "| model | overall ↑ | rank | overlap | precision | quality | by weights |" in lines
        and lines.count("| 1-2 |") >= 2
    )


def test_what_lacks_is_said(tmp_path: Path, scored_run: Make) -> None:
    held = beside(tmp_path, scored_run, drop="delta_avg_lk", a=(0.5, 0.5, 0.2), b=(0.4, 0.5, 0.2))
    assert overall.order(held) == "delta_avg_lk not taken of every model"
    assert (
        overall.page(["a", "b"], overall.order(held))[-1] == "No overall order: delta_avg_lk not taken of every model."
    )
    held = beside(tmp_path, scored_run, drop="miou_lk", a=(0.5, 0.5, 0.2), b=(0.4, 0.5, 0.2))
    assert overall.order(held) == "miou_lk not taken of every model"


def test_boxes_stand_in_where_there_are_no_masks(tmp_path: Path, scored_run: Make) -> None:
    values = {"biou_lk": [0.4] * 8, "delta_avg_lk": [0.6] * 8}
    runs = [read_scored(scored_run(tmp_path, name, [2.5] * 8, 0.1, values)) for name in ("a", "b")]
    found = overall.order(Beside(runs, tmp_path / "cache", splits=10))
    assert not isinstance(found, str) and found[0].factors[:2] == pytest.approx((0.5, 0.75))


def test_too_few_cases_have_values_without_ranks(tmp_path: Path, scored_run: Make) -> None:
    found = overall.order(beside(tmp_path, scored_run, cases=4, a=(0.7, 0.7, 0.1), b=(0.1, 0.1, 0.1)))
    assert not isinstance(found, str) and [(s.rank_lo, s.rank_hi) for s in found] == [(1, 2), (1, 2)]
    assert found[0].overall > found[1].overall and found[0].resolvable != found[0].resolvable


def test_a_factor_of_nothing_is_last_with_any_weights() -> None:
    factors = np.array([[0.0, 0.3], [1.0, 0.3], [1.0, 0.3]])
    for weights in overall.weightings():
        gone, there = overall.combined(factors, weights)
        assert gone == 0 < there < inf
