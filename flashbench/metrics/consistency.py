"""Whether a video stays the same thing, how much it flickers, and whether it moves at all.

A frozen video is the best at consistency and flicker: `dynamic_degree` always stands beside them.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from flashbench.metrics import _arrays


def subject_consistency(features: npt.ArrayLike) -> float:
    """Likeness of each frame to the first and to the one before it (VBench, Huang et al. 2024, subject consistency).

        1/(F-1) sum_{t >= 1} 1/2 [max(0, cos(d_0, d_t)) + max(0, cos(d_{t-1}, d_t))]

    VBench's background consistency is the same formula on features of the background. Averages over videos are taken
    over these values, never over pooled frames.

    Args:
        features: `[F, D]`, one row a frame in order, F >= 2, finite, of any length; a zero row has cosine 0.

    Returns:
        0..1, higher is steadier; 1 for a frozen video.
    """
    d = _arrays.features(features, "features", least=2)
    to_first = _arrays.cosine(d[:1], d[1:])
    to_previous = _arrays.cosine(d[:-1], d[1:])
    return float(np.mean(np.maximum(to_first, 0) + np.maximum(to_previous, 0)) / 2)


def flicker(video: npt.ArrayLike) -> float:
    """Steadiness of pixels from frame to frame (VBench, temporal flickering): (255 - mean |f_t - f_{t+1}|) / 255.

    Args:
        video: uint8 `[T, H, W, 3]`, T >= 2; every frame counts, the first too.

    Returns:
        0..1, higher is steadier; 1 for a frozen video. Moving objects lower it too, so compare it at equal motion.

    Raises:
        ValueError: not uint8 `[T, H, W, 3]`, or one frame.
    """
    frames = _arrays.video_array(video, "video")
    if len(frames) < 2:
        raise ValueError("video: one frame, flicker needs at least two")
    # Frame by frame, and by maximum - minimum: uint8 differences would wrap around.
    change = [float((np.maximum(a, b) - np.minimum(a, b)).mean()) for a, b in itertools.pairwise(frames)]
    return 1.0 - float(np.mean(change)) / 255.0


def dynamic_degree(tracks: npt.ArrayLike, visible: npt.ArrayLike, fps: float) -> float:
    """Mean speed of tracked points: displacement between neighbouring frames, times frames a second.

    Steps count where the point is seen and finite on both frames. The mean is over the steps of a point, then over
    points. This is not VBench's dynamic degree, which thresholds optical flow and says yes or no.

    Args:
        tracks: `[N, T, 2]`, px at the 256 scale, T >= 2.
        visible: bool `[N, T]`.
        fps: frames a second.

    Returns:
        px a second at the 256 scale, >= 0, 0 for a frozen video; NaN where no point is seen on two neighbouring frames.
        Neither direction is better: compare it with the reference's.

    Raises:
        ValueError: other shapes, a visibility that is not bool, or a frame rate that is not positive.
    """
    where, seen = _arrays.tracks(tracks, visible, "tracks")
    if not fps > 0:
        raise ValueError(f"fps is {fps}, expected a positive frame rate")
    seen = seen & np.isfinite(where).all(axis=-1)
    counted = seen[:, 1:] & seen[:, :-1]  # [N, T-1]
    steps = np.linalg.norm(np.diff(where, axis=1), axis=-1)
    speeds = [step[count].mean() for step, count in zip(steps, counted, strict=True) if count.any()]
    return float(np.mean(speeds)) * fps if speeds else float("nan")
