"""Differences of Frechet distances and of MMD^2 between two models, by halves of the cases.

Resampling with replacement does not do: duplicates lift a Frechet distance far above itself, and they make the
difference of two models spread up to 1.6 times as far as it does. So the cases are split into halves, many times at
random. Halves of few rows are taken from Gram matrices, without going back to the features.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan as NAN

import numpy as np
import numpy.typing as npt
from scipy import linalg
from scipy.special import stdtr, stdtrit

from flashbench.metrics.frechet import between, gaussian, nuclear_norm
from flashbench.statistics.paired import LEAST, Z_95, Z_POWER_80, Difference

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
FEW = 3  # rows a feature, up to which Gram matrices are faster


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


def frechet_of(
    ours: Sequence[npt.NDArray[np.floating]], theirs: Sequence[npt.NDArray[np.floating]]
) -> Callable[[Bools], float]:
    """The Frechet distance over chosen cases `[C]`, of features `[F, D]` a case.

    By Gram matrices; where rows are many times the features, by fitting the Gaussians anew: a half then costs its rows
    and not their cube, and no matrix of all pairs of rows is held.
    """
    rows, width = max(sum(map(len, ours)), sum(map(len, theirs))), ours[0].shape[1]
    if rows <= FEW * width:
        return functools.partial(frechet_from, grams(ours, theirs))

    def fitted(chosen: Bools) -> float:
        x, y = ([f for f, yes in zip(fs, chosen, strict=True) if yes] for fs in (ours, theirs))
        return between(gaussian(x), gaussian(y))

    return fitted


def frechet_from(g: Grams, chosen: Bools) -> float:
    """Frechet distance over the chosen cases `[C]`.

    FD = |mu_x - mu_y|^2 + tr S_x + tr S_y - 2 || H K_xy H ||_* / sqrt((n - 1)(m - 1))
    """
    keep_x, keep_y = np.flatnonzero(chosen[g.case_x]), np.flatnonzero(chosen[g.case_y])
    xx, yy, xy = g.xx[np.ix_(keep_x, keep_x)], g.yy[np.ix_(keep_y, keep_y)], g.xy[np.ix_(keep_x, keep_y)]
    n, m = xy.shape
    mean_xx, mean_yy, mean_xy = float(xx.mean()), float(yy.mean()), float(xy.mean())
    traces = (np.trace(xx) - n * mean_xx) / (n - 1) + (np.trace(yy) - m * mean_yy) / (m - 1)
    centred = xy - xy.mean(axis=0) - xy.mean(axis=1)[:, None] + mean_xy
    norm = nuclear_norm(centred) if chosen.all() else _nuclear_norm(centred)
    overlap = norm / math.sqrt((n - 1) * (m - 1))
    return float(max(mean_xx + mean_yy - 2 * mean_xy + traces - 2 * overlap, 0.0))


def _nuclear_norm(matrix: Floats) -> float:
    """Sum of the singular values by the eigenvalues of M M', about three times faster than theirs.

    Squaring loses what lies below 1e-8 of the largest one: nothing beside the spread of the halves, for which alone
    it is used.
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


def mmd_from(terms: Floats, chosen: Bools) -> float:
    """Paired MMD^2 over the chosen cases `[C]`, from `pair_terms`: the mean over all pairs of unlike cases."""
    of = terms[np.ix_(chosen, chosen)]
    n = len(of)
    return float((of.sum() - np.trace(of)) / (n * (n - 1)))


def halves(cases: int, splits: int, seed: int = 0) -> Bools:
    """Random halves `[splits, cases]`, of `cases // 2` each; depends on its arguments alone."""
    order = np.random.default_rng((seed, cases)).permuted(np.tile(np.arange(cases), (splits, 1)), axis=1)
    return order < cases // 2


def halved(take: Callable[[Bools], float], cases: int, splits: int = 100, seed: int = 0) -> tuple[float, Floats]:
    """A distance, and its values over both halves of random splits `[splits, 2]`, which all models share.

    Args:
        take: the distance over chosen cases: `frechet_of(...)`.
        cases: their number; below LEAST nothing is split, `[0, 2]`.
        splits: how many; two evaluations each.
        seed: of the splits.
    """
    drawn = halves(cases, splits if cases >= LEAST else 0, seed)
    return take(np.ones(cases, bool)), np.array([(take(half), take(~half)) for half in drawn]).reshape(-1, 2)


def difference(a: tuple[float, Floats], b: tuple[float, Floats], cases: int) -> Difference:
    """Difference of two models' distances, each as `halved` gives it, with Student's interval and test.

    The two halves of a split are independent, so half their difference shows what chance does: its variance over the
    splits is that of the whole (McCarthy 1969, Rev. Int. Stat. Inst. 37, 239-264), plus once more the part that comes
    from pairs of cases. That part is the variance of the halves' mean over the splits; without it the estimate is
    unbiased (it is then minus the covariance of the halves: Wang & Lindsay 2014, Stat. Sinica 24, 1117-1141) but so
    noisy that intervals miss too often. With half of it they do not (`benchmarks/coverage.py`).
    """
    value, split = a[0] - b[0], a[1] - b[1]
    if cases < LEAST:
        return Difference(cases, value, why=f"fewer than {LEAST} cases")
    apart = float(((split[:, 0] - split[:, 1]) / 2).var(ddof=1))
    pairs = float(split.mean(axis=1).var(ddof=1))
    spread = math.sqrt(apart - min(pairs, apart) / 2)
    if spread == 0:
        return Difference(cases, value, value, value, 1.0, 0.0, why="the difference is the same in every half")
    resolvable = (Z_95 + Z_POWER_80) * spread
    needed = math.ceil(cases * (resolvable / value) ** 2) if value else NAN
    width = float(stdtrit(cases - 1, 0.975)) * spread
    p = 2 * float(stdtr(cases - 1, -abs(value) / spread))
    return Difference(cases, value, value - width, value + width, p, resolvable, needed)
