"""Frechet distance: analytic answers, slow references, invariances, and the field's known mistakes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg
from torchmetrics.image.fid import _compute_fid

from flashbench.metrics import frechet
from flashbench.metrics.frechet import (
    between,
    covariance_trace,
    frechet_distance,
    gaussian,
    half_split_floor,
    nuclear_norm,
)

Array = npt.NDArray[np.float64]


def samples(n: int, m: int, d: int, seed: int = 0, offset: float = 0.0) -> tuple[Array, Array]:
    """Two sets with covariance eigenvalues of about 1/k, of different scale and mean."""
    rng = np.random.default_rng(seed)
    scale = 1 / np.sqrt(np.arange(1, d + 1))
    return rng.normal(size=(n, d)) * scale + offset, rng.normal(size=(m, d)) * scale * 1.3 + 0.1 + offset


def exact_root(x: Array) -> Array:
    """Symmetric square root of the covariance, from singular vectors of the features."""
    _, s, vt = linalg.svd((x - x.mean(0)) / np.sqrt(len(x) - 1), full_matrices=False)
    return np.asarray((vt.T * s) @ vt)


def by_exact_roots(x: Array, y: Array) -> float:
    """Reference of full precision at every rank: tr(S_x^{1/2} S_y S_x^{1/2})^{1/2} = ||S_x^{1/2} S_y^{1/2}||_*."""
    rx, ry = exact_root(x), exact_root(y)
    traces = np.trace(rx @ rx) + np.trace(ry @ ry)
    return float(np.sum((x.mean(0) - y.mean(0)) ** 2) + traces - 2 * linalg.svdvals(rx @ ry).sum())


def by_sqrtm(x: Array, y: Array, ddof: int = 1, jitter: float = 0.0) -> float:
    """The textbook form, accurate where both covariances have full rank."""
    sx, sy = (np.cov(z, rowvar=False, ddof=ddof) for z in (x, y))
    eye = jitter * np.eye(len(sx))
    root = linalg.sqrtm((sx + eye) @ (sy + eye))
    return float(np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(sx) + np.trace(sy) - 2 * np.trace(root).real)


def test_only_the_means_differ() -> None:
    x, _ = samples(50, 1, 20)
    shift = np.linspace(-1, 1, 20)
    assert frechet_distance(x, x + shift) == pytest.approx(np.sum(shift**2), rel=1e-12)


def test_scaled_copy_has_a_closed_form() -> None:
    """y - mean = c (x - mean): tr S_x (1 - c)^2."""
    x, _ = samples(30, 1, 64)
    y = x.mean(0) + 3.0 * (x - x.mean(0))
    assert frechet_distance(x, y) == pytest.approx(4.0 * covariance_trace(x), rel=1e-12)


def test_one_feature_is_the_distance_of_two_normals() -> None:
    x, y = samples(40, 60, 1)
    expected = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)


def test_constant_sets_are_the_distance_of_their_means() -> None:
    assert frechet_distance(np.zeros((8, 5)), np.ones((6, 5))) == pytest.approx(5.0)


@pytest.mark.parametrize(("n", "d"), [(2, 7), (48, 400), (256, 1280), (300, 40)])
def test_identity(n: int, d: int) -> None:
    x, _ = samples(n, 1, d, offset=10.0)
    assert frechet_distance(x, x) < 1e-12 * covariance_trace(x)
    assert frechet_distance(x, x[::-1]) < 1e-12 * covariance_trace(x)


@pytest.mark.parametrize(
    ("n", "m", "d"), [(2, 3, 5), (20, 30, 64), (64, 20, 64), (200, 30, 64), (30, 200, 64), (200, 150, 64)]
)
def test_equals_a_full_precision_reference(n: int, m: int, d: int) -> None:
    x, y = samples(n, m, d)
    assert frechet_distance(x, y) == pytest.approx(by_exact_roots(x, y), rel=1e-9)


def test_equals_sqrtm_where_sqrtm_is_accurate() -> None:
    x, y = samples(400, 300, 24)
    assert frechet_distance(x, y) == pytest.approx(by_sqrtm(x, y), rel=1e-9)


def test_equals_torchmetrics_where_it_is_accurate() -> None:
    x, y = samples(400, 300, 24)
    parts = [torch.from_numpy(part) for z in (x, y) for part in (z.mean(0), np.cov(z, rowvar=False))]
    assert frechet_distance(x, y) == pytest.approx(float(_compute_fid(*parts)), rel=1e-9)


def test_equals_fifty_digits() -> None:
    mpmath = pytest.importorskip("mpmath")
    x, y = samples(5, 4, 3, seed=3)
    with mpmath.workdps(50):

        def moments(z: Array) -> tuple[object, object]:
            m = mpmath.matrix(z.tolist())
            mean = mpmath.matrix([[sum(m[i, j] for i in range(m.rows)) / m.rows for j in range(m.cols)]])
            centred = mpmath.matrix(m.rows, m.cols)
            for i in range(m.rows):
                for j in range(m.cols):
                    centred[i, j] = m[i, j] - mean[0, j]
            return mean, centred.T * centred / (m.rows - 1)

        (mx, sx), (my, sy) = moments(x), moments(y)
        eigenvalues, _ = mpmath.eig(sx * sy)
        root = sum(mpmath.sqrt(abs(mpmath.re(e))) for e in eigenvalues)
        shift = sum((mx[0, j] - my[0, j]) ** 2 for j in range(3))
        expected = float(shift + sum(sx[j, j] + sy[j, j] for j in range(3)) - 2 * root)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("n", "expected"), [(32, 0.97), (64, 0.74), (128, 0.52), (256, 0.33)])
def test_bias_of_equal_distributions_is_the_measured_one(n: int, expected: float) -> None:
    """True distance 0; the measured bias FD / tr S at D = 400, eigenvalues 1/k."""
    values = []
    for seed in range(3):
        x, y = np.random.default_rng(seed).normal(size=(2, n, 400)) / np.sqrt(np.arange(1, 401))
        values.append(frechet_distance(x, y) / np.sum(1 / np.arange(1, 401)))
    assert np.mean(values) == pytest.approx(expected, abs=0.04)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(2, 12), st.integers(2, 12), st.integers(1, 12), st.integers(0, 2**31), st.sampled_from([1e-3, 1.0, 1e3])
)
def test_properties(n: int, m: int, d: int, seed: int, scale: float) -> None:
    """Symmetric, blind to order and rotation, quadratic in scale, never negative."""
    x, y = samples(n, m, d, seed)
    rng = np.random.default_rng(seed)
    value = frechet_distance(x, y)
    close = {"rel": 1e-9, "abs": 1e-12}
    assert value >= 0
    assert frechet_distance(y, x) == pytest.approx(value, **close)
    assert frechet_distance(rng.permutation(x), rng.permutation(y)) == pytest.approx(value, **close)
    rotation = linalg.qr(rng.normal(size=(d, d)))[0]
    assert frechet_distance(x @ rotation, y @ rotation) == pytest.approx(value, **close)
    assert frechet_distance(x * scale, y * scale) == pytest.approx(value * scale**2, rel=1e-9, abs=1e-12 * scale**2)


def test_a_far_mean_costs_no_precision() -> None:
    x, y = samples(40, 50, 30)
    assert frechet_distance(x + 1e5, y + 1e5) == pytest.approx(frechet_distance(x, y), rel=1e-8)


def test_float32_features_are_computed_in_float64() -> None:
    x, y = (z.astype(np.float32) for z in samples(40, 50, 30, offset=100.0))
    assert frechet_distance(x, y) == frechet_distance(x.astype(np.float64), y.astype(np.float64))


def test_inputs_are_left_alone() -> None:
    x, y = samples(40, 50, 30)
    before = x.copy(), y.copy()
    frechet_distance(x, y)
    assert np.array_equal(x, before[0]) and np.array_equal(y, before[1])


def test_nothing_of_size_d_by_d_is_formed_for_few_rows() -> None:
    x, y = samples(16, 16, 4096)
    tracemalloc.start()
    frechet_distance(x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.05 * 4096**2 * 8


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(lambda x, y: by_sqrtm(x, y, ddof=0), id="covariance divided by n"),
        pytest.param(lambda x, y: by_sqrtm(x, y, jitter=1e-6), id="jitter in the root but not in the traces"),
        pytest.param(lambda x, y: by_sqrtm(x, y), id="sqrtm of a singular product"),
        pytest.param(lambda x, y: by_sqrtm(x.astype(np.float32), y.astype(np.float32)), id="float32 moments"),
    ],
)
def test_known_bad_ways_are_caught(bad: Callable[[Array, Array], float]) -> None:
    """Fewer rows than features, as in every stratum: each of them is off by more than what is asked of ours."""
    x, y = samples(24, 24, 64)
    truth = by_exact_roots(x, y)
    assert abs(bad(x, y) - truth) > 1e-9 * truth
    assert abs(frechet_distance(x, y) - truth) < 1e-9 * truth


class FromFile:
    """Rows that are made each time NumPy asks for them."""

    def __init__(self, rows: Array) -> None:
        self.rows, self.asked = rows, 0

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        self.asked += 1
        return self.rows.astype(np.float64)


@pytest.mark.parametrize("held", [1, 8, 30, 64])
@pytest.mark.parametrize("d", [5, 40])
def test_in_parts_it_is_the_same(held: int, d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = samples(61, 33, d, offset=50.0)
    whole = frechet_distance(x, y)
    monkeypatch.setattr(frechet, "HELD", held)
    parts = [FromFile(rows) for rows in np.array_split(x, 9)]
    made = gaussian(parts)  # type: ignore[arg-type]
    assert made.n == 61 and len(made.root) <= min(d, 61) and max(p.asked for p in parts) <= 3
    np.testing.assert_allclose(made.root.T @ made.root / 60, np.cov(x, rowvar=False), atol=1e-12)
    assert between(made, gaussian(np.array_split(y, 4))) == pytest.approx(whole, rel=1e-12)
    if held == 64:
        assert between(made, gaussian([y])) == whole  # few rows: bit for bit


def test_memory_does_not_grow_with_the_rows() -> None:
    rng = np.random.default_rng(0)

    class Drawn(FromFile):
        def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
            return rng.normal(size=(24, 200))

    def peak(parts: int) -> int:
        tracemalloc.start()
        gaussian([Drawn(rng.normal(size=(1, 1))) for _ in range(parts)])  # type: ignore[arg-type]
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    assert peak(1000) < 1.2 * peak(200)


def steep(n: int, d: int, seed: int) -> Array:
    """Features whose singular values fall from 1 to 1e-7 of the largest, the last of them nothing at all."""
    fall = np.append(np.logspace(0, -7, d - 1), 0.0)
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(d, d)))
    return np.asarray(rng.normal(size=(n, d)) * fall @ turn)


def test_many_rows_are_squared_only_where_it_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = samples(600, 500, 40)
    assert frechet_distance(x, y) == pytest.approx(by_exact_roots(x, y), rel=1e-13)
    x, y = steep(600, 40, seed=0), np.random.default_rng(5).normal(size=(500, 40))  # y is wide where x is nothing
    exact = by_exact_roots(x, y)
    assert frechet_distance(x, y) == pytest.approx(exact, rel=1e-14)
    monkeypatch.setattr(frechet, "SAFE", -np.inf)
    monkeypatch.setattr(np.linalg, "cholesky", lambda s: exact_root_of(s).T)
    assert frechet_distance(x, y) != pytest.approx(exact, rel=1e-11)


def exact_root_of(covariance: Array) -> Array:
    """A factor by eigenvalues, for covariances that rounding has made indefinite."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))).T)


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="no rows of features"):
        gaussian([])


