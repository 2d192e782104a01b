"""Distances from Gram matrices, and the interval of their difference."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from flashbench.metrics.frechet import frechet_distance
from flashbench.metrics.values import SET_METRICS
from flashbench.statistics.sets import (
    difference,
    frechet_from,
    grams,
    mmd_from,
    multiplicities,
    pair_terms,
    resampled,
)

CASES, ROWS, DIM = 20, 3, 12


def clips(seed: int, shift: float = 0.0, spread: float = 1.0, cases: int = CASES) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(cases, 1, DIM))
    return list(spread * (own + 0.5 * rng.normal(size=(cases, ROWS, DIM))) + shift)


def frechet(x: list[np.ndarray], y: list[np.ndarray], resamples: int) -> tuple[float, np.ndarray]:
    return resampled(partial(frechet_from, grams(x, y)), len(x), resamples)


def test_all_once_is_the_plain_distance() -> None:
    x, y = clips(0, 0.3, 1.4), clips(1)
    once = np.ones(CASES)
    plain = frechet_distance(np.concatenate(x), np.concatenate(y))
    assert frechet_from(grams(x, y), once) == pytest.approx(plain, rel=1e-10)
    assert mmd_from(pair_terms(x, y), once) == pytest.approx(SET_METRICS["mmd_i3d"].paired(x, y), rel=1e-9)


def test_far_from_the_origin_nothing_changes() -> None:
    x, y = clips(0, 0.3), clips(1)
    far = [[f + 1e4 for f in fs] for fs in (x, y)]
    assert frechet_from(grams(*far), np.ones(CASES)) == pytest.approx(frechet_from(grams(x, y), np.ones(CASES)))


def test_weights_are_copies() -> None:
    """A case that was drawn twice counts as its rows twice: the same as copying them."""
    x, y = clips(2, 0.2), clips(3)
    w = multiplicities(CASES, 1, seed=4)[0]
    assert w.max() >= 2 and w.min() == 0 and w.sum() == CASES
    copies = [np.concatenate([np.repeat(f, int(k), axis=0) for f, k in zip(fs, w, strict=True)]) for fs in (x, y)]
    assert frechet_from(grams(x, y), w) == pytest.approx(frechet_distance(*copies), rel=1e-6)


def test_rows_and_cases_of_unlike_number() -> None:
    x, y = clips(0, cases=9), [f[:2] for f in clips(1, cases=9)]
    expected = frechet_distance(np.concatenate(x), np.concatenate(y))
    assert frechet_from(grams(x, y), np.ones(9)) == pytest.approx(expected, rel=1e-9)


def test_copies_are_no_pairs() -> None:
    """A biased version, which counts two copies of a case as a pair, is known bad: shifted in every resample."""
    x, y = clips(5, 0.4), clips(6)
    terms = pair_terms(x, y)
    plain, draws = mmd_from(terms, np.ones(CASES)), multiplicities(CASES, 400)

    def bad(w: np.ndarray) -> float:
        pairs = np.outer(w, w) - np.diag(w)
        return float((terms * pairs).sum() / pairs.sum())

    values = np.array([mmd_from(terms, w) for w in draws])
    error = values.std() / 20
    assert abs(values.mean() - plain) < 4 * error < abs(np.mean([bad(w) for w in draws]) - plain)


def test_models_share_the_resampled_cases() -> None:
    assert np.array_equal(multiplicities(8, 5), multiplicities(8, 5))
    assert not np.array_equal(multiplicities(8, 5), multiplicities(8, 5, seed=1))


def test_a_model_against_itself() -> None:
    one = frechet(clips(0), clips(1), 30)
    d = difference(one, one, CASES)
    assert (d.value, d.lo, d.hi, d.p) == (0, 0, 0, 1) and "every resample" in d.why


def test_a_large_difference_is_decided_and_has_a_sign() -> None:
    y = clips(1)
    near, far = (frechet(clips(0, s), y, 60) for s in (0.1, 2.0))
    d = difference(far, near, CASES)
    assert d.value > 0 and d.lo > 0 and d.p < 0.01 and d.n_needed < CASES
    assert difference(near, far, CASES).hi == pytest.approx(-d.lo)


def test_the_difference_is_hardly_biased_where_one_distance_is() -> None:
    """The reason for pairing: resampled distances lie far above the distance, their difference does not."""
    y = clips(1)
    a, b = (frechet(clips(7, s), y, 200) for s in (0.2, 0.5))
    lifted = a[1].mean() - a[0]
    assert lifted > 2 * a[1].std() / np.sqrt(200) * 5
    assert abs((a[1] - b[1]).mean() - (a[0] - b[0])) < 0.2 * lifted


def test_too_few_cases() -> None:
    one = resampled(partial(mmd_from, pair_terms(clips(0, cases=5), clips(1, cases=5))), 5, 10)
    assert difference(one, one, 5).why == "fewer than 8 cases"
