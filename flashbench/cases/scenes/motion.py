"""Motion families: the paths that objects are asked to follow.

A path is int64 `[T, 2]` in 1/65536 of the frame side, (x, y), quantised after construction; only elementwise float64
arithmetic and sequential sums come before the rounding, so that every CPU rounds to the same integers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
ONE = 1 << 16


class Motion(NamedTuple):
    """Path `[T, 2]` (1/65536 of the frame side) and size factor `[T]` (65536 = the object's own size)."""

    path: I64
    scale: I64


def _quantise(path: F64, scale: F64 | None = None) -> Motion:
    size = np.ones(len(path)) if scale is None else scale
    return Motion(np.rint(path * ONE).astype(np.int64), np.rint(size * ONE).astype(np.int64))


def _ease(t: F64, strength: float) -> F64:
    """Monotone time warp from 0 to 1: uniform at strength 0, slow at both ends at strength 1."""
    return t + strength * (t * t * (3 - 2 * t) - t)


def _inside(rng: np.random.Generator, margin: float) -> F64:
    return margin + (1 - 2 * margin) * rng.random(2)


def _far(rng: np.random.Generator, start: F64, margin: float, least: float) -> F64:
    """A second point at least `least` away from `start` on one axis (the best of twelve draws)."""
    draws = [_inside(rng, margin) for _ in range(12)]
    away = [max(abs(float(d[0] - start[0])), abs(float(d[1] - start[1]))) for d in draws]
    ok = [i for i, a in enumerate(away) if a >= least]
    return draws[ok[0]] if ok else draws[away.index(max(away))]


def line(rng: np.random.Generator, t: F64, start: F64, margin: float) -> Motion:
    """Straight to another place."""
    end = _far(rng, start, margin, 0.35)
    return _quantise(start + _ease(t, rng.random())[:, None] * (end - start))


def spline(rng: np.random.Generator, t: F64, start: F64, margin: float) -> Motion:
    """A Catmull-Rom curve through four places."""
    knots = [start]
    for _ in range(3):
        knots.append(_far(rng, knots[-1], margin, 0.25))
    p = np.stack([2 * knots[0] - knots[1], *knots, 2 * knots[-1] - knots[-2]])
    k = np.minimum((t * 3).astype(np.int64), 2)
    u = (t * 3 - k)[:, None]
    a, b, c, d = p[k], p[k + 1], p[k + 2], p[k + 3]
    curve = b + 0.5 * u * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)))
    return _quantise(np.clip(curve, margin * 0.7, 1 - margin * 0.7))


def circle(rng: np.random.Generator, t: F64, start: F64, margin: float) -> Motion:
    """Round an ellipse, three quarters of it to one and a half times."""
    room = np.minimum(start - margin, 1 - margin - start)
    side = np.where(start < 0.5, 1.0, -1.0)
    horizontal = bool(room[0] < room[1])
    reach = (1 - 2 * margin) * (0.28 + 0.14 * rng.random(2))
    phase = (0.0 if side[0] < 0 else 0.5) if horizontal else (0.25 if side[1] < 0 else 0.75)
    turns = (0.75 + 0.75 * rng.random()) * (1 if rng.random() < 0.5 else -1)
    angle = 2 * np.pi * (phase + turns * t)
    middle = start - reach * np.array([np.cos(2 * np.pi * phase), np.sin(2 * np.pi * phase)])
    round_ = middle + reach * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _quantise(np.clip(round_, margin * 0.7, 1 - margin * 0.7))


def _through(t: F64, knots: F64, times: F64) -> F64:
    return np.stack([np.interp(t, times, knots[:, i]) for i in range(2)], axis=1)


def zigzag(rng: np.random.Generator, t: F64, start: F64, margin: float) -> Motion:
    """Straight pieces with sharp turns."""
    n = int(rng.integers(3, 6))
    knots = [start]
    for _ in range(n):
        knots.append(_far(rng, knots[-1], margin, 0.25))
    return _quantise(_through(t, np.stack(knots), np.arange(n + 1) / n))


def stop_and_go(rng: np.random.Generator, t: F64, start: F64, margin: float) -> Motion:
    """Moves, rests, moves on, rests."""
    knots, times = [start, start], [0.0, 0.08]
    for i in range(2):
        nxt = _far(rng, knots[-1], margin, 0.3)
        knots += [nxt, nxt]
        times += [0.08 + i * 0.46 + 0.25 + 0.05 * rng.random(), 0.08 + (i + 1) * 0.46]
    return _quantise(_through(t, np.stack(knots), np.array(times)))


def exit_and_return(rng: np.random.Generator, t: F64, start: F64, margin: float) -> Motion:
    """Leaves the frame over the nearer side edge and comes back at another height."""
    side = -1.0 if start[0] < 0.5 else 1.0
    out = 0.5 + side * (0.5 + margin * 1.6)
    back_y = _inside(rng, margin)[1]
    knots = np.array(
        [start, [out, 0.5 * (start[1] + back_y)], [out, back_y], [0.5 + side * 0.1 * rng.random(), back_y]]
    )
    leave, come = 0.34 + 0.08 * rng.random(), 0.52 + 0.08 * rng.random()
    return _quantise(_through(t, knots, np.array([0.0, leave, come, 1.0])))


def approach(rng: np.random.Generator, t: F64, start: F64, margin: float) -> Motion:
    """Moves while it comes nearer (grows) or goes away (shrinks)."""
    end = _far(rng, start, margin, 0.3)
    warped = _ease(t, 0.7)
    last = 1.35 + 0.2 * rng.random() if rng.random() < 0.5 else 0.6 + 0.1 * rng.random()
    return _quantise(start + warped[:, None] * (end - start), 1 + (last - 1) * warped)


def crossing(rng: np.random.Generator, t: F64, start: F64, margin: float) -> Motion:
    """Straight through the middle of the frame to the far side, where others may pass at the same time."""
    jitter = 0.08 * (rng.random(2) - 0.5)
    middle = 0.5 + jitter
    end = np.clip(2 * middle - start, margin, 1 - margin)
    return _quantise(_through(t, np.stack([start, middle, end]), np.array([0.0, 0.5, 1.0])))


FAMILIES: dict[str, Callable[[np.random.Generator, F64, F64, float], Motion]] = {
    "line": line,
    "spline": spline,
    "circle": circle,
    "zigzag": zigzag,
    "stop-and-go": stop_and_go,
    "exit-and-return": exit_and_return,
    "approach": approach,
    "crossing": crossing,
}
