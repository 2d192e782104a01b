"""Differences of Frechet distances and of MMD^2 between two models, by a paired bootstrap over cases.

A resampled Frechet distance lies above the distance itself, since duplicates shrink the spread: percentiles of one
distance do not cover it. The difference of two models over the same resampled cases is nearly unbiased, because both
carry the same duplicates. All resamples are taken from Gram matrices, without going back to the features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg

from flashbench.statistics.paired import LEAST, NAN, Z_95, Z_POWER_80, Difference

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
    dim: int


def grams(ours: Sequence[npt.NDArray[np.floating]], theirs: Sequence[npt.NDArray[np.floating]]) -> Grams:
    """Gram matrices of features `[F, D]` a case, of a model and of the references, in the same order of cases.

    Features are centred on the references' mean first: nothing here depends on their origin but MMD's kernel, which is
    given by `mmd_from`.
    """
    x, y = (np.concatenate([np.asarray(f, np.float64) for f in fs]) for fs in (ours, theirs))
    cases = [np.repeat(np.arange(len(fs)), [len(f) for f in fs]) for fs in (ours, theirs)]
    return Grams(x @ x.T, y @ y.T, x @ y.T, cases[0], cases[1], x.shape[1])


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
    mean_xx, mean_yy, mean_xy = px @ xx @ px, py @ yy @ py, px @ xy @ py
    trace_x = (wx @ np.diag(xx) - n * mean_xx) / (n - 1)
    trace_y = (wy @ np.diag(yy) - m * mean_yy) / (m - 1)
    centred = xy - (px @ xy)[None, :] - (xy @ py)[:, None] + mean_xy
    centred *= np.sqrt(wx)[:, None] * np.sqrt(wy)[None, :]
    overlap = linalg.svdvals(centred, overwrite_a=True, check_finite=False).sum() / math.sqrt((n - 1) * (m - 1))
    return float(max(mean_xx + mean_yy - 2 * mean_xy + trace_x + trace_y - 2 * overlap, 0.0))


def mmd_from(g: Grams, weights: Floats, degree: int = 3, coef0: float = 1.0) -> float:
    """MMD^2 (U-statistic, kernel (x'y / D + coef0)^degree) of the rows weighted as in `frechet_from`.

    Rows of two copies of one case are not pairs: a case that was drawn w times counts its own pairs w times, not w^2
    times, or duplicates would add a bias.
    """
    wx, wy = weights[g.case_x], weights[g.case_y]
    kx, ky, kxy = ((k / g.dim + coef0) ** degree for k in (g.xx, g.yy, g.xy))

    def off_diagonal(k: Floats, w: Floats, case: npt.NDArray[np.int64]) -> float:
        pairs = np.where(case[:, None] == case, w[:, None], np.outer(w, w))
        np.fill_diagonal(pairs, 0.0)
        return float((k * pairs).sum() / pairs.sum())

    return off_diagonal(kx, wx, g.case_x) + off_diagonal(ky, wy, g.case_y) - 2 * float(wx @ kxy @ wy / (wx.sum() * wy.sum()))


DISTANCES = {"frechet": frechet_from, "mmd": mmd_from}


def multiplicities(cases: int, resamples: int, seed: int = 0) -> Floats:
    """How often each case is drawn in each resample `[resamples, cases]`; depends on its arguments alone."""
    draws = np.random.default_rng((seed, cases)).integers(0, cases, (resamples, cases))
    return np.stack([np.bincount(row, minlength=cases) for row in draws]).astype(np.float64)


def resampled(g: Grams, cases: int, distance: str, resamples: int = 200, seed: int = 0) -> tuple[float, Floats]:
    """The distance itself and its values over resampled cases `[resamples]`, which models share."""
    take = DISTANCES[distance]
    return take(g, np.ones(cases)), np.array([take(g, w) for w in multiplicities(cases, resamples, seed)])


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
