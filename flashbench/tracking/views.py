"""Frames of a video as the tracker sees them, and the background behind everything that moves."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flashbench.tracking.protocol import Video
from flashbench.tracking.template import F32

U8 = npt.NDArray[np.uint8]
CELL = 4  # px of the tracking scale that a pixel of the small pictures stands for
SAMPLED = 40  # frames that the background is taken from


class View(NamedTuple):
    """One frame at the tracking scale `[H, W]`.

    Attributes:
        fine: float32 `[H, W, 3]` in 0..1.
        gray: uint8 `[H, W]`.
        small: float32 `[H / CELL, W / CELL, 3]`.
        ground: float32 `[H / CELL, W / CELL]` in 0..1: 1 where the frame shows the background.
    """

    fine: F32
    gray: U8
    small: F32
    ground: F32


def closeness(first: F32, second: F32, scale: float) -> F32:
    """Geman and McClure's weight of a colour difference `[..., 3]`: 1 alike, 1/4 at distance `scale`."""
    squared = ((first - second) ** 2).sum(-1)
    return np.asarray(1 / (1 + squared / np.float32(scale**2)) ** 2, np.float32)


class Views:
    """The views of a video, made when asked for.

    Attributes:
        factor: px of the tracking scale a px of the video. Pixel x of the video lies at (x + 0.5) * factor - 0.5.
        size: (H, W) of the tracking scale: the longer side of the frame is `scale` px.
        drift: float64 `[T, 2]` px of the small pictures: how far the background has moved since frame 0.
    """

    def __init__(self, video: Video, scale: int, tolerance: float) -> None:
        self._video, self._tolerance = video, tolerance
        height, width = video.shape[1:3]
        self.factor = scale / max(height, width)
        self.size = max(CELL, round(height * self.factor)), max(CELL, round(width * self.factor))
        self._small = [resized(f, self.size[0] // CELL, self.size[1] // CELL) for f in video]
        self.drift = _drift(self._small)
        self._background = _median(self._small, self.drift)

    def __len__(self) -> int:
        return len(self._video)

    def enlarged(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Px of the video `[..., 2]` -> px of the tracking scale."""
        return np.asarray((points + 0.5) * self.factor - 0.5)

    def reduced(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Px of the tracking scale `[..., 2]` -> px of the video."""
        return np.asarray((points + 0.5) / self.factor - 0.5)

    def at(self, t: int) -> View:
        """The view of frame `t`."""
        frame = resized(self._video[t], *self.size)
        small = self._small[t].astype(np.float32) / np.float32(255)
        ground = closeness(small, _shifted(self._background, self.drift[t]), self._tolerance)
        gray = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)
        return View(frame.astype(np.float32) / np.float32(255), gray, small, ground)


def resized(frame: U8, height: int, width: int) -> U8:
    """Bicubic where it grows, by area where it shrinks; uint8 `[H, W, 3]`."""
    if (height, width) == frame.shape[:2]:
        return frame
    how = cv2.INTER_AREA if height < frame.shape[0] or width < frame.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, (width, height), interpolation=how), np.uint8)


def _shifted(image: F32, by: npt.NDArray[np.float64]) -> F32:
    if not by.any():
        return image
    warp = np.array([[1, 0, by[0]], [0, 1, by[1]]])
    size = image.shape[1], image.shape[0]
    return np.asarray(cv2.warpAffine(image, warp, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _drift(small: list[U8]) -> npt.NDArray[np.float64]:
    """Movement of the background: median flow of a grid of points, which outvote objects. Below half a pixel: none."""
    height, width = small[0].shape[:2]
    x, y = np.meshgrid(np.linspace(0.06, 0.94, 9) * width, np.linspace(0.06, 0.94, 9) * height)
    grid = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)[:, None]
    out = np.zeros((len(small), 2))
    gray = [np.asarray(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY)) for f in small]
    for t in range(1, len(small)):
        moved, ok, _ = cv2.calcOpticalFlowPyrLK(gray[t - 1], gray[t], grid, grid.copy(), winSize=(9, 9), maxLevel=2)
        flow = (moved - grid)[ok.ravel() > 0, 0]
        out[t] = out[t - 1] + (np.median(flow, axis=0) if len(flow) >= 8 else 0)
    return np.where(np.abs(out).max() < 0.5, 0.0, out)


def _median(small: list[U8], drift: npt.NDArray[np.float64]) -> F32:
    """Median over time of frames whose drift is taken out: the background as frame 0 shows it. float32 `[h, w, 3]`."""
    every = max(1, len(small) // SAMPLED)
    frames = [_shifted(f.astype(np.float32), -d) for f, d in zip(small[::every], drift[::every], strict=True)]
    return np.asarray(np.median(np.stack(frames), axis=0) / 255, np.float32)
