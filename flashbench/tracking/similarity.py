"""Poses of objects (a similarity with a little stretch) and their robust fit to tracked points."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Index = npt.NDArray[np.int64]


class Pose(NamedTuple):
    """C poses: a point `p` of an object's frame-0 coordinates lies at `matrix @ p + position`.

    `matrix` float64 `[C, 2, 2]`, `position` float64 `[C, 2]` px. Frame-0 coordinates are px from the object's middle.
    """

    matrix: F64
    position: F64

    def take(self, index: Index) -> Pose:
        """The poses at `index`."""
        return Pose(self.matrix[index], self.position[index])

    def carry(self, points: F64) -> F64:
        """Carries points `[C, K, 2]` of frame-0 coordinates into the frame, `[C, K, 2]` px."""
        return np.asarray(points @ self.matrix.transpose(0, 2, 1) + self.position[:, None])

    def where(self, chosen: Bools, other: Pose) -> Pose:
        """These poses where `chosen` `[C]`, else those of `other`."""
        matrix = np.where(chosen[:, None, None], self.matrix, other.matrix)
        return Pose(matrix, np.where(chosen[:, None], self.position, other.position))

    def after(self, first: Pose) -> Pose:
        """`first`, then this one, which goes from px of a frame to px of the next."""
        return Pose(self.matrix @ first.matrix, (self.matrix @ first.position[..., None])[..., 0] + self.position)


def join(*poses: Pose) -> Pose:
    """Several sets of poses, one after the other."""
    return Pose(np.concatenate([p.matrix for p in poses]), np.concatenate([p.position for p in poses]))


def at_rest(position: F64) -> Pose:
    """Poses at `[C, 2]` px, neither turned nor scaled."""
    return Pose(np.tile(np.eye(2), (len(position), 1, 1)), position.copy())


def total(values: npt.NDArray[Any], dtype: npt.DTypeLike | None = None) -> npt.NDArray[Any]:
    """`sum(-1)`, one term after the other: many times faster where the last axis is as short as colours or (x, y)."""
    out = np.array(values[..., 0], dtype)
    for i in range(1, values.shape[-1]):
        out += values[..., i]
    return out


# Where the entries (a, b, c, d) of a matrix go in its adjugate, and their signs there.
_ADJUGATE, _SIGNS = np.array([3, 1, 2, 0]), np.array([1.0, -1, -1, 1])


def inverse(matrix: F64) -> F64:
    """Inverse of each `[C, 2, 2]` matrix."""
    flat = matrix.reshape(-1, 4)
    other = flat[:, _ADJUGATE] * _SIGNS
    det = flat[:, 0] * flat[:, 3] - flat[:, 1] * flat[:, 2]
    return np.asarray((other / det[:, None]).reshape(-1, 2, 2))


# From the entries (a, b, c, d) of a matrix to its modes, and back.
_MODES = np.array([[0.5, 0, 0, 0.5], [0, -0.5, 0.5, 0], [0.5, 0, 0, -0.5], [0, 0.5, 0.5, 0]])
_BACK = np.array([[1, 0, 1, 0], [0, -1, 0, 1], [0, 1, 0, 1], [1.0, 0, -1, 0]])


def modes(matrix: F64) -> F64:
    """Size, turn and two stretches (s, r, e1, e2) `[C, 4]` of matrices [[1 + s + e1, e2 - r], [e2 + r, 1 + s - e1]]."""
    out = matrix.reshape(-1, 4) @ _MODES.T
    out[:, 0] -= 1
    return np.asarray(out)


def from_modes(m: F64) -> F64:
    """The inverse of `modes`."""
    return np.asarray((m @ _BACK.T + np.array([1.0, 0, 0, 1])).reshape(-1, 2, 2))


def similar_part(matrix: F64) -> F64:
    """The similarity nearest to each `[C, 2, 2]` matrix."""
    m = modes(matrix)
    m[:, 2:] = 0
    return from_modes(m)


def fit_similarity(source: F64, target: F64, known: Bools, tolerance: float, rounds: int = 5) -> tuple[Pose, F64]:
    """Robust similarity from points to points: their median shift first, then reweighted least squares.

    Args:
        source: `[N, P, 2]` px, P > 0.
        target: `[N, P, 2]` px.
        known: bool `[N, P]`.
        tolerance: px; a point this far off keeps a quarter of its weight.

    Returns:
        The poses (`target = matrix @ source + position`) and the share of known points within the tolerance, `[N]`.
        With fewer than three points size and turn stay as they are; with none the pose is the identity.
    """
    count = known.sum(1)
    rows, last = np.arange(len(source)), source.shape[1] - 1
    shift = np.sort(np.where(known[..., None], target - source, np.inf), axis=1)  # the known ones come first
    middle = (shift[rows, np.maximum(count - 1, 0) // 2] + shift[rows, np.minimum(count // 2, last)]) / 2
    off = target - source - np.where(count[:, None] > 0, middle, 0.0)[:, None]
    pose = at_rest(np.zeros((len(source), 2)))
    for _ in range(rounds):
        weight = known / (1 + total(off**2) / tolerance**2) ** 2
        pose = _weighted(source, target, weight, count)
        off = target - pose.carry(source)
    near = total(off**2) < tolerance**2
    return pose, (near & known).sum(1) / np.maximum(count, 1)


def _weighted(source: F64, target: F64, weight: F64, count: Index) -> Pose:
    """Weighted least squares for a similarity."""
    share = (weight / np.maximum(weight.sum(1), 1e-9)[:, None])[..., None]
    a, b = (share * source).sum(1), (share * target).sum(1)
    s, t = source - a[:, None], target - b[:, None]
    norm = (share * s**2).sum((1, 2))
    dot = (share * s * t).sum((1, 2))
    cross = (share[..., 0] * (s[..., 0] * t[..., 1] - s[..., 1] * t[..., 0])).sum(1)
    # Size and turn are pulled a little towards none, as by points a pixel from their middle that stay.
    ease = 1.0
    m = np.stack([(dot + ease) / (norm + ease) - 1, cross / (norm + ease), 0 * dot, 0 * dot], axis=1)
    m[count < 3] = 0
    matrix = from_modes(m)
    position = b - (matrix @ a[..., None])[..., 0]
    return Pose(matrix, np.where(count[:, None] > 0, position, 0.0))
