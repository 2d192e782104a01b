"""Frames of a video as the tracker sees them, and the background behind everything that moves."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flashbench.tracking.protocol import Video
from flashbench.tracking.template import F32

U8 = npt.NDArray[np.uint8]
F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
CELL = 4  # px of the tracking scale that a pixel of the small pictures stands for
SAMPLED = 40  # frames that the background is taken from
BLUR = 1.0  # standard deviation of blurred small pictures, px of them
FILL = 5.0  # the same where the background under an object is filled in
PLAIN = 12.0  # levels: colour distance at which a pixel of the background counts a quarter
STEADY = 2000.0  # pull of the background's drift towards that of the frame before
STAYS = 0.7  # match of the background with a frame-0 object above which the object never leaves its place
DIM = 0.04  # changes of brightness below this count as none


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


def closeness(first: F32, second: F32, scale: float) -> F32:
    """Geman and McClure's weight of a colour difference `[..., 3]`: 1 alike, 1/4 at distance `scale`."""
    squared = ((first - second) ** 2).sum(-1)
    return np.asarray(1 / (1 + squared / np.float32(scale**2)) ** 2, np.float32)


def smoothed(image: F32, sigma: float = BLUR) -> F32:
    """Gaussian blur of a small picture."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)


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
        self.drift = _drift(self._small, masks)
        self.light = _light(self._small, self.drift)
        small = [self._lit(f, t) for t, f in enumerate(self._small)]
        self._background = _without(_median(small, self.drift), small[0], masks, tolerance)

    def __len__(self) -> int:
        return len(self._video)

    def enlarged(self, points: F64) -> F64:
        """Px of the video `[..., 2]` -> px of the tracking scale."""
        return np.asarray((points + 0.5) * self.factor - 0.5)

    def reduced(self, points: F64) -> F64:
        """Px of the tracking scale `[..., 2]` -> px of the video."""
        return np.asarray((points + 0.5) / self.factor - 0.5)

    def at(self, t: int) -> View:
        """The view of frame `t`."""
        frame = resized(self._video[t], *self.size)
        small, background = self._lit(self._small[t], t), _shifted(self._background, self.drift[t])
        gray = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)
        behind = smoothed(background)
        ground = closeness(small, background, self._tolerance)
        return View(self._lit(frame, t), gray, small, ground, behind, smoothed(small) - behind)

    def _lit(self, frame: U8, t: int) -> F32:
        """The frame in 0..1 as it would be in the light of frame 0."""
        return np.asarray(frame.astype(np.float32) / (np.float32(255) * self.light[t]), np.float32)


def resized(frame: U8, height: int, width: int) -> U8:
    """Bicubic where it grows, by area where it shrinks; uint8 `[H, W, 3]`."""
    if (height, width) == frame.shape[:2]:
        return frame
    how = cv2.INTER_AREA if height < frame.shape[0] or width < frame.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, (width, height), interpolation=how), np.uint8)


def _shifted(image: F32, by: F64) -> F32:
    if not by.any():
        return image
    warp = np.array([[1, 0, by[0]], [0, 1, by[1]]])
    size = image.shape[1], image.shape[0]
    return np.asarray(cv2.warpAffine(image, warp, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _drift(small: list[U8], masks: Bools) -> F64:
    """Movement of the background since frame 0, `[T, 2]`: robust Gauss-Newton steps that lay each frame over frame 0.

    Objects of frame 0 do not count, what moves by itself is outvoted, and the drift of the frame before is the guess.
    It is none if it stays below half a pixel, or explains nothing.
    """
    first = small[0].astype(np.float32)
    height, width = first.shape[:2]
    object_ = cv2.resize(np.asarray(masks.any(0), np.float32), (width, height), interpolation=cv2.INTER_AREA)
    open_ = cv2.dilate(np.asarray(object_), np.ones((3, 3), np.uint8)) == 0
    slopes = np.stack([cv2.Sobel(first, cv2.CV_32F, *order, ksize=3, scale=1 / 8) for order in ((1, 0), (0, 1))])
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    out = np.zeros((len(small), 2))
    for t in range(1, len(small)):
        shift, frame = out[t - 1].copy(), small[t].astype(np.float32)
        for _ in range(2):
            off = _shifted(frame, -shift) - first
            inside = (x + shift[0] >= 0) & (y + shift[1] >= 0) & (x + shift[0] < width) & (y + shift[1] < height)
            weight = open_ * inside / (1 + (off**2).sum(-1) / np.float32(PLAIN**2)) ** 2
            weighted = slopes * weight[..., None]
            hessian = np.einsum("ahwc,bhwc->ab", weighted, slopes) + STEADY * np.eye(2)
            shift -= np.linalg.solve(hessian, np.einsum("ahwc,hwc->a", weighted, off))
        out[t] = shift
    return out if np.abs(out).max() >= 0.5 and _explains(out, small) else np.zeros_like(out)


def _explains(drift: F64, small: list[U8]) -> bool:
    """Whether frame 0 is more like the other frames when it is moved: over a plain background falling snow misleads."""
    first, still, moved = small[0].astype(np.float32), 0.0, 0.0
    for t in range(1, len(small), max(1, len(small) // 10)):
        frame = small[t].astype(np.float32)
        still += float(closeness(frame, first, PLAIN).mean())
        moved += float(closeness(frame, _shifted(first, drift[t]), PLAIN).mean())
    return moved > 1.02 * still


def _light(small: list[U8], drift: F64) -> F32:
    """Brightness of each frame against frame 0, by colour: median ratio of pixels, float32 `[T, 3]`. Little is none."""
    first = small[0].astype(np.float32) + 1
    ratios = [(f.astype(np.float32) + 1) / _shifted(first, d) for f, d in zip(small, drift, strict=True)]
    light = np.median(np.stack(ratios), axis=(1, 2))
    return np.asarray(np.where(np.abs(light - 1) < DIM, 1, light), np.float32)


def _median(small: list[F32], drift: F64) -> F32:
    """Median over time of frames whose drift is taken out: the background as frame 0 shows it. float32 `[h, w, 3]`."""
    every = max(1, len(small) // SAMPLED)
    frames = [_shifted(f, -d) for f, d in zip(small[::every], drift[::every], strict=True)]
    return np.asarray(np.median(np.stack(frames), axis=0), np.float32)


def _without(background: F32, first: F32, masks: Bools, tolerance: float) -> F32:
    """The background without objects that never leave their places: they are filled in from what is round them."""
    size = first.shape[1], first.shape[0]
    same, hole = closeness(background, first, tolerance), np.zeros(first.shape[:2], bool)
    for mask in masks:
        covered = np.asarray(cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA))
        if (covered * same).sum() > STAYS * covered.sum() > 0:
            hole |= cv2.dilate(covered, np.ones((3, 3), np.uint8)) > 0
    known = (~hole).astype(np.float32)
    near, total = smoothed(background * known[..., None], FILL), smoothed(known, FILL)
    filled = near / np.maximum(total, 1e-6)[..., None]
    return np.where((hole & (total > 1e-6))[..., None], filled, background)
