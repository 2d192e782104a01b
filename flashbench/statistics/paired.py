"""Differences of two models case by case: interval, test, and what the number of cases can resolve.

How often 95 % intervals of a mean cover it, in % of 4000 simulated sets of 8 / 20 / 48 values drawn as in
`benchmarks/coverage.py`: three kinds of differences between two models, and two of one model's own values. Width: the
median over that of Student's t at 48 skewed differences, and the widest of all sets.

                               differences                     values of one model     width
                               normal    skewed    lost        skewed     lost         median, most
    percentile bootstrap       89 93 94  82 88 91  70 88 93    75 84 88   81 90 94     0.96, 1.0
    the same, expanded         94 95 95  89 91 92  74 90 94    82 86 89   84 93 95     1.00, 1.1
    BCa                        89 93 94  78 83 87  67 84 91    78 87 90   83 94 96     1.00, 1.6
    bootstrap-t                95 95 95  88 88 89  80 87 91    88 91 93   84 98 98     1.04, 69
    symmetric bootstrap-t      96 95 95  96 96 96  91 98 96    86 89 91   84 98 98     1.07, 120
    Student's t                95 95 95  94 94 95  89 94 95    80 85 88   84 91 94     1.00, 1.0
    Hall's, Student quantiles  95 95 95  88 88 89  80 87 92    90 92 93   84 98 98     1.07, 2.5
    `mean_interval`            96 96 95  95 94 95  90 94 95    90 93 94   84 98 99     1.15, 2.6

Expanded: at levels for which normal values get Student's interval (Hesterberg 2015, Am. Stat. 69, 371-386). Methods
that follow the skewness of the values find it by accident in differences, whose tails are heavy on both sides; those
that do not, miss where it is real. Eight values with objects lost show too often no loss at all, which no method can
make up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import nan as NAN

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

Floats = npt.NDArray[np.float64]
LEAST = 8  # cases below which there is no interval
Z_95, Z_POWER_80 = 1.959964, 0.841621
BLOCK, KEPT = 2**20, 100  # signs at once, 8 MB; values up to which all are kept


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

    Args:
        a, b: the values.
        seed: of the sign-flip test; the interval (`mean_interval`) draws nothing.

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
    lo, hi = mean_interval(d)
    resolvable = (Z_95 + Z_POWER_80) * error
    needed = math.ceil(len(d) * (resolvable / value) ** 2) if value else NAN
    return Difference(len(d), value, lo, hi, sign_flip_p(d, seed), resolvable, needed)


def mean_interval(values: Floats) -> tuple[float, float]:
    """95 % interval of the mean of `[N]` finite values, N >= 2: Student's t, its longer tail corrected for skewness.

    Hall (1992, J. R. Stat. Soc. B 54, 221-228) transforms the studentised mean t by a monotone cubic that takes its
    skewness away; with the unbiased third moment and Student's quantiles it is Willink's interval (2005, Commun. Stat.
    Theory Methods 34, 753-766):

        T(t) = t + g t^2 / 3 + g^2 t^3 / 27 + g / 6,    g = skewness / sqrt(N),    mean - T^-1(+-q) s / sqrt(N)

    Where the skewness of N values is an accident (differences with heavy tails on both sides), this would cut off the
    tail that they happen to lack. So each end is the outer one of Hall's and of Student's.
    """
    n, mean = len(values), float(values.mean())
    deviations = values - mean
    scale = float(np.abs(deviations).max())
    if np.ptp(values) == 0 or scale == 0:
        return mean, mean
    z = deviations / scale
    s = math.sqrt(float(z @ z) / (n - 1))
    g = math.sqrt(n) * float(np.sum((z / s) ** 3)) / ((n - 1) * (n - 2)) if n > 2 else 0.0
    q = float(stdtrit(n - 1, 0.975))
    error = scale * s / math.sqrt(n)
    return mean - max(q, _untransformed(q, g)) * error, mean - min(-q, _untransformed(-q, g)) * error


def _untransformed(x: float, g: float) -> float:
    """T^-1(x) = 3 (c - 1) / g with c^3 = 1 + g (x - g / 6), in a form that holds at g = 0 too."""
    c = math.cbrt(1 + g * (x - g / 6))
    return 3 * (x - g / 6) / (1 + c + c * c)


def sign_flip_p(d: Floats, seed: int = 0, draws: int = 10_000) -> float:
    """Two-sided p of the mean of `[N]` differences if each sign were a coin's (exact up to N = 13, else drawn).

    Drawn: (1 + hits) / (1 + draws), which is never 0 (Phipson & Smyth 2010).
    """
    n, observed = len(d), abs(float(d.sum()))
    if n <= 13:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        sums = np.abs(signs @ d)
        return float(np.mean(sums >= observed * (1 - 1e-12)))
    hits = sum(int(np.sum(np.abs(signs @ d) >= observed * (1 - 1e-12))) for signs in _signs(n, seed, draws))
    return (1 + hits) / (1 + draws)


def _signs(n: int, seed: int, draws: int) -> Iterable[Floats]:
    """Random signs, `draws` rows of n in blocks; those of few values are kept: every pair of models asks for them."""
    return _kept_signs(n, seed, draws) if n <= KEPT else _drawn_signs(n, seed, draws)


@lru_cache(maxsize=8)
def _kept_signs(n: int, seed: int, draws: int) -> tuple[Floats, ...]:
    return tuple(_drawn_signs(n, seed, draws))


def _drawn_signs(n: int, seed: int, draws: int) -> Iterator[Floats]:
    rng = np.random.default_rng((seed, n))
    rows = 4 * max(1, BLOCK // (4 * n))  # the generator makes four at once: these are the ones of a single call
    for start in range(0, draws, rows):
        coins = rng.integers(0, 2, (min(rows, draws - start), n), dtype=np.int8)
        yield coins.astype(np.float64) * 2 - 1
