"""MMD^2: a plain loop, torchmetrics' kernel, unbiasedness, and the biased form that must be caught."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.image.kid import poly_mmd

from flashbench.metrics import mmd
from flashbench.metrics.mmd import kernel_sums, mmd2

Array = npt.NDArray[np.float64]


def samples(n: int, m: int, d: int, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(m, d)) * 1.2 + 0.3


def by_loops(x: Array, y: Array, degree: int, gamma: float, coef0: float, diagonal: bool = False) -> float:
    def k(a: Array, b: Array) -> float:
        return float(gamma * sum(p * q for p, q in zip(a, b, strict=True)) + coef0) ** degree

    def within(z: Array) -> float:
        values = [k(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if diagonal or i != j]
        return sum(values) / len(values)

    across = [k(a, b) for a in x for b in y]
    return within(x) + within(y) - 2 * sum(across) / len(across)


@pytest.mark.parametrize(("degree", "gamma", "coef0"), [(3, None, 1.0), (2, None, 0.0), (1, 0.5, 2.0)])
def test_equals_plain_loops(degree: int, gamma: float | None, coef0: float) -> None:
    x, y = samples(7, 9, 4)
    expected = by_loops(x, y, degree, 0.25 if gamma is None else gamma, coef0)
    assert mmd2(x, y, degree, gamma, coef0) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rows", [1, 4, 7, 50])
def test_a_part_of_the_gram_matrix_at_a_time(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = samples(13, 9, 4)
    gram, whole = (0.25 * x @ y.T + 1.0) ** 3, mmd2(x, y)
    monkeypatch.setattr(mmd, "ROWS", rows)
    assert kernel_sums(x, y, 3, 0.25, 1.0) == pytest.approx((gram.sum(), np.trace(gram)), rel=1e-12)
    assert mmd2(x, y) == pytest.approx(whole, rel=1e-12)


def test_two_points_by_hand() -> None:
    """Kernel ab: x = {1, 3} gives 3, y = {0, 2} gives 0, across them the mean of {0, 2, 0, 6} is 2: 3 + 0 - 4 = -1."""
    assert mmd2([[1.0], [3.0]], [[0.0], [2.0]], degree=1, gamma=1.0, coef0=0.0) == pytest.approx(-1.0)


def test_defaults_are_kid() -> None:
    x, y = samples(30, 30, 16)
    assert mmd2(x, y) == pytest.approx(float(poly_mmd(torch.from_numpy(x), torch.from_numpy(y))), rel=1e-10)


def test_linear_kernel_estimates_the_squared_distance_of_means() -> None:
    rng = np.random.default_rng(1)
    shift = np.array([0.5, -1.0, 2.0])
    x, y = rng.normal(size=(4000, 3)), rng.normal(size=(4000, 3)) + shift
    assert mmd2(x, y, degree=1, gamma=1.0, coef0=0.0) == pytest.approx(np.sum(shift**2), abs=0.3)


def test_unbiased_where_the_v_statistic_is_not() -> None:
    """Equal distributions: the mean over many small draws is 0 within its error; with the diagonal it is not."""
    draws = [np.random.default_rng(seed).normal(size=(2, 8, 5)) for seed in range(400)]
    ours = np.array([mmd2(x, y) for x, y in draws])
    biased = np.array([by_loops(x, y, 3, 0.2, 1.0, diagonal=True) for x, y in draws[:40]])
    error = ours.std() / np.sqrt(len(ours))
    assert abs(ours.mean()) < 4 * error
    assert (ours < 0).any()
    assert biased.mean() > 20 * error


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 10), st.integers(2, 10), st.integers(1, 8), st.integers(0, 2**31))
def test_symmetric_and_blind_to_order(n: int, m: int, d: int, seed: int) -> None:
    x, y = samples(n, m, d, seed)
    rng = np.random.default_rng(seed)
    value = mmd2(x, y)
    assert mmd2(y, x) == pytest.approx(value, rel=1e-9, abs=1e-12)
    assert mmd2(rng.permutation(x), rng.permutation(y)) == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_gamma_none_undoes_repeated_features() -> None:
    x, y = samples(10, 12, 6)
    assert mmd2(np.tile(x, 3), np.tile(y, 3)) == pytest.approx(mmd2(x, y), rel=1e-12)


@pytest.mark.parametrize(
    ("x", "y", "word"),
    [
        (np.zeros((1, 4)), np.zeros((5, 4)), "at least 2"),
        (np.zeros((5, 4)), np.zeros((5, 3)), "features a row"),
        (np.full((5, 4), np.nan), np.zeros((5, 4)), "NaN"),
    ],
)
def test_refusals(x: Array, y: Array, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        mmd2(x, y)
    with pytest.raises(ValueError, match="degree"):
        mmd2(np.zeros((5, 4)), np.zeros((5, 4)), degree=0)
