"""Whether an object moves along its asked path at the asked time: arrival times and speed ratio.

The asked path has arc length L. Its *progress* s*(t) is the length walked until frame t; the progress s(t) of a
measured centre is the arc length of the point of the asked path that it is matched to. The matching minimises the sum
of distances over all frames at once, among matchings that start at 0, never go back, and advance no more than
`MAX_PACE` times the fastest asked frame. A sum of distances follows the median, so that jitter neither pushes progress
forward (as a running maximum would) nor back; the limit on the advance is what keeps the branches of closed and
self-crossing paths apart: the centre of a still video does not jump from the start of a circle to its end.

Frames count where both the target and the measured object are seen; between them progress is interpolated in proportion
to the asked progress. After the target's last visible frame nothing is asked. A measured object that is lost for good
stays where it was last seen: it never arrives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from flashbench.metrics._arrays import Bools, Floats, track_pair

FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
GOAL = 0.9  # of the path: the last tenth is left to easing and to the tracker's error
MAX_PACE = 4.0
NODE = 0.25  # px of arc length between matchable points of the path, and the resolution of progress
MIN_LENGTH = 8.0  # px: on a shorter path pace is below the tracker's error
TOUCH = 1e-6  # px: rounding must not decide whether a place is reached
STILL = 2.0  # px: less progress than this is jitter


class Progress(NamedTuple):
    """Arc length along the asked path, `[T']` px, of the asked and of the measured object on frames 0 .. T'-1."""

    asked: Floats
    measured: Floats


def progress(track: Floats, seen: Bools, target: Floats, target_seen: Bools) -> Progress | None:
    """Asked and measured progress of one object until the target's last visible frame, by monotone matching.

    Args:
        track: measured centre `[T, 2]` px at the 256 scale.
        seen: bool `[T]`.
        target: asked centre `[T, 2]`, finite where visible.
        target_seen: bool `[T]`.

    Returns:
        None where the asked path is shorter than `MIN_LENGTH`: pace is not defined there.
    """
    if not target_seen.any():
        return None
    frames = np.arange(np.flatnonzero(target_seen)[-1] + 1)
    known = np.flatnonzero(np.isfinite(target[frames]).all(axis=1))
    path = np.stack([np.interp(frames, known, target[known, axis]) for axis in (0, 1)], axis=-1)
    asked = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    if asked[-1] < MIN_LENGTH:
        return None
    counted = (seen & target_seen & np.isfinite(track).all(axis=1))[frames]
    counted[0] = False
    times = np.flatnonzero(counted)
    nodes, arcs = _nodes(path, asked)
    reach = int(np.ceil(MAX_PACE * np.diff(asked).max() / NODE))
    gaps = np.diff(times, prepend=0)
    across, down = track[times, :1] - nodes[:, 0], track[times, 1:] - nodes[:, 1]  # [frames that count, nodes]
    distances = np.sqrt(across**2 + down**2)
    matched = arcs[_match(distances, gaps * reach)]
    clock = asked + 1e-6 * frames  # the asked progress, made strict for the frames on which the path stands still
    return Progress(asked, np.interp(clock, clock[np.append(0, times)], np.append(0.0, matched)))


Walks = Sequence[Progress | None]


def walks(tracks: npt.ArrayLike, visible: npt.ArrayLike, target: npt.ArrayLike, target_visible: npt.ArrayLike) -> Walks:
    """`progress` of each object. Arguments are those of `arrival_time`.

    `arrival_error` and `speed_ratio` take them as `walked`, where both are asked about the same tracks.
    """
    rows = zip(*track_pair(tracks, visible, target, target_visible), strict=True)
    return [progress(*row) for row in rows]


def arrival_time(
    tracks: npt.ArrayLike,
    visible: npt.ArrayLike,
    target: npt.ArrayLike,
    target_visible: npt.ArrayLike,
    fps: float,
    fractions: Sequence[float] = FRACTIONS,
) -> Floats:
    """When each object has walked given fractions of its asked path: the first time with s(t) >= f L.

    Args:
        tracks: measured object centres `[N, T, 2]`, px at the 256 scale.
        visible: bool `[N, T]`.
        target: asked centres `[N, T, 2]`, finite where visible. Given as `tracks` too, it tells the asked times.
        target_visible: bool `[N, T]`.
        fps: frames a second.
        fractions: F numbers in 0 .. 1.

    Returns:
        `[N, F]` seconds since frame 0, interpolated between frames; infinity where the object never arrives; NaN where
        the asked path is shorter than `MIN_LENGTH`.
    """
    levels, found = _levels(fps, fractions), walks(tracks, visible, target, target_visible)
    times = np.full((len(found), len(levels)), np.nan)
    for i, walk in enumerate(found):
        if walk is not None:
            times[i] = _first_times(walk.measured, levels * walk.asked[-1]) / fps
    return times


