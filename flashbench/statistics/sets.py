"""Differences of Frechet distances and of MMD^2 between two models, by a paired bootstrap over cases.

A resampled Frechet distance lies above the distance itself, since duplicates shrink the spread: percentiles of one
distance do not cover it. The difference of two models over the same resampled cases is nearly unbiased, because both
carry the same duplicates. All resamples are taken from Gram matrices, without going back to the features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan as NAN

import numpy as np
import numpy.typing as npt
from scipy import linalg

from flashbench.metrics.frechet import nuclear_norm
from flashbench.statistics.paired import LEAST, Z_95, Z_POWER_80, Difference

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Grams:
    """Scalar products of features: of a model `[n, n]`, of the reference `[m, m]`, and between them `[n, m]`.

    case_x, case_y: number of the case that each row belongs to.
    """

    xx: Floats
    yy: Floats
    xy: Floats
    case_x: npt.NDArray[np.int64]
    case_y: npt.NDArray[np.int64]


def grams(ours: Sequence[npt.NDArray[np.floating]], theirs: Sequence[npt.NDArray[np.floating]]) -> Grams:
    """Gram matrices of features `[F, D]` a case, of a model and of the references, in the same order of cases.

    Features are centred on the references' mean first, which changes no distance and saves digits.
    """
    x, y = (np.concatenate([np.asarray(f, np.float64) for f in fs]) for fs in (ours, theirs))
    x, y = x - y.mean(axis=0), y - y.mean(axis=0)
    cases = [np.repeat(np.arange(len(fs)), [len(f) for f in fs]) for fs in (ours, theirs)]
    return Grams(x @ x.T, y @ y.T, x @ y.T, cases[0], cases[1])


def frechet_from(g: Grams, weights: Floats) -> float:
    """Frechet distance of the rows weighted by their cases' multiplicities `[C]` (all 1: the plain distance).

        FD = |mu_x - mu_y|^2 + tr S_x + tr S_y - 2 || H K_xy H ||_* / sqrt((n - 1)(m - 1))

    with weighted means; a row that was drawn w times counts as w equal rows, folded into one of sqrt(w) its length.
    """
    wx, wy = weights[g.case_x], weights[g.case_y]
    keep_x, keep_y = np.flatnonzero(wx), np.flatnonzero(wy)
    wx, wy = wx[keep_x], wy[keep_y]
    n, m = wx.sum(), wy.sum()
    px, py = wx / n, wy / m
    xx, yy, xy = g.xx[np.ix_(keep_x, keep_x)], g.yy[np.ix_(keep_y, keep_y)], g.xy[np.ix_(keep_x, keep_y)]
    mean_xx, mean_yy, mean_xy = float(px @ xx @ px), float(py @ yy @ py), float(px @ xy @ py)
    traces = (wx @ np.diag(xx) - n * mean_xx) / (n - 1) + (wy @ np.diag(yy) - m * mean_yy) / (m - 1)
    centred = xy - (px @ xy)[None, :] - (xy @ py)[:, None] + mean_xy
    centred *= np.sqrt(wx)[:, None] * np.sqrt(wy)[None, :]
    norm = nuclear_norm(centred) if (weights == 1).all() else _nuclear_norm(centred)
    overlap = norm / math.sqrt((n - 1) * (m - 1))
    return float(max(mean_xx + mean_yy - 2 * mean_xy + traces - 2 * overlap, 0.0))


def _nuclear_norm(matrix: Floats) -> float:
    """Sum of the singular values by the eigenvalues of M M', about three times faster than theirs.

    Squaring loses what lies below 1e-8 of the largest one: nothing beside the spread of resampled distances, for which
    alone it is used.
    """
    small = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    return float(np.sqrt(np.maximum(linalg.eigvalsh(small @ small.T, overwrite_a=True, check_finite=False), 0)).sum())


def pair_terms(
    ours: Sequence[npt.NDArray[np.floating]],
    theirs: Sequence[npt.NDArray[np.floating]],
    degree: int = 3,
    coef0: float = 1.0,
    scale: float = 1.0,
) -> Floats:
    """Terms of the paired MMD^2 `[C, C]`: h(z_i, z_j) = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i).

    k(a, b) = scale (a'b / D + coef0)^degree, the mean over the windows of a case at one position
    (`metrics.values.paired_mmd2`).

    Args:
        ours, theirs: features `[W, D]` a case, in the same order of cases.
    """
    x, y = (np.stack([np.asarray(f, np.float64) for f in fs], axis=1) for fs in (ours, theirs))  # [W, C, D]

    def kernel(a: Floats, b: Floats) -> Floats:
        return np.asarray(scale * (a @ b.transpose(0, 2, 1) / a.shape[2] + coef0) ** degree, np.float64)

    cross = kernel(x, y)
    return np.asarray((kernel(x, x) + kernel(y, y) - cross - cross.transpose(0, 2, 1)).mean(axis=0), np.float64)


def mmd_from(terms: Floats, weights: Floats) -> float:
    """Paired MMD^2 of the cases with multiplicities `[C]`, from `pair_terms`.

    Two copies of one case are not a pair: they are left out with the diagonal, or duplicates would add a bias.
    """
    pairs = np.outer(weights, weights)
    np.fill_diagonal(pairs, 0.0)
    return float((terms * pairs).sum() / pairs.sum())


def multiplicities(cases: int, resamples: int, seed: int = 0) -> Floats:
    """How often each case is drawn in each resample `[resamples, cases]`; depends on its arguments alone."""
    draws = np.random.default_rng((seed, cases)).integers(0, cases, (resamples, cases))
    return np.stack([np.bincount(row, minlength=cases) for row in draws]).astype(np.float64)


def resampled(take: Callable[[Floats], float], cases: int, resamples: int = 200, seed: int = 0) -> tuple[float, Floats]:
    """A distance and its values over resampled cases `[resamples]`, which all models share.

    Args:
        take: the distance as a function of the cases' multiplicities: `partial(frechet_from, grams(...))`.
    """
    return take(np.ones(cases)), np.array([take(w) for w in multiplicities(cases, resamples, seed)])


def difference(a: tuple[float, Floats], b: tuple[float, Floats], cases: int) -> Difference:
    """Difference of two models' distances, each as `resampled` gives it. The interval is normal, value +- 1.96 sd."""
    value, draws = a[0] - b[0], a[1] - b[1]
    if cases < LEAST:
        return Difference(cases, value, why=f"fewer than {LEAST} cases")
    spread = float(draws.std(ddof=1))
    if spread == 0:
        return Difference(cases, value, value, value, 1.0, 0.0, why="the difference is the same in every resample")
    resolvable = (Z_95 + Z_POWER_80) * spread
    needed = math.ceil(cases * (resolvable / value) ** 2) if value else NAN
    p = math.erfc(abs(value) / spread / math.sqrt(2))
    return Difference(cases, value, value - Z_95 * spread, value + Z_95 * spread, p, resolvable, needed)
