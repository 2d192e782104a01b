"""Frames of a video as the tracker sees them."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from flashbench.tracking.background import U8, closeness, drift_of, light_of, median_of, shifted, smoothed, without
from flashbench.tracking.protocol import Video
from flashbench.tracking.similarity import F64, Bools
from flashbench.tracking.template import F32

CELL = 4  # px of the tracking scale that a pixel of the small pictures stands for


class View(NamedTuple):
    """One frame at the tracking scale `[H, W]`.

    Attributes:
        fine: float32 `[H, W, 3]` in 0..1.
        gray: uint8 `[H, W]`.
        small: float32 `[H / CELL, W / CELL, 3]`.
        ground: float32 `[H / CELL, W / CELL]` in 0..1: 1 where the frame shows the background.
        behind: float32 `[H / CELL, W / CELL, 3]`, the background, blurred.
        change: float32 `[H / CELL, W / CELL, 3]`, how the blurred frame differs from it.
    """

    fine: F32
    gray: U8
    small: F32
    ground: F32
    behind: F32
    change: F32


class Views:
    """The views of a video, made when asked for.

    Attributes:
        factor: px of the tracking scale a px of the video. Pixel x of the video lies at (x + 0.5) * factor - 0.5.
        size: (H, W) of the tracking scale: the longer side of the frame is `scale` px.
        drift: float64 `[T, 2]` px of the small pictures: how far the background has moved since frame 0.
        light: float32 `[T, 3]`: how bright each frame is against frame 0, which is taken out of the views.
    """

    def __init__(self, video: Video, masks: Bools, scale: int, tolerance: float) -> None:
        self._video, self._tolerance = video, tolerance
        height, width = video.shape[1:3]
        self.factor = scale / max(height, width)
        self.size = max(CELL, round(height * self.factor)), max(CELL, round(width * self.factor))
        self._small = [resized(f, self.size[0] // CELL, self.size[1] // CELL) for f in video]
        self.drift = drift_of(self._small, masks)
        self.light = light_of(self._small, self.drift)
        small = [self._lit(f, t) for t, f in enumerate(self._small)]
        self._made: dict[int, View] = {}
        self._background = without(median_of(small, self.drift), small[0], masks, tolerance)

    def __len__(self) -> int:
        return len(self._video)

    def enlarged(self, points: F64) -> F64:
        """Px of the video `[..., 2]` -> px of the tracking scale."""
        return np.asarray((points + 0.5) * self.factor - 0.5)

    def reduced(self, points: F64) -> F64:
        """Px of the tracking scale `[..., 2]` -> px of the video."""
        return np.asarray((points + 0.5) / self.factor - 0.5)

    def at(self, t: int) -> View:
        """The view of frame `t`. It is kept: frames are asked for forward, backward and for gaps."""
        if t not in self._made:
            self._made[t] = self._make(t)
        return self._made[t]

    def _make(self, t: int) -> View:
        frame = resized(self._video[t], *self.size)
        small, background = self._lit(self._small[t], t), shifted(self._background, self.drift[t])
        gray = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)
        behind = smoothed(background)
        ground = closeness(small, background, self._tolerance)
        return View(self._lit(frame, t), gray, small, ground, behind, smoothed(small) - behind)

    def _lit(self, frame: U8, t: int) -> F32:
        """The frame in 0..1 as it would be in the light of frame 0."""
        rows = frame.reshape(len(frame), -1).astype(np.float32)  # long rows: an axis of three colours is slow
        rows /= np.tile(np.float32(255) * self.light[t], frame.shape[1])
        return rows.reshape(frame.shape)


def resized(frame: U8, height: int, width: int) -> U8:
    """Bicubic where it grows, by area where it shrinks; uint8 `[H, W, 3]`."""
    if (height, width) == frame.shape[:2]:
        return frame
    how = cv2.INTER_AREA if height < frame.shape[0] or width < frame.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, (width, height), interpolation=how), np.uint8)
