"""Frechet distance between two Gaussians fitted to sets of features (FID, FVD), without a matrix square root.

    FD = ||mu_x - mu_y||^2 + tr(S_x) + tr(S_y) - 2 tr((S_x S_y)^{1/2})        (Dowson & Landau 1982; Heusel et al. 2017)

With A = (X - mu_x) / sqrt(n - 1) and B = (Y - mu_y) / sqrt(m - 1), so that S_x = A'A and S_y = B'B, the eigenvalues of
S_x S_y = A'AB'B are the squared singular values of A B', and therefore, exactly,

    tr((S_x S_y)^{1/2}) = ||A B'||_*        (nuclear norm: the sum of the singular values of an n x m matrix)

Nothing can become complex or negative, and nothing is squared but where it does no harm (`_short`). All of it is
NumPy's: SciPy brings a BLAS of its own, whose threads and NumPy's wait for work in turns and take each other's cores.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flashbench.metrics._arrays import Floats, feature_pair, features

HELD = 1024  # rows that are in memory at once
SAFE = 1e-3  # least over largest singular value from which on they may be squared


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
    return between(gaussian([x]), gaussian([y]))


class Gaussian(NamedTuple):
    """What a Frechet distance takes of a set of features.

    Attributes:
        n: rows; mean: `[D]`.
        squares: sum of the rows' squared distances from the mean, (n - 1) tr S.
        root: `[r, D]`, r at most n or D, with root' root = (n - 1) S.
    """

    n: int
    mean: Floats
    squares: float
    root: Floats


def gaussian(parts: Sequence[npt.ArrayLike]) -> Gaussian:
    """The Gaussian of all rows of features `[F, D]` that come in parts, in memory that does not grow with their number.

    A part may be anything that NumPy makes an array of, such as one that is read from a file when it is asked for.
    Beyond `HELD` rows, parts are read twice, for the mean and for the root, which is that of the root so far and the
    next rows (Demmel et al. 2012, SIAM J. Sci. Comput. 34, A206).

    Raises:
        ValueError: no parts, unlike widths, not `[F, D]`, NaN or infinity.
    """
    blocks = _blocks(parts)
    first = next(blocks, None)
    if first is None:
        raise ValueError("no rows of features, at least 2 are needed")
    if next(blocks, None) is None:
        mean = np.asarray(first.mean(axis=0))
        centred = first - mean
        return Gaussian(len(first), mean, float(np.vdot(centred, centred)), _short(centred)[0])
    n, total = 0, np.zeros(first.shape[1])
    for rows in _blocks(parts):
        n, total = n + len(rows), total + rows.sum(axis=0)
    mean, squares, root, safe = total / n, 0.0, first[:0], True
    for rows in _blocks(parts):
        both = np.empty((len(root) + len(rows), len(mean)))
        both[: len(root)] = root
        centred = np.subtract(rows, mean, out=both[len(root) :])
        squares += float(np.vdot(centred, centred))
        root, safe = _short(both, safe)
    return Gaussian(n, mean, squares, root)


def between(x: Gaussian, y: Gaussian) -> float:
    """The Frechet distance of two Gaussians of at least two rows each, see `frechet_distance`."""
    scale = float(np.sqrt((x.n - 1.0) * (y.n - 1.0)))
    traces = x.squares / (x.n - 1) + y.squares / (y.n - 1)
    overlap = nuclear_norm(x.root @ y.root.T) / scale
    distance = np.sum((x.mean - y.mean) ** 2) + traces - 2 * overlap
    return float(max(distance, 0.0))  # below zero only by rounding, about 1e-15 of the traces


def _blocks(parts: Sequence[npt.ArrayLike]) -> Iterator[Floats]:
    """All rows in blocks of HELD, or of a part's if that has more; the last block is what is left."""
    waiting: list[Floats] = []
    for part in parts:
        rows = features(part, "features")
        if waiting and sum(map(len, waiting)) + len(rows) > HELD:
            yield _joined(waiting)
        waiting.append(rows)
    if waiting:
        yield _joined(waiting)


def _joined(rows: list[Floats]) -> Floats:
    """All rows in one array; the list is emptied, so that they are not held twice."""
    out = rows[0] if len(rows) == 1 else np.concatenate(rows)
    rows.clear()
    return out


def covariance_trace(x: npt.ArrayLike) -> float:
    """Trace of the covariance (divided by n - 1) of features `[N, D]`, N >= 2: the scale of a Frechet distance."""
    x = features(x, "x", least=2)
    centred = x - x.mean(axis=0)
    return float(np.vdot(centred, centred) / (len(x) - 1))


def nuclear_norm(matrix: Floats) -> float:
    """Sum of the singular values of a matrix `[n, m]`, by LAPACK's gesdd without vectors."""
    return float(np.linalg.svd(matrix, compute_uv=False).sum())


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


def _short(centred: Floats, square: bool = True) -> tuple[Floats, bool]:
    """A matrix R `[min(n, D), D]` with R'R = A'A, A itself where n <= D; and whether the next may be squared too.

    Else the Cholesky factor of A'A, which costs a quarter of a QR, where that is safe: rounding in A'A moves a singular
    value s by about 1e-16 s_max^2 / s, so none may be below 1e-3 of the largest (the factor's diagonal estimates them),
    and the triangle of a QR where it is not, or where `square` is False.
    """
    n, d = centred.shape
    if n <= d:
        return centred, square
    if square:
        try:
            factor = np.linalg.cholesky(centred.T @ centred)
        except np.linalg.LinAlgError:
            factor = np.zeros((1, 1))
        diagonal = factor.diagonal()
        if diagonal.min() > SAFE * diagonal.max():
            return np.asarray(factor.T), True
    return np.asarray(np.linalg.qr(centred, mode="r"), np.float64), False