def test_nuclear_norm() -> None:
    assert nuclear_norm(np.diag([3.0, -4.0])) == pytest.approx(7.0)


def test_covariance_trace() -> None:
    x, _ = samples(20, 1, 6, offset=5.0)
    assert covariance_trace(x) == pytest.approx(np.trace(np.cov(x, rowvar=False)), rel=1e-12)


def test_floor_splits_alternate_rows() -> None:
    x, _ = samples(40, 1, 10)
    assert half_split_floor(x) == frechet_distance(x[0::2], x[1::2])


def test_floor_keeps_groups_together() -> None:
    """Three like clips a video: split by rows, both halves would hold every video and the floor would vanish."""
    videos, _ = samples(20, 1, 10)
    clips = np.repeat(videos, 3, axis=0) + 1e-6 * np.random.default_rng(0).normal(size=(60, 10))
    labels = [f"video {i // 3}" for i in range(60)]
    even = np.arange(60) // 3 % 2 == 0
    assert half_split_floor(clips, labels) == frechet_distance(clips[even], clips[~even])
    assert half_split_floor(clips, np.array(labels)) == half_split_floor(clips, labels)
    assert half_split_floor(clips, labels) > 10 * half_split_floor(clips)


@pytest.mark.parametrize(
    ("x", "y", "word"),
    [
        (np.zeros((1, 4)), np.zeros((5, 4)), "at least 2"),
        (np.zeros((5, 4)), np.zeros((0, 4)), "at least 2"),
        (np.zeros((5, 4)), np.zeros((5, 3)), "4 features a row, y has 3"),
        (np.zeros(5), np.zeros(5), r"expected \[N, D\]"),
        (np.zeros((5, 0)), np.zeros((5, 0)), r"expected \[N, D\]"),
        (np.full((5, 4), np.nan), np.zeros((5, 4)), "NaN"),
        (np.zeros((5, 4)), np.full((5, 4), np.inf), "infinity"),
    ],
)
def test_refusals(x: Array, y: Array, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        frechet_distance(x, y)


def test_floor_refusals() -> None:
    with pytest.raises(ValueError, match="labels"):
        half_split_floor(np.zeros((6, 2)), ["a", "b"])
    with pytest.raises(ValueError, match="at least 2"):
        half_split_floor(np.zeros((6, 2)), ["a"] * 6)
