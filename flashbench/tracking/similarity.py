"""Poses of objects (a similarity with a little stretch) and their robust fit to tracked points."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]


class Pose(NamedTuple):
    """C poses: a point `p` of an object's frame-0 coordinates lies at `matrix @ p + position`.

    `matrix` float64 `[C, 2, 2]`, `position` float64 `[C, 2]` px. Frame-0 coordinates are px from the object's middle.
    """

    matrix: F64
    position: F64

    def take(self, index: npt.NDArray[np.int64]) -> Pose:
        """The poses at `index`."""
        return Pose(self.matrix[index], self.position[index])

    def carry(self, points: F64) -> F64:
        """Carries points `[C, K, 2]` of frame-0 coordinates into the frame, `[C, K, 2]` px."""
        return np.asarray(np.einsum("cij,ckj->cki", self.matrix, points) + self.position[:, None])

    def bring_back(self, points: F64) -> F64:
        """The inverse of `carry`."""
        return np.asarray(np.einsum("cij,ckj->cki", np.linalg.inv(self.matrix), points - self.position[:, None]))


def join(poses: list[Pose]) -> Pose:
    """Several sets of poses, one after the other."""
    return Pose(np.concatenate([p.matrix for p in poses]), np.concatenate([p.position for p in poses]))


def modes(matrix: F64) -> F64:
    """Size, turn and two stretches `[C, 4]` of `[C, 2, 2]`: [[1 + s + e1, e2 - r], [e2 + r, 1 + s - e1]]."""
    a, b, c, d = matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 1, 1]
    return np.stack([(a + d) / 2 - 1, (c - b) / 2, (a - d) / 2, (b + c) / 2], axis=1)


def from_modes(m: F64) -> F64:
    """The inverse of `modes`."""
    s, r, e1, e2 = m.T
    return np.stack([np.stack([1 + s + e1, e2 - r], -1), np.stack([e2 + r, 1 + s - e1], -1)], axis=1)


def similar_part(matrix: F64) -> F64:
    """The similarity nearest to each `[C, 2, 2]` matrix."""
    m = modes(matrix)
    m[:, 2:] = 0
    return from_modes(m)


def fit_similarity(source: F64, target: F64, weight: F64, tolerance: float, rounds: int = 6) -> tuple[Pose, F64]:
    """Robust similarity from points to points: the median shift first, then reweighted least squares.

    Args:
        source: `[N, P, 2]`, target: `[N, P, 2]` px.
        weight: `[N, P]`, zero where a point is not known.
        tolerance: px; a point this far off keeps a quarter of its weight.

    Returns:
        The poses (`target = matrix @ source + position`) and the share of known points within the tolerance, `[N]`.
        With fewer than three points, or when they lie together, size and turn stay as they are.
    """
    matrix = np.tile(np.eye(2), (len(source), 1, 1))
    known = weight > 0
    shift = np.where(known[..., None], target - source, np.nan)
    none = ~known.any(axis=1)
    shift[none] = 0
    position = np.nanmedian(shift, axis=1)
    for _ in range(rounds):
        off = target - np.einsum("nij,npj->npi", matrix, source) - position[:, None]
        w = weight / (1 + (off**2).sum(-1) / tolerance**2) ** 2
        total = np.maximum(w.sum(1), 1e-9)[:, None]
        a = (w[..., None] * source).sum(1) / total
        b = (w[..., None] * target).sum(1) / total
        s, t = source - a[:, None], target - b[:, None]
        norm = (w * (s**2).sum(-1)).sum(1)
        dot = (w * (s * t).sum(-1)).sum(1)
        cross = (w * (s[..., 0] * t[..., 1] - s[..., 1] * t[..., 0])).sum(1)
        # A few pixels of spread, squared, pull size and turn towards no change.
        ease = 4.0 * total[:, 0] + 1e-9
        m = np.stack([(dot + ease) / (norm + ease) - 1, cross / (norm + ease), 0 * dot, 0 * dot], axis=1)
        m[known.sum(1) < 3] = 0
        matrix = from_modes(m)
        position = np.where(none[:, None], 0.0, b - np.einsum("nij,nj->ni", matrix, a))
    off = np.linalg.norm(target - np.einsum("nij,npj->npi", matrix, source) - position[:, None], axis=-1)
    share = ((off < tolerance) & known).sum(1) / np.maximum(known.sum(1), 1)
    return Pose(matrix, position), share
