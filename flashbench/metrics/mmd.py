"""Squared maximum mean discrepancy with a polynomial kernel: a distance of two sets that is unbiased at any size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flashbench.metrics._arrays import Floats, feature_pair

ROWS = 1024  # of a Gram matrix that are in memory at once


def mmd2(x: npt.ArrayLike, y: npt.ArrayLike, degree: int = 3, gamma: float | None = None, coef0: float = 1.0) -> float:
    """Unbiased estimate (U-statistic) of MMD^2 with k(a, b) = (gamma a'b + coef0)^degree.

        MMD^2 = sum_{i != j} k(x_i, x_j) / n(n-1) + sum_{i != j} k(y_i, y_j) / m(m-1) - 2 sum_{i, j} k(x_i, y_j) / nm

    (Gretton et al. 2012, eq. 3.) The defaults are KID's kernel (Binkowski et al. 2018), over the whole sets instead
    of random blocks; degree 2, coef0 0 is JEDi's (Luo et al. 2025) without its bias.

    Args:
        x: features `[N, D]`, N >= 2, any real type; computed in float64.
        y: features `[M, D]`, M >= 2.
        degree: of the polynomial, at least 1.
        gamma: factor of the scalar product; None is 1/D.
        coef0: constant of the kernel.

    Returns:
        A number around 0 where the distributions are equal: being unbiased, it is often negative there.

    Raises:
        ValueError: fewer than two rows, different widths, not `[N, D]`, NaN or infinity, degree below 1.
    """
    if degree < 1:
        raise ValueError(f"degree is {degree}, expected at least 1")
    x, y = feature_pair(x, y, least=2)
    scale, n, m = 1.0 / x.shape[1] if gamma is None else gamma, len(x), len(y)
    # The diagonals' k(x_i, x_i) make the V-statistic biased.
    (xx, xx_trace), (yy, yy_trace) = (kernel_sums(z, z, degree, scale, coef0) for z in (x, y))
    xy, _ = kernel_sums(x, y, degree, scale, coef0)
    return (xx - xx_trace) / (n * (n - 1)) + (yy - yy_trace) / (m * (m - 1)) - 2 * xy / (n * m)


def kernel_sums(x: Floats, y: Floats, degree: int, gamma: float, coef0: float) -> tuple[float, float]:
    """Sum over k(x_i, y_j), and over those with i = j, of `[N, D]` and `[M, D]`."""
    whole = trace = 0.0
    for i in range(0, len(x), ROWS):
        gram = (gamma * (x[i : i + ROWS] @ y.T) + coef0) ** degree
        whole += float(gram.sum())
        trace += float(np.trace(gram, offset=i))
    return whole, trace
