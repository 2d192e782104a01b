"""Paired differences: analytic values, an independent reference, known-bad intervals, and words instead of NaN."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from flashbench.statistics import paired
from flashbench.statistics.paired import LEAST, difference, mean_interval, sign_flip_p


def test_the_mean_of_the_differences() -> None:
    d = difference(np.arange(10.0), np.arange(10.0)[::-1] - 1)
    assert d.n == 10 and d.value == pytest.approx(1.0) and d.lo < 1 < d.hi and d.why == ""


def student(x: np.ndarray) -> tuple[float, float]:
    return stats.t.interval(0.95, len(x) - 1, x.mean(), stats.sem(x))


def test_values_without_skewness_get_students_interval() -> None:
    for half in ([0.0, 1, 2], [0.3, 4, 5, 9, 10], list(range(24))):
        x = 7 + np.array([*half, *(-v for v in half)])
        assert mean_interval(x) == pytest.approx(student(x), rel=1e-12)


@pytest.mark.parametrize("n", [8, 20, 48])
def test_one_case_unlike_all_others(n: int) -> None:
    """Then g is 1 at every N, s / sqrt(N) is 1 / N, and the cubic (1 + t / 3)^3 - 1 + 1 / 6 is inverted by hand."""
    q = stats.t.ppf(0.975, n - 1)
    lo, hi = mean_interval(np.eye(n)[0])
    assert lo == pytest.approx((1 - q) / n)
    assert hi == pytest.approx((1 - 3 * (np.cbrt(1 - q - 1 / 6) - 1)) / n)


@pytest.mark.parametrize("n", [3, 5, 8, 20, 48, 300])
def test_against_the_cubic_inverted_by_search(n: int) -> None:
    for seed in range(20):
        x = np.random.default_rng((seed, n)).lognormal(0, 1, n) * (-1) ** seed
        g, q = stats.skew(x, bias=False) / np.sqrt(n), stats.t.ppf(0.975, n - 1)

        def end(x: np.ndarray, g: float, q: float) -> float:
            def cubic(t: float) -> float:
                return t + g * t**2 / 3 + g**2 * t**3 / 27 + g / 6 - q

            return x.mean() - optimize.brentq(cubic, -100, 100, xtol=1e-13) * stats.sem(x)

        low, high = student(x)
        expected = min(low, end(x, g, q)), max(high, end(x, g, -q))
        assert mean_interval(x) == pytest.approx(expected, rel=1e-9)


def test_against_students_p_on_normal_values() -> None:
    x = np.random.default_rng(0).normal(1, 2, 400)
    assert sign_flip_p(x) == pytest.approx(stats.ttest_1samp(x, 0).pvalue, abs=0.01)


@given(st.lists(st.floats(-1e150, 1e150), min_size=2, max_size=60))
def test_ends_are_finite_and_hold_the_mean_and_students_interval(values: list[float]) -> None:
    x = np.array(values)
    lo, hi = mean_interval(x)
    assert np.isfinite([lo, hi]).all() and lo <= x.mean() <= hi
    z = (x - x.mean()) / max(np.abs(x - x.mean()).max(), 1e-300)
    reach = stats.t.ppf(0.975, len(x) - 1) * stats.sem(z) * max(np.abs(x - x.mean()).max(), 1e-300)
    slack = 1e-9 * np.abs(x).max()
    assert reach - slack <= min(x.mean() - lo, hi - x.mean())
    assert hi - lo <= 6 * reach + slack  # a lone outlier at N = 3 is the widest


@pytest.mark.parametrize("n", range(2, 8))
@pytest.mark.parametrize("huge", [1.0, 1e12, 1e150])
def test_ties_and_one_huge_outlier(n: int, huge: float) -> None:
    lo, hi = mean_interval(np.array([huge, *np.ones(n - 1)]))
    assert np.isfinite([lo, hi]).all() and lo <= 1 + (huge - 1) / n <= hi
    assert mean_interval(np.full(n, 0.1)) == pytest.approx((0.1, 0.1))


@pytest.mark.parametrize("n", [14, 101])  # kept for the next pair, and drawn anew
def test_signs_are_the_same_in_one_block_and_in_many(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    d, draws = np.random.default_rng(n).normal(0.2, 1, n), 1000
    coins = np.random.default_rng((3, n)).integers(0, 2, (draws, n), dtype=np.int8) * 2 - 1
    expected = (1 + np.sum(np.abs(coins @ d) >= abs(d.sum()) * (1 - 1e-12))) / (1 + draws)
    monkeypatch.setattr(paired, "BLOCK", 100)
    paired._kept_signs.cache_clear()
    assert [sign_flip_p(d, 3, draws) for _ in range(2)] == [pytest.approx(float(expected), abs=1e-15)] * 2
    paired._kept_signs.cache_clear()


def test_order_place_unit_and_sign_do_not_matter() -> None:
    x = np.random.default_rng(3).exponential(1, 30)
    lo, hi = mean_interval(x)
    assert mean_interval(x[::-1]) == pytest.approx((lo, hi))
    assert mean_interval(1000 * x + 7) == pytest.approx((1000 * lo + 7, 1000 * hi + 7))
    assert mean_interval(-x) == pytest.approx((-hi, -lo))


def test_p_is_exact_for_few_values() -> None:
    d = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, -0.5])
    reference = stats.permutation_test(
        (d,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_p(d) == pytest.approx(reference.pvalue)
    assert sign_flip_p(np.ones(8)) == pytest.approx(2 / 2**8)


def test_p_of_many_values_is_never_zero() -> None:
    assert sign_flip_p(np.full(40, 5.0) + np.arange(40)) == pytest.approx(1 / 10001)


def test_swapping_the_models_turns_the_interval_round() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.exponential(2, 30), rng.exponential(1, 30)
    ab, ba = difference(a, b), difference(b, a)
    assert (ab.lo, ab.hi, ab.value) == pytest.approx((-ba.hi, -ba.lo, -ba.value)) and ab.p == pytest.approx(ba.p)


def test_units_do_not_matter() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 20))
    small, large = difference(a, b), difference(1000 * a, 1000 * b)
    assert (large.lo, large.hi) == pytest.approx((1000 * small.lo, 1000 * small.hi)) and large.p == small.p
    assert large.n_needed == small.n_needed


def percentiles(x: np.ndarray) -> tuple[float, float]:
    """Known bad on skewed values: too short, and longer on the wrong side."""
    means = x[np.random.default_rng(0).integers(0, len(x), (1000, len(x)))].mean(axis=1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def bootstrap_t(x: np.ndarray) -> tuple[float, float]:
    """Known bad where tails are heavy on both sides: it takes an accident for skewness."""
    picked = x[np.random.default_rng(0).integers(0, len(x), (1000, len(x)))]
    t = (picked.mean(axis=1) - x.mean()) / np.maximum(stats.sem(picked, axis=1), 1e-3 * stats.sem(x))
    low, high = np.quantile(t, (0.025, 0.975))
    return float(x.mean() - high * stats.sem(x)), float(x.mean() - low * stats.sem(x))


def heavy(rng: np.random.Generator, n: int) -> np.ndarray:
    case = rng.lognormal(0, 1, n)
    return case * (rng.lognormal(0, 0.5, n) - rng.lognormal(0, 0.5, n))


@pytest.mark.parametrize(
    ("draw", "n", "known_bad", "least"),
    [
        (lambda r, n: r.exponential(1, n) - 1, 12, percentiles, 91),
        (lambda r, n: r.lognormal(0, 1, n) - np.exp(0.5), 12, percentiles, 88),
        (lambda r, n: r.lognormal(0, 1, n) - np.exp(0.5), 48, student, 92),
        (heavy, 48, bootstrap_t, 93),
    ],
)
def test_it_covers_where_others_do_not(draw, n, known_bad, least) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(5)
    sets = [draw(rng, n) for _ in range(600)]
    good, bad = (100 * np.mean([lo <= 0 <= hi for lo, hi in map(f, sets)]) for f in (mean_interval, known_bad))
    assert good >= least and good <= 98 and bad < min(91.5, good - 2)


def test_interval_and_test_mostly_agree() -> None:
    rng = np.random.default_rng(6)
    found = [difference(heavy(rng, 30) + 0.4, np.zeros(30)) for _ in range(150)]
    assert 0.2 < np.mean([d.decided for d in found]) < 0.8
    assert np.mean([d.decided == (d.p < 0.05) for d in found]) > 0.9


def test_what_can_be_resolved() -> None:
    """At the resolvable difference, four times the cases resolve half of it; power is about 80 %."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, 400)
    d = difference(x, np.zeros(400))
    assert d.resolvable == pytest.approx(2.8016 * x.std(ddof=1) / 20, rel=1e-4)
    shown = sum(difference(rng.normal(0.5, 1, 31), np.zeros(31)).decided for _ in range(100))
    needed = difference(rng.normal(0.5, 1, 4000), np.zeros(4000)).n_needed
    assert 25 <= needed <= 40 and 65 <= shown <= 95


def test_words_instead_of_an_interval() -> None:
    few = difference(np.arange(LEAST - 1), np.zeros(LEAST - 1))
    assert few.why == "fewer than 8 cases" and few.value == 3 and np.isnan(few.lo) and not few.decided
    same = difference(np.ones(9), np.zeros(9))
    assert "same in every case" in same.why and (same.value, same.lo, same.hi) == (1, 1, 1) and same.decided
    equal = difference(np.ones(9), np.ones(9))
    assert equal.p == 1 and not equal.decided


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        ([], [], "N >= 1"), ([1.0], [1.0, 2.0], "expected"), ([[1.0]], [[1.0]], "expected"),
        ([np.nan], [1.0], "NaN"), ([1.0], [np.inf], "NaN or infinity"),
    ],
)  # fmt: skip
def test_what_is_refused(a: list[float], b: list[float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        difference(a, b)
