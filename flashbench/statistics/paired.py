"""Differences of two models case by case: interval, test, and what the number of cases can resolve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import nan as NAN

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
LEAST = 8  # cases below which there is no interval
RESAMPLES = 5000
Z_95, Z_POWER_80 = 1.959964, 0.841621


@dataclass(frozen=True)
class Difference:
    """A difference of means with what is known about it.

    Attributes:
        n: pairs. value: mean of a - b. lo, hi: 95 % interval. p: of a sign-flip permutation test, two-sided.
        resolvable: the smallest true difference that n pairs would show (95 %, with a power of 80 %).
        n_needed: pairs at which the value found would be shown with that power; NaN where the value is 0.
        why: why there is no interval, else empty.
    """

    n: int
    value: float
    lo: float = NAN
    hi: float = NAN
    p: float = NAN
    resolvable: float = NAN
    n_needed: float = NAN
    why: str = ""

    @property
    def decided(self) -> bool:
        """The interval is there and leaves out 0."""
        return self.lo > 0 or self.hi < 0


def difference(a: npt.ArrayLike, b: npt.ArrayLike, seed: int = 0) -> Difference:
    """Mean of a - b over paired values `[N]`, N >= 1, both finite.

    The interval is bootstrap-t (Efron & Tibshirani 1993, chapter 12.5): quantiles of the studentised mean of resampled
    differences. It keeps its coverage with few and skewed values, where percentiles of the mean are too short.

    Raises:
        ValueError: not `[N]` of one length, empty, NaN or infinity.
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.ndim != 1 or x.shape != y.shape or not len(x):
        raise ValueError(f"paired values are {x.shape} and {y.shape}, expected [N] twice, N >= 1")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("paired values hold NaN or infinity")
    d = x - y
    value = float(d.mean())
    if len(d) < LEAST:
        return Difference(len(d), value, why=f"fewer than {LEAST} cases")
    if np.ptp(d) == 0:
        return Difference(len(d), value, value, value, 1.0 if value == 0 else 0.5 ** (len(d) - 1), 0.0,
                          why="the difference is the same in every case")  # fmt: skip
    error = float(d.std(ddof=1)) / math.sqrt(len(d))
    lo, hi = bootstrap_t(d, seed)
    resolvable = (Z_95 + Z_POWER_80) * error
    needed = math.ceil(len(d) * (resolvable / value) ** 2) if value else NAN
    return Difference(len(d), value, lo, hi, sign_flip_p(d, seed), resolvable, needed)


def bootstrap_t(values: Floats, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean of `[N]` values, not all equal. Resampled indices depend on N and seed alone."""
    n = len(values)
    picked = values[np.random.default_rng((seed, n)).integers(0, n, (RESAMPLES, n))]
    mean, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(n)
    errors = picked.std(axis=1, ddof=1) / math.sqrt(n)
    floor = 1e-3 * error  # a resample of one value repeated has no spread to be studentised with
    t = (picked.mean(axis=1) - mean) / np.maximum(errors, floor)
    low, high = np.quantile(t, (0.025, 0.975))
    return mean - float(high) * error, mean - float(low) * error


def sign_flip_p(d: Floats, seed: int = 0, draws: int = 10_000) -> float:
    """Two-sided p of the mean of `[N]` differences if each sign were a coin's (exact up to N = 13, else drawn).

    Drawn: (1 + hits) / (1 + draws), which is never 0 (Phipson & Smyth 2010).
    """
    n, observed = len(d), abs(float(d.sum()))
    if n <= 13:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        sums = np.abs(signs @ d)
        return float(np.mean(sums >= observed * (1 - 1e-12)))
    rng = np.random.default_rng((seed, n))
    signs = rng.integers(0, 2, (draws, n), dtype=np.int8).astype(np.float64) * 2 - 1
    hits = int(np.sum(np.abs(signs @ d) >= observed * (1 - 1e-12)))
    return (1 + hits) / (1 + draws)
