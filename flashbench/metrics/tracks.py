"""Point and path accuracy: TAP-Vid's metrics, survival and end-point error.

Tracks are `[N, T, 2]`, (x, y) px with pixel centres at integers; visibility is bool `[N, T]`, True where seen.
Distances are at the 256 x 256-equivalent scale (`to_256`), as TAP-Vid's thresholds suppose.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flashbench.metrics._arrays import Bools, Floats, track_pair

THRESHOLDS = (1, 2, 4, 8, 16)
DIAGONAL_256 = 256 * 2**0.5


@dataclass(frozen=True)
class TapVid(Mapping[str, float]):
    """TAP-Vid scores in 0..1, read as attributes or by name. Each is NaN where it has nothing to count.

    Attributes:
        delta_avg: mean of `delta_1` .. `delta_16`.
        aj: average Jaccard, mean of `jaccard_1` .. `jaccard_16`.
        oa: occlusion accuracy, the share of frames whose visibility is told right.
        delta_1: share of target-visible frames whose point is nearer than 1 px; `delta_2` .. `delta_16` likewise.
        jaccard_1: true positives over (target-visible + false positives) at 1 px; `jaccard_2` .. likewise.
    """

    delta_avg: float
    aj: float
    oa: float
    delta_1: float
    delta_2: float
    delta_4: float
    delta_8: float
    delta_16: float
    jaccard_1: float
    jaccard_2: float
    jaccard_4: float
    jaccard_8: float
    jaccard_16: float

    def __getitem__(self, name: str) -> float:
        if name not in self.__dataclass_fields__:
            raise KeyError(name)
        return float(getattr(self, name))

    def __iter__(self) -> Iterator[str]:
        return (field.name for field in dataclasses.fields(self))

    def __len__(self) -> int:
        return len(dataclasses.fields(self))


class Epe(NamedTuple):
    """End-point errors, one value a track `[N]`, in the unit of the tracks. NaN where no frame counts.

    `early`, `middle` and `late` are means over the first, second and last third of frames 1 .. T-1.
    """

    mean: Floats
    median: Floats
    early: Floats
    middle: Floats
    late: Floats


def tapvid(
    tracks: npt.ArrayLike,
    visible: npt.ArrayLike,
    target_tracks: npt.ArrayLike,
    target_visible: npt.ArrayLike,
    query_frames: npt.ArrayLike,
) -> TapVid:
    """TAP-Vid metrics of one video in the 'first' protocol (Doersch et al. 2022, section 4; tapnet's definition).

    Points of the video are pooled. A NaN prediction is within no threshold.

    Args:
        tracks: predicted points `[N, T, 2]`, px at the 256 scale.
        visible: predicted visibility, bool `[N, T]`.
        target_tracks: true points `[N, T, 2]`, finite where visible.
        target_visible: true visibility, bool `[N, T]`.
        query_frames: int `[N]`, the frame on which each point was given: only frames after it count.

    Raises:
        ValueError: shapes that differ, visibility that is not bool, a query frame outside 0 .. T-1, NaN in the target.
    """
    where, seen, goal, goal_seen = track_pair(tracks, visible, target_tracks, target_visible)
    counted = _after(query_frames, goal_seen)
    squared = np.sum((where - np.where(goal_seen[..., None], goal, 0)) ** 2, axis=-1)
    target_positives = goal_seen & counted
    deltas, jaccards = [], []
    for threshold in THRESHOLDS:
        within = squared < threshold**2  # strict, and False for NaN
        deltas.append(_ratio(within & target_positives, target_positives.sum()))
        # Where the target is visible and the point is far off, it is both a false positive and a missed true positive.
        false_positives = seen & counted & ~(goal_seen & within)
        jaccards.append(_ratio(within & seen & target_positives, target_positives.sum() + false_positives.sum()))
    oa = _ratio((seen == goal_seen) & counted, counted.sum())
    return TapVid(float(np.mean(deltas)), float(np.mean(jaccards)), oa, *deltas, *jaccards)


def survival(
    tracks: npt.ArrayLike,
    target_tracks: npt.ArrayLike,
    target_visible: npt.ArrayLike,
    query_frames: npt.ArrayLike | None = None,
    threshold: float = 50.0,
) -> float:
    """Share of frames until tracks die: a track is dead from the first target-visible frame on which it is more than
    `threshold` px off (PointOdyssey, Zheng et al. 2023, as CoTracker counts it: target-invisible frames kill nothing).

    Args:
        tracks: predicted points `[N, T, 2]`, px at the 256 scale; NaN on a target-visible frame kills.
        target_tracks: true points `[N, T, 2]`.
        target_visible: true visibility, bool `[N, T]`.
        query_frames: int `[N]`; None is frame 0. Only later frames count.
        threshold: px.

    Returns:
        0..1, the mean over all later frames of all points; NaN where there is none.
    """
    where, _, goal, goal_seen = track_pair(tracks, target_visible, target_tracks, target_visible)
    counted = _after(np.zeros(len(where), int) if query_frames is None else query_frames, goal_seen)
    near = np.linalg.norm(where - goal, axis=-1) <= threshold
    alive = np.logical_and.accumulate(near | ~goal_seen | ~counted, axis=1)
    return _ratio(alive & counted, counted.sum())


def frame_errors(
    tracks: npt.ArrayLike, visible: npt.ArrayLike, target: npt.ArrayLike, target_visible: npt.ArrayLike, cap: float
) -> Floats:
    """Distance to the target on each frame `[N, T]`, at most `cap`; NaN on the frames that do not count.

    Frame 0 is given to the model and does not count, nor do frames on which the target is invisible. Where the target
    is visible and the prediction says invisible, or is NaN, the object is missed and the error is `cap`.

    Args:
        tracks: measured points or object centres `[N, T, 2]`.
        visible: measured visibility, bool `[N, T]`.
        target: asked points or centres `[N, T, 2]`, in the same unit.
        target_visible: bool `[N, T]`.
        cap: largest error, in the same unit: the diagonal of the frame (`DIAGONAL_256` at the 256 scale).

    Returns:
        float64 `[N, T]` in 0..cap, NaN where a frame does not count.

    Raises:
        ValueError: shapes that differ, a target that is not finite where it is visible, or a cap that is not positive.
    """
    where, seen, goal, goal_seen = track_pair(tracks, visible, target, target_visible)
    if not cap > 0:
        raise ValueError(f"cap is {cap}, expected the frame's diagonal")
    errors = np.linalg.norm(where - goal, axis=-1)
    errors = np.where(seen & np.isfinite(errors), np.minimum(errors, cap), cap)
    counted = goal_seen.copy()
    counted[:, 0] = False
    return np.where(counted, errors, np.nan)


def epe(
    tracks: npt.ArrayLike, visible: npt.ArrayLike, target: npt.ArrayLike, target_visible: npt.ArrayLike, cap: float
) -> Epe:
    """End-point error of each track over its frames: mean, median and the means of three thirds of the sequence.

    Arguments, units and what counts are those of `frame_errors`. A single lost track cannot set the mean beyond `cap`;
    the median stands beside it. Frames 1 .. T-1 are cut into thirds whose lengths differ by one at most, longer first.
    """
    errors = frame_errors(tracks, visible, target, target_visible, cap)
    thirds = np.array_split(errors[:, 1:], 3, axis=1)
    early, middle, late = (_row_means(third) for third in thirds)
    rows = [row[np.isfinite(row)] for row in errors]
    median = np.array([np.median(row) if row.size else np.nan for row in rows])
    return Epe(_row_means(errors), median, early, middle, late)


def to_256(points: npt.ArrayLike, size: tuple[int, int]) -> Floats:
    """Points of a frame of `size` (H, W) in the 256 x 256 frame it is stretched to.

    With pixel centres at integers the frame spans -0.5 .. W - 0.5, so x' = (x + 0.5) 256 / W - 0.5, and y' likewise
    with H. A frame that is not square changes its aspect, as in TAP-Vid.

    Args:
        points: `[..., 2]` px, (x, y).
        size: (H, W) of the frame in px.

    Returns:
        float64 `[..., 2]` px at the 256 scale: -0.5 .. 255.5 for what lies in the frame.

    Raises:
        ValueError: a last axis other than 2, or a size that is not positive.
    """
    where = np.asarray(points, np.float64)
    height, width = size
    if where.ndim == 0 or where.shape[-1] != 2:
        raise ValueError(f"points have shape {where.shape}, expected [..., 2]")
    if height <= 0 or width <= 0:
        raise ValueError(f"size is {size}, expected (H, W) in pixels")
    return (where + 0.5) * (256 / width, 256 / height) - 0.5


def _after(query_frames: npt.ArrayLike, like: Bools) -> Bools:
    """Bool `[N, T]`: True on frames strictly after each point's query frame."""
    n, t = like.shape
    frames = np.asarray(query_frames)
    if frames.shape != (n,) or not np.issubdtype(frames.dtype, np.integer):
        raise ValueError(f"query_frames are {frames.dtype} {frames.shape}, expected int [{n}]")
    if (frames < 0).any() or (frames >= t).any():
        raise ValueError(f"query_frames reach from {frames.min()} to {frames.max()}, expected 0 .. {t - 1}")
    return np.asarray(np.arange(t) > frames[:, None])


def _ratio(hits: Bools, total: int) -> float:
    """Hits as a share of `total`; NaN, without a warning, where there is nothing to count."""
    return float(hits.sum() / total) if total else float("nan")


def _row_means(errors: Floats) -> Floats:
    """Mean of each row `[N]` over its finite values; NaN for a row without any."""
    counted = np.isfinite(errors)
    count = counted.sum(axis=1)
    sums = np.where(counted, errors, 0).sum(axis=1)
    out: Floats = np.divide(sums, count, out=np.full(len(errors), np.nan), where=count > 0)
    return out
