"""Poses of objects (a similarity with a little stretch) and their robust fit to tracked points.

With points as complex numbers p = x + i y, every 2 x 2 matrix takes p to `turn p + stretch conj(p)`. The first of these
two complex numbers alone is a similarity: its modulus is the size, its angle the turn. A few operations on them do what
takes many on matrices.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]
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
        """Carries points `[C, K, 2]` of frame-0 coordinates into the frame, `[C, K, 2]` px.

        In memory all x of an object come before its y: both are taken one at a time, and a short last axis is slow.
        """
        apart = self.matrix @ points.transpose(0, 2, 1) + self.position[..., None]  # [C, 2, K]
        return np.asarray(apart.transpose(0, 2, 1))

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


def complex_of(points: F64) -> Complex:
    """Points `[..., 2]` as complex numbers `[...]`."""
    return np.ascontiguousarray(points, np.float64).view(np.complex128)[..., 0]


def points_of(numbers: Complex) -> F64:
    """The inverse of `complex_of`."""
    return np.ascontiguousarray(numbers).view(np.float64).reshape(*numbers.shape, 2)


def parts_of(matrix: F64) -> tuple[Complex, Complex]:
    """(turn, stretch), each `[C]`, of matrices `[C, 2, 2]`."""
    x, y = complex_of(matrix[:, :, 0]), complex_of(matrix[:, :, 1])  # where the axes go
    return (x - 1j * y) / 2, (x + 1j * y) / 2


def matrix_of(turn: Complex, stretch: Complex) -> F64:
    """The inverse of `parts_of`."""
    out = np.empty((len(turn), 2, 2))
    out[:, :, 0], out[:, :, 1] = points_of(turn + stretch), points_of(1j * (turn - stretch))
    return out


def undone(turn: Complex, stretch: Complex, points: Complex) -> Complex:
    """The points whom (turn, stretch) takes to `points`, all `[C]`."""
    size = turn.real**2 + turn.imag**2 - stretch.real**2 - stretch.imag**2
    return np.asarray((turn.conj() * points - stretch * points.conj()) / size)


def inverse(matrix: F64) -> F64:
    """Inverse of each `[C, 2, 2]` matrix."""
    (a, b), (c, d) = matrix.transpose(1, 2, 0)
    return np.asarray((np.array([[d, -b], [-c, a]]) / (a * d - b * c)).transpose(2, 0, 1))


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
    p, q = complex_of(source), complex_of(target)
    off = q - p - complex_of(np.where(count[:, None] > 0, middle, 0.0))[:, None]
    turn, position = np.ones(len(p), np.complex128), np.zeros(len(p), np.complex128)
    for _ in range(rounds):
        weight = known / (1 + squared(off) / tolerance**2) ** 2
        turn, position = _weighted(p, q, weight, count)
        off = q - (turn[:, None] * p + position[:, None])
    near = squared(off) < tolerance**2
    pose = Pose(matrix_of(turn, 0 * turn), points_of(position))
    return pose, (near & known).sum(1) / np.maximum(count, 1)


def squared(numbers: Complex) -> F64:
    """Squared moduli."""
    return np.asarray(numbers.real**2 + numbers.imag**2)


def _weighted(p: Complex, q: Complex, weight: F64, count: Index) -> tuple[Complex, Complex]:
    """Weighted least squares for a similarity: (turn, position), each `[N]`."""
    share = weight / np.maximum(weight.sum(1), 1e-9)[:, None]
    a, b = (share * p).sum(1), (share * q).sum(1)
    s, t = p - a[:, None], q - b[:, None]
    # Size and turn are pulled a little towards none, as by points a pixel from their middle that stay.
    ease = 1.0
    turn = ((share * s.conj() * t).sum(1) + ease) / ((share * squared(s)).sum(1) + ease)
    turn[count < 3] = 1
    return turn, np.where(count > 0, b - turn * a, 0.0)
