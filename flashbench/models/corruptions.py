"""Graded corruptions of a true video, each at strengths 1 to 5; frame 0, which a model is given, stays as it is.

A corruption takes a video uint8 `[T, H, W, 3]`, a strength and a generator, and returns a video of the same shape. The
table says what each does at which strength. Corruptions of the scene (paths, objects) are in `staging`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flashbench.files.video import mp4_bytes, read_video

Video = npt.NDArray[np.uint8]
STRENGTHS = (1, 2, 3, 4, 5)


class Corruption(NamedTuple):
    """What a corruption does. levels: its parameter at strengths 1 to 5, in the unit that `what` names."""

    what: str
    levels: tuple[float, float, float, float, float]
    apply: Callable[[Video, float, np.random.Generator], Video]


def _like(video: Video, frames: npt.NDArray[np.floating]) -> Video:
    """Rounded to uint8, frame 0 taken from the video."""
    out = np.clip(np.rint(frames), 0, 255).astype(np.uint8)
    out[0] = video[0]
    return np.asarray(out)


def blur(video: Video, level: float, rng: np.random.Generator) -> Video:
    """Every frame blurred with a Gaussian of sigma `level`, px at the 256 scale (of the height)."""
    sigma = level * video.shape[1] / 256
    return _like(video, np.stack([cv2.GaussianBlur(f, (0, 0), sigma) for f in video]).astype(np.float64))


def noise(video: Video, level: float, rng: np.random.Generator) -> Video:
    """Independent normal noise on every value, its standard deviation `level` of 255."""
    return _like(video, video + rng.normal(0, level, video.shape))


def h264(video: Video, level: float, rng: np.random.Generator) -> Video:
    """Encoded with x264 at a constant quantiser and decoded again."""
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(mp4_bytes(video, 24, {"qp": f"{level:.0f}"}))
        file.flush()
        return _like(video, read_video(file.name).astype(np.float64))


def flicker(video: Video, level: float, rng: np.random.Generator) -> Video:
    """Each frame times 1 + `level` or 1 - `level`, by lot."""
    gain = 1 + level * rng.choice([-1.0, 1.0], len(video))
    return _like(video, video * gain[:, None, None, None])


def colour(video: Video, level: float, rng: np.random.Generator) -> Video:
    """Hue turned, as far as `level` says at the last frame."""
    ramp = np.linspace(0, level, len(video))
    out = []
    for frame, turn in zip(video, ramp, strict=True):
        hsv = cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0] + turn) % 360
        out.append(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255)
    return _like(video, np.stack(out))


def frozen(video: Video, level: float, rng: np.random.Generator) -> Video:
    """The last part of the video stands still."""
    last = round((1 - level) * (len(video) - 1))
    return np.asarray(video[np.minimum(np.arange(len(video)), last)])


def dropped(video: Video, level: float, rng: np.random.Generator) -> Video:
    """Frames drawn by lot are replaced by the frame before them."""
    lost = rng.random(len(video)) < level
    lost[0] = False
    return np.asarray(video[np.maximum.accumulate(np.where(lost, 0, np.arange(len(video))))])


def shuffled_frames(video: Video, level: float, rng: np.random.Generator) -> Video:
    """Frames change places inside blocks of `level` frames."""
    order = np.arange(len(video))
    for start in range(1, len(video), int(level)):
        block = slice(start, start + int(level))
        order[block] = rng.permutation(order[block])
    return np.asarray(video[order])


def _at(video: Video, times: npt.NDArray[np.float64]) -> Video:
    """The video at fractional frame times, neighbours blended."""
    times = np.clip(times, 0, len(video) - 1)
    low = np.floor(times).astype(int)
    share = (times - low)[:, None, None, None]
    high = np.minimum(low + 1, len(video) - 1)
    return _like(video, video[low] * (1 - share) + video[high] * share)


def slow_motion(video: Video, level: float, rng: np.random.Generator) -> Video:
    """Played slower by the factor `level`, at least 1: the video ends before its path does."""
    return _at(video, np.arange(len(video), dtype=np.float64) / level)


def time_shift(video: Video, level: float, rng: np.random.Generator) -> Video:
    """Everything happens `level` frames late; the first frame stands until then."""
    return _at(video, np.arange(len(video), dtype=np.float64) - level)


def camera_shake(video: Video, level: float, rng: np.random.Generator) -> Video:
    """Every frame moved on its own, by normal shifts with standard deviation `level`, px at the 256 scale (of the
    height), in x and in y; what comes in from outside is mirrored."""
    amount = level * video.shape[1] / 256
    shift = rng.normal(0, amount, (len(video), 2))
    size = video.shape[2], video.shape[1]
    moved = [
        cv2.warpAffine(f, np.array([[1, 0, dx], [0, 1, dy]]), size, borderMode=cv2.BORDER_REFLECT_101)
        for f, (dx, dy) in zip(video, shift, strict=True)
    ]
    return _like(video, np.stack(moved).astype(np.float64))


CORRUPTIONS: dict[str, Corruption] = {
    "blur": Corruption("Gaussian blur, sigma in px@256", (1.5, 2, 4, 8, 16), blur),
    "noise": Corruption("white noise, sd of 255", (4, 8, 16, 32, 64), noise),
    "h264": Corruption("x264 at a constant quantiser", (22, 29, 36, 43, 50), h264),
    "flicker": Corruption("each frame brighter or darker by this share", (0.02, 0.04, 0.08, 0.16, 0.32), flicker),
    "colour": Corruption("hue turned, degrees at the last frame", (10, 20, 40, 80, 160), colour),
    "frozen": Corruption("the last share of the video stands still", (0.1, 0.2, 0.4, 0.6, 0.8), frozen),
    "dropped": Corruption("share of frames replaced by the one before", (0.05, 0.1, 0.2, 0.4, 0.8), dropped),
    "shuffled_frames": Corruption("frames in disorder inside blocks of so many", (2, 4, 8, 16, 32), shuffled_frames),
    "slow_motion": Corruption("played slower by this factor", (1.05, 1.1, 1.25, 1.5, 2.0), slow_motion),
    "time_shift": Corruption("late by so many frames", (1, 2, 4, 8, 16), time_shift),
    "camera_shake": Corruption("every frame moved, sd in px@256", (0.5, 1, 2, 4, 8), camera_shake),
}  # fmt: skip
