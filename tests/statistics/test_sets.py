"""Distances from Gram matrices, and the interval of their difference."""

from __future__ import annotations

import numpy as np
import pytest

from flashbench.metrics.frechet import frechet_distance
from flashbench.metrics.mmd import mmd2
from flashbench.statistics.sets import difference, frechet_from, grams, mmd_from, multiplicities, resampled

CASES, ROWS, DIM = 20, 3, 12


def clips(seed: int, shift: float = 0.0, spread: float = 1.0, cases: int = CASES) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(cases, 1, DIM))
    return list(spread * (own + 0.5 * rng.normal(size=(cases, ROWS, DIM))) + shift)


def test_all_once_is_the_plain_distance() -> None:
    x, y = clips(0, 0.3, 1.4), clips(1)
    g, once = grams(x, y), np.ones(CASES)
    assert frechet_from(g, once) == pytest.approx(frechet_distance(np.concatenate(x), np.concatenate(y)), rel=1e-10)
    assert mmd_from(g, once) == pytest.approx(mmd2(np.concatenate(x), np.concatenate(y)), rel=1e-9)


def test_weights_are_copies() -> None:
    """A case that was drawn twice counts as its rows twice: the same as copying them."""
    x, y = clips(2, 0.2), clips(3)
    w = multiplicities(CASES, 1, seed=4)[0]
    assert w.max() >= 2 and w.min() == 0 and w.sum() == CASES
    copies = [np.concatenate([np.repeat(f, int(k), axis=0) for f, k in zip(fs, w, strict=True)]) for fs in (x, y)]
    assert frechet_from(grams(x, y), w) == pytest.approx(frechet_distance(*copies), rel=1e-9)


def test_rows_and_cases_of_unlike_number() -> None:
    x, y = clips(0, cases=9), [f[:2] for f in clips(1, cases=9)]
    expected = frechet_distance(np.concatenate(x), np.concatenate(y))
    assert frechet_from(grams(x, y), np.ones(9)) == pytest.approx(expected, rel=1e-9)


def test_copies_are_no_pairs() -> None:
    """The known-bad version, which counts a copy beside itself as a pair, is shifted up in every resample."""
    x, y = clips(5), clips(6)
    g = grams(x, y)
    plain = mmd_from(g, np.ones(CASES))
    draws = multiplicities(CASES, 100)

    def bad(w: np.ndarray) -> float:
        xs, ys = (np.concatenate([np.repeat(f, int(k), axis=0) for f, k in zip(fs, w, strict=True)]) for fs in (x, y))
        return mmd2(xs, ys)

    ours, theirs = np.mean([mmd_from(g, w) for w in draws]), np.mean([bad(w) for w in draws])
    assert theirs - plain > 4 * abs(ours - plain)


def test_models_share_the_resampled_cases() -> None:
    assert np.array_equal(multiplicities(8, 5), multiplicities(8, 5))
    assert not np.array_equal(multiplicities(8, 5), multiplicities(8, 5, seed=1))


def test_a_model_against_itself() -> None:
    one = resampled(grams(clips(0), clips(1)), CASES, "frechet", 30)
    d = difference(one, one, CASES)
    assert (d.value, d.lo, d.hi, d.p) == (0, 0, 0, 1) and "every resample" in d.why


def test_a_large_difference_is_decided_and_has_a_sign() -> None:
    y = clips(1)
    near, far = (resampled(grams(clips(0, s), y), CASES, "frechet", 60) for s in (0.1, 2.0))
    d = difference(far, near, CASES)
    assert d.value > 0 and d.lo > 0 and d.p < 0.01 and d.n_needed < CASES
    assert difference(near, far, CASES).hi == pytest.approx(-d.lo)


def test_the_difference_is_hardly_biased_where_one_distance_is() -> None:
    """The reason for pairing: resampled distances lie far above the distance, their difference does not."""
    y = clips(1)
    a, b = (resampled(grams(clips(7, s), y), CASES, "frechet", 200) for s in (0.2, 0.5))
    lifted = a[1].mean() - a[0]
    assert lifted > 2 * a[1].std() / np.sqrt(200) * 5
    assert abs((a[1] - b[1]).mean() - (a[0] - b[0])) < 0.2 * lifted


def test_too_few_cases() -> None:
    one = resampled(grams(clips(0, cases=5), clips(1, cases=5)), 5, "mmd", 10)
    assert difference(one, one, 5).why == "fewer than 8 cases"
