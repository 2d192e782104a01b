"""Frechet distance between two Gaussians fitted to sets of features (FID, FVD), without a matrix square root.

    FD = ||mu_x - mu_y||^2 + tr(S_x) + tr(S_y) - 2 tr((S_x S_y)^{1/2})        (Dowson & Landau 1982; Heusel et al. 2017)

With A = (X - mu_x) / sqrt(n - 1) and B = (Y - mu_y) / sqrt(m - 1), so that S_x = A'A and S_y = B'B, the eigenvalues of
S_x S_y = A'AB'B are the squared singular values of A B', and therefore, exactly,

    tr((S_x S_y)^{1/2}) = ||A B'||_*        (nuclear norm: the sum of the singular values of an n x m matrix)

No covariance is formed, nothing is squared, and nothing can become complex or negative.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg

from flashbench.metrics._arrays import Floats, feature_pair, features


def frechet_distance(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Squared Frechet (2-Wasserstein) distance between Gaussians fitted to `x` and `y`.

    Both covariances are divided by n - 1. At small n the value is mostly bias (it falls like 1/n): compare only
    values of equal n, m and D, and print `half_split_floor` beside them.

    Args:
        x: features `[N, D]`, N >= 2, any real type; computed in float64.
        y: features `[M, D]`, M >= 2.

    Returns:
        A number >= 0 in squared units of the features; 0 where means and covariances are equal.

    Raises:
        ValueError: fewer than two rows, different widths, not `[N, D]`, NaN or infinity.
    """
    x, y = feature_pair(x, y, least=2)
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    a, b = x - mean_x, y - mean_y  # [N, D], [M, D]
    scale = float(np.sqrt((len(x) - 1.0) * (len(y) - 1.0)))
    traces = np.vdot(a, a) / (len(x) - 1) + np.vdot(b, b) / (len(y) - 1)
    overlap = nuclear_norm(_short(a) @ _short(b).T) / scale
    distance = np.sum((mean_x - mean_y) ** 2) + traces - 2 * overlap
    return float(max(distance, 0.0))  # below zero only by rounding, about 1e-15 of the traces


def covariance_trace(x: npt.ArrayLike) -> float:
    """Trace of the covariance (divided by n - 1) of features `[N, D]`, N >= 2: the scale of a Frechet distance."""
    x = features(x, "x", least=2)
    centred = x - x.mean(axis=0)
    return float(np.vdot(centred, centred) / (len(x) - 1))


def nuclear_norm(matrix: Floats) -> float:
    """Sum of the singular values of a matrix `[n, m]`, by LAPACK's gesdd without vectors. The matrix is overwritten."""
    return float(linalg.svdvals(matrix.T, overwrite_a=True, check_finite=False).sum())


def half_split_floor(x: npt.ArrayLike, groups: Sequence[Hashable] | npt.NDArray[Any] | None = None) -> float:
    """Frechet distance of one half of a set against the other: what a perfect model would score at n/2 rows.

    Split rule: groups are numbered in the order in which they first appear; even numbers make one half, odd numbers
    the other. Rows of one group (the clips of one video) are never parted, or the halves would look more alike than
    two independent sets do.

    Args:
        x: features `[N, D]` of the reference, N >= 4.
        groups: N labels (the video of each row), or None: each row is a group of its own.

    Raises:
        ValueError: as `frechet_distance`; labels that do not fit the rows; a half with fewer than two rows.
    """
    x = features(x, "x", least=4)
    labels = range(len(x)) if groups is None else groups
    if len(labels) != len(x):
        raise ValueError(f"{len(labels)} group labels for {len(x)} rows of features")
    number = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    odd = np.array([number[label] % 2 == 1 for label in labels])
    return frechet_distance(x[~odd], x[odd])


def _short(centred: Floats) -> Floats:
    """A matrix R `[min(n, D), D]` with R'R = A'A: the triangle of a QR where n > D, else A itself."""
    n, d = centred.shape
    if n <= d:
        return centred
    (triangle,) = linalg.qr(centred, mode="r", overwrite_a=True, check_finite=False)
    return np.asarray(triangle[:d], np.float64)
