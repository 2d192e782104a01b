"""What every kernel asks of its arrays. Wrong shapes are refused here, never broadcast or cut to the shorter one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def features(x: npt.ArrayLike, name: str, least: int = 1) -> Floats:
    """`x` as float64 `[N, D]` with N >= `least`, D >= 1 and finite values.

    Raises:
        ValueError: naming the array and what is wrong with it.
    """
    out = np.asarray(x, np.float64)
    if out.ndim != 2 or out.shape[1] == 0:
        raise ValueError(f"{name}: features have shape {out.shape}, expected [N, D]")
    if len(out) < least:
        raise ValueError(f"{name}: {len(out)} rows of features, at least {least} are needed")
    if not np.isfinite(out).all():
        raise ValueError(f"{name}: features hold NaN or infinity")
    return out


def feature_pair(x: npt.ArrayLike, y: npt.ArrayLike, least: int = 1) -> tuple[Floats, Floats]:
    """Two sets of features `[N, D]`, `[M, D]` of one width, checked by `features`."""
    first, second = features(x, "x", least), features(y, "y", least)
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"x has {first.shape[1]} features a row, y has {second.shape[1]}")
    return first, second


def tracks(points: npt.ArrayLike, visible: npt.ArrayLike, name: str) -> tuple[Floats, Bools]:
    """Tracks as float64 `[N, T, 2]` (NaN allowed) and their visibility as bool `[N, T]`, N and T at least 1.

    Raises:
        ValueError: for other shapes, and for a visibility that is not bool (an inverted `occluded`, a raw confidence).
    """
    where, seen = np.asarray(points, np.float64), np.asarray(visible)
    if where.ndim != 3 or where.shape[2] != 2 or where.size == 0:
        raise ValueError(f"{name}: tracks have shape {where.shape}, expected [N, T, 2] with N, T >= 1")
    if seen.dtype != np.bool_ or seen.shape != where.shape[:2]:
        raise ValueError(f"{name}: visibility is {seen.dtype} {seen.shape}, expected bool {where.shape[:2]}")
    return where, seen


def track_pair(
    points: npt.ArrayLike, visible: npt.ArrayLike, target: npt.ArrayLike, target_visible: npt.ArrayLike
) -> tuple[Floats, Bools, Floats, Bools]:
    """Measured and target tracks of one shape.

    Args:
        points, target: `[N, T, 2]`, (x, y), both in one unit; N and T at least 1. NaN is allowed where a target is
            invisible, and anywhere in what was measured.
        visible, target_visible: bool `[N, T]`.

    Returns:
        points, visible, target and target_visible as float64 and bool arrays.

    Raises:
        ValueError: other shapes, a visibility that is not bool, a target that is not finite where it is visible.
    """
    where, seen = tracks(points, visible, "tracks")
    goal, goal_seen = tracks(target, target_visible, "target tracks")
    if where.shape != goal.shape:
        raise ValueError(f"tracks have shape {where.shape}, target tracks {goal.shape}")
    if not np.isfinite(goal[goal_seen]).all():
        raise ValueError("target tracks: NaN or infinity where the target is visible")
    return where, seen, goal, goal_seen


def video_pair(video: npt.ArrayLike, target: npt.ArrayLike) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Two uint8 videos `[T, H, W, 3]` of one shape."""
    first, second = video_array(video, "video"), video_array(target, "target video")
    if first.shape != second.shape:
        raise ValueError(f"video has shape {first.shape}, target video {second.shape}")
    return first, second


def video_array(video: npt.ArrayLike, name: str) -> npt.NDArray[np.uint8]:
    """A uint8 video `[T, H, W, 3]`, T >= 1."""
    frames = np.asarray(video)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or frames.size == 0:
        raise ValueError(f"{name}: {frames.dtype} {frames.shape}, expected uint8 [T, H, W, 3]")
    return frames


def cosine(a: Floats, b: Floats) -> Floats:
    """Cosine of the angle between vectors along the last axis.

    Args:
        a, b: `[..., D]`, finite; leading axes broadcast.

    Returns:
        float64 `[...]` in -1..1 (but for rounding); 0 where a vector is zero.
    """
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    dots = np.sum(a * b, axis=-1)
    out: Floats = np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)
    return out
