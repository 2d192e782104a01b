"""Distances from Gram matrices, and the interval of their difference."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy import stats

from flashbench.metrics.frechet import frechet_distance
from flashbench.metrics.values import SET_METRICS
from flashbench.statistics.sets import (
    difference,
    frechet_from,
    frechet_of,
    grams,
    halved,
    halves,
    mmd_from,
    pair_terms,
)

CASES, ROWS, DIM = 20, 3, 12


def clips(seed: int, shift: float = 0.0, spread: float = 1.0, cases: int = CASES) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(cases, 1, DIM))
    return list(spread * (own + 0.5 * rng.normal(size=(cases, ROWS, DIM))) + shift)


def frechet(x: list[np.ndarray], y: list[np.ndarray], splits: int) -> tuple[float, np.ndarray]:
    return halved(partial(frechet_from, grams(x, y)), len(x), splits)


def test_of_all_cases_it_is_the_plain_distance() -> None:
    x, y = clips(0, 0.3, 1.4), clips(1)
    every = np.ones(CASES, bool)
    plain = frechet_distance(np.concatenate(x), np.concatenate(y))
    assert frechet_from(grams(x, y), every) == pytest.approx(plain, rel=1e-10)
    assert mmd_from(pair_terms(x, y), every) == pytest.approx(SET_METRICS["mmd_i3d"].paired(x, y), rel=1e-9)


def test_far_from_the_origin_nothing_changes() -> None:
    x, y = clips(0, 0.3), clips(1)
    far = [[f + 1e4 for f in fs] for fs in (x, y)]
    assert frechet_from(grams(*far), np.ones(CASES, bool)) == pytest.approx(
        frechet_from(grams(x, y), np.ones(CASES, bool))
    )


def test_of_chosen_cases_it_is_their_distance() -> None:
    x, y = clips(2, 0.2), clips(3)
    half = halves(CASES, 1, seed=4)[0]
    ours, theirs = ([f for f, yes in zip(fs, half, strict=True) if yes] for fs in (x, y))
    plain = frechet_distance(np.concatenate(ours), np.concatenate(theirs))
    assert frechet_from(grams(x, y), half) == pytest.approx(plain, rel=1e-6)
    assert mmd_from(pair_terms(x, y), half) == pytest.approx(SET_METRICS["mmd_i3d"].paired(ours, theirs), rel=1e-9)


@pytest.mark.parametrize("width", [4, 8, 9, 40])
def test_few_rows_and_many_rows_give_the_same(width: int) -> None:
    """24 rows: in 4 features by Gaussians, in 8 and more by Gram matrices."""
    rng = np.random.default_rng(0)
    x, y = (list(rng.normal(size=(12, 2, width)) + s) for s in (0.0, 0.3))
    take, half = frechet_of(x, y), np.arange(12) % 2 == 0
    assert isinstance(take, partial) == (width >= 8)
    for chosen in (half, np.ones(12, bool)):
        assert take(chosen) == pytest.approx(frechet_from(grams(x, y), chosen), rel=1e-6)


def test_rows_and_cases_of_unlike_number() -> None:
    x, y = clips(0, cases=9), [f[:2] for f in clips(1, cases=9)]
    expected = frechet_distance(np.concatenate(x), np.concatenate(y))
    assert frechet_from(grams(x, y), np.ones(9, bool)) == pytest.approx(expected, rel=1e-9)


def test_halves_are_halves_and_the_same_for_every_model() -> None:
    for cases in (8, 9, 48):
        drawn = halves(cases, 200)
        assert (drawn.sum(axis=1) == cases // 2).all()
        assert np.abs(drawn.mean(axis=0) - (cases // 2) / cases).max() < 0.2
    assert np.array_equal(halves(8, 5), halves(8, 5))
    assert not np.array_equal(halves(8, 5), halves(8, 5, seed=1))


def mean_of(values: np.ndarray, chosen: np.ndarray) -> float:
    return float(values[chosen].mean())


@pytest.mark.parametrize("n", [8, 9, 30])
def test_of_means_it_is_students_t(n: int) -> None:
    """A mean has no part from pairs of cases: interval and p are those of the t test."""
    x = np.random.default_rng(n).normal(0.5, 1, (2, n))
    d = difference(*(halved(partial(mean_of, v), n, 4000) for v in x), n)
    low, high = stats.t.interval(0.95, n - 1, (x[0] - x[1]).mean(), stats.sem(x[0] - x[1]))
    assert (d.lo, d.hi) == pytest.approx((low, high), abs=0.04 * (high - low))
    assert d.p == pytest.approx(stats.ttest_rel(*x).pvalue, abs=0.03)


def of_pairs(z: np.ndarray, chosen: np.ndarray) -> float:
    """Mean of z_i z_j over pairs: nothing but pairs, and its variance is 2 / (n (n - 1)) where z is standard normal."""
    n, total = chosen.sum(), z[chosen].sum()
    return float((total**2 - (z[chosen] ** 2).sum()) / (n * (n - 1)))


def test_of_pairs_the_spread_is_known() -> None:
    """The variance has the margin that is meant, about a half; resampling with replacement, known bad, far more."""
    n, still = 16, (0.0, np.zeros((60, 2)))
    rng, ours, bad = np.random.default_rng(0), [], []
    for k in range(400):
        z = rng.normal(size=n)
        d = difference(halved(partial(of_pairs, z), n, 60, seed=k), still, n)
        ours.append(((d.hi - d.value) / stats.t.ppf(0.975, n - 1)) ** 2)
        w = np.stack([np.bincount(row, minlength=n) for row in rng.integers(0, n, (60, n))])
        bad.append((((w @ z) ** 2 - (w**2) @ z**2) / (n**2 - (w**2).sum(axis=1))).var())
    true = 2 / (n * (n - 1))
    assert 1.2 < np.mean(ours) / true < 2 and np.mean(bad) > 1.4 * np.mean(ours)


@pytest.mark.parametrize(
    ("split", "variance"),
    [
        ([(2, 0), (0, 2), (1, 1), (1, 1)], 2 / 3),  # nothing from pairs
        ([(2, 0), (0, 2), (1.5, 1.5), (0.5, 0.5)], 2 / 3 - 1 / 12),
        ([(2, 0), (0, 2), (2, 2), (0, 0)], 1 / 3),  # nothing but pairs
        ([(2, 0), (0, 2), (9, 9), (0, 0)], 1 / 3),  # more than can be, by chance
    ],
)
def test_the_spread_by_hand(split: list[tuple[float, float]], variance: float) -> None:
    d = difference((1.0, np.array(split, float)), (0.0, np.zeros((4, 2))), 8)
    assert d.hi - 1 == pytest.approx(stats.t.ppf(0.975, 7) * np.sqrt(variance)) == 1 - d.lo
    assert d.p == pytest.approx(2 * stats.t.sf(1 / np.sqrt(variance), 7))


def test_a_model_against_itself() -> None:
    one = frechet(clips(0), clips(1), 30)
    d = difference(one, one, CASES)
    assert (d.value, d.lo, d.hi, d.p) == (0, 0, 0, 1) and "every half" in d.why


def test_a_large_difference_is_decided_and_has_a_sign() -> None:
    y = clips(1)
    near, far = (frechet(clips(0, s), y, 60) for s in (0.1, 2.0))
    d = difference(far, near, CASES)
    assert d.value > 0 and d.lo > 0 and d.p < 0.01 and d.n_needed < CASES and d.decided
    assert difference(near, far, CASES).hi == pytest.approx(-d.lo)


def test_interval_and_test_are_one() -> None:
    y = clips(1)
    held = [frechet(clips(k, s), y, 30) for k, s in enumerate((0.2, 0.2, 0.3, 0.6), start=2)]
    found = [difference(a, b, CASES) for a in held for b in held if a is not b]
    assert {d.decided for d in found} == {True, False}
    assert all(d.decided == (d.p < 0.05) for d in found)


def test_too_few_cases_are_not_split() -> None:
    """A half of one case has no pairs."""
    terms = pair_terms(clips(0, cases=3), clips(1, cases=3))
    one = halved(partial(mmd_from, terms), 3, 10)
    assert one[1].shape == (0, 2) and difference(one, one, 3).why == "fewer than 8 cases"