def arrival_error(
    tracks: npt.ArrayLike,
    visible: npt.ArrayLike,
    target: npt.ArrayLike,
    target_visible: npt.ArrayLike,
    fps: float,
    fractions: Sequence[float] = FRACTIONS,
    walked: Walks | None = None,
) -> Floats:
    """Mean over fractions of |time of arrival - asked time of arrival|, one value an object.

    A fraction that is never reached counts as the whole duration (T-1)/fps, the worst there is: never is worse than
    late. Arguments are those of `arrival_time`.

    Returns:
        `[N]` seconds in 0 .. (T-1)/fps, lower is better; NaN where the asked path is shorter than `MIN_LENGTH`.
    """
    levels, duration = _levels(fps, fractions), np.shape(tracks)[1] - 1
    found = walks(tracks, visible, target, target_visible) if walked is None else walked
    errors = np.full(len(found), np.nan)
    for i, walk in enumerate(found):
        if walk is not None:
            arcs = levels * walk.asked[-1]
            late = np.abs(_first_times(walk.measured, arcs) - _first_times(walk.asked, arcs))
            errors[i] = np.minimum(late, duration).mean() / fps
    return errors


def speed_ratio(
    tracks: npt.ArrayLike,
    visible: npt.ArrayLike,
    target: npt.ArrayLike,
    target_visible: npt.ArrayLike,
    walked: Walks | None = None,
) -> Floats:
    """Measured over asked speed along the stretch of the asked path that the object walked, one value an object.

    With e the time at which `GOAL` L is reached (the last frame, where it is not) and s = s(e), the measured mean
    speed over that stretch is s / e and the asked one s / t*(s), t*(s) the time at which s was asked; their ratio is

        t*(s) / e

    Where the asked path stands still at s, t*(s) is the end of that stop for an object that gets no further. Arguments
    are those of `arrival_time`. Standing still unasked counts: who stops halfway has half the speed.

    Returns:
        `[N]`, >= 0: 1 at the asked pace, 0.5 at half of it, 0 for a still object (progress below `STILL`); NaN where
        the asked path is shorter than `MIN_LENGTH`.
    """
    found = walks(tracks, visible, target, target_visible) if walked is None else walked
    return np.array([np.nan if walk is None else _ratio(walk) for walk in found])


def _ratio(walked: Progress) -> float:
    end, goal = walked.measured[-1], GOAL * walked.asked[-1]
    if end < STILL:
        return 0.0
    if end < goal - TOUCH:
        left = np.searchsorted(walked.asked, end + TOUCH, side="right")  # the first frame asked to be further
        part = (end - walked.asked[left - 1]) / (walked.asked[left] - walked.asked[left - 1])
        return float((left - 1 + part) / (len(walked.asked) - 1))
    arcs = np.array([goal])
    return float(_first_times(walked.asked, arcs)[0] / _first_times(walked.measured, arcs)[0])


def _nodes(path: Floats, asked: Floats) -> tuple[Floats, Floats]:
    """Points `[M, 2]` of a path `[T, 2]` and their arc lengths `[M]`, `NODE` px apart at most.

    Every frame's point is one of them; frames on which the path stands still share one.
    """
    pieces = np.ceil(np.diff(asked) / NODE).astype(int)  # 0 where it stands still
    segment = np.repeat(np.arange(len(pieces)), pieces)
    step = np.arange(len(segment)) - np.repeat(np.cumsum(pieces) - pieces, pieces) + 1
    times = np.append(0.0, segment + step / pieces[segment])
    frames = np.arange(len(path))
    points = np.stack([np.interp(times, frames, path[:, axis]) for axis in (0, 1)], axis=-1)
    return points, np.interp(times, frames, asked)


def _match(distances: Floats, reach: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The node of each row `[S]` that minimises the sum of `distances` `[S, M]`, by dynamic programming.

    Starts at node 0, never goes back, and advances at most `reach[i]` nodes to row i. Of equal matchings, the least
    progress is taken.
    """
    rows, m = distances.shape
    if rows == 0:
        return np.zeros(0, np.intp)
    costs = np.empty((rows + 1, m))
    costs[0] = np.where(np.arange(m) == 0, 0.0, np.inf)
    for i in range(rows):
        width = min(int(reach[i]), m - 1) + 1  # least cost over the `width` nodes that end at each node
        least = ndimage.minimum_filter1d(costs[i], width, origin=(width - 1) // 2, mode="constant", cval=np.inf)
        costs[i + 1] = least + distances[i]
    nodes = np.empty(rows, np.intp)
    nodes[-1] = costs[-1].argmin()
    for i in range(rows - 1, 0, -1):
        first = max(0, nodes[i] - int(reach[i]))
        nodes[i - 1] = first + costs[i, first : nodes[i] + 1].argmin()
    return nodes


def _first_times(walked: Floats, arcs: Floats) -> Floats:
    """First times `[F]`, in frames, at which monotone progress `[T]` is within `TOUCH` of arc lengths `[F]`, or inf."""
    after = np.searchsorted(walked, arcs - TOUCH, side="left")  # the first frame at or beyond
    after_in = np.clip(after, 1, len(walked) - 1)
    low, high = walked[after_in - 1], walked[after_in]
    part = np.divide(np.minimum(arcs, high) - low, high - low, out=np.zeros_like(arcs), where=high > low)
    times = np.where(after == 0, 0.0, after_in - 1 + part)
    return np.where(after == len(walked), np.inf, times)


def _levels(fps: float, fractions: Sequence[float]) -> Floats:
    if not fps > 0:
        raise ValueError(f"fps is {fps}, expected a positive frame rate")
    levels = np.asarray(fractions, np.float64)
    if levels.ndim != 1 or levels.size == 0 or not ((levels >= 0) & (levels <= 1)).all():
        raise ValueError(f"fractions are {fractions}, expected numbers in 0 .. 1")
    return levels
