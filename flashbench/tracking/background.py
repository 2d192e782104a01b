"""The background behind everything that moves: how it drifts, how its light changes, what it looks like.

All on small pictures, uint8 or float32 `[h, w, 3]`.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from flashbench.tracking.similarity import F64, Bools, total
from flashbench.tracking.template import F32

U8 = npt.NDArray[np.uint8]
SAMPLED = 40  # frames that the background is taken from
BLUR = 1.0  # standard deviation of blurred small pictures, px of them
FILL = 5.0  # the same where the background under an object is filled in
PLAIN = 12.0  # levels: colour distance at which a pixel of the background counts a quarter
STEADY = 2000.0  # pull of the background's drift towards that of the frame before
STAYS = 0.7  # match of the background with a frame-0 object above which the object never leaves its place
DIM = 0.04  # changes of brightness below this count as none


def closeness(first: F32, second: F32, scale: float) -> F32:
    """Geman and McClure's weight of a colour difference `[..., 3]`: 1 alike, 1/4 at distance `scale`."""
    squared = sum(np.square(first[..., c] - second[..., c]) for c in range(first.shape[-1]))
    return np.asarray(1 / (1 + squared / np.float32(scale**2)) ** 2, np.float32)


def smoothed(image: F32, sigma: float = BLUR) -> F32:
    """Gaussian blur of a small picture."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)


def shifted(image: F32, by: F64) -> F32:
    """The picture moved by (x, y) px, its border repeated."""
    if not by.any():
        return image
    warp = np.array([[1, 0, by[0]], [0, 1, by[1]]])
    size = image.shape[1], image.shape[0]
    return np.asarray(cv2.warpAffine(image, warp, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def drift_of(small: list[U8], masks: Bools) -> F64:
    """Movement of the background since frame 0, `[T, 2]` px, by robust Gauss-Newton steps that lay each frame over it.

    Objects of frame 0 (`masks` `[N, H, W]`) do not count, what moves by itself is outvoted, and the drift of the frame
    before is the guess. It is none if it stays below half a pixel, or explains nothing.
    """
    first = small[0].astype(np.float32)
    height, width = first.shape[:2]
    object_ = cv2.resize(np.asarray(masks.any(0), np.float32), (width, height), interpolation=cv2.INTER_AREA)
    open_ = cv2.dilate(np.asarray(object_), np.ones((3, 3), np.uint8)) == 0
    sobel = [cv2.Sobel(first, cv2.CV_32F, *order, ksize=3, scale=1 / 8) for order in ((1, 0), (0, 1))]
    slopes, x, y = np.stack(sobel).reshape(2, -1), np.arange(width), np.arange(height)
    out, lit = np.zeros((len(small), 2)), [first]
    for t in range(1, len(small)):
        shift = out[t - 1].copy()
        lit.append(np.asarray(small[t] / _ratio(small[t], first, shift), np.float32))
        for _ in range(2):
            off = shifted(lit[t], -shift) - first
            across, down = (
                (a + by >= 0) & (a + by < n) for a, by, n in zip((x, y), shift, (width, height), strict=True)
            )
            inside = down[:, None] & across
            weight = open_ * inside / (1 + total(off**2) / np.float32(PLAIN**2)) ** 2
            weighted = slopes * np.repeat(weight.ravel(), 3)  # of all colours in a row: an axis of three is slow
            hessian = weighted @ slopes.T + STEADY * np.eye(2)
            shift -= np.linalg.solve(hessian, weighted @ off.ravel())
        out[t] = shift
    return out if np.abs(out).max() >= 0.5 and _explains(out, lit) else np.zeros_like(out)


def _explains(drift: F64, frames: list[F32]) -> bool:
    """Whether frame 0 is more like the other frames when it is moved: over a plain background falling snow misleads."""
    still, moved = 0.0, 0.0
    for t in range(1, len(frames), max(1, len(frames) // 10)):
        still += float(closeness(frames[t], frames[0], PLAIN).mean())
        moved += float(closeness(frames[t], shifted(frames[0], drift[t]), PLAIN).mean())
    return moved > 1.02 * still


def light_of(small: list[U8], drift: F64) -> F32:
    """Brightness of each frame against frame 0, by colour: float32 `[T, 3]`."""
    first = small[0].astype(np.float32)
    return np.stack([_ratio(f, first, d) for f, d in zip(small, drift, strict=True)])


def _ratio(frame: U8, first: F32, drift: F64) -> F32:
    """Median ratio of the pixels of a frame to those of frame 0, by colour `[3]`; 1 where it is little."""
    ratios = (frame.astype(np.float32) + 1) / (shifted(first, drift) + 1)
    light = np.median(np.ascontiguousarray(ratios.reshape(-1, 3).T), axis=1)  # in rows: a third of the time
    return np.asarray(np.where(np.abs(light - 1) < DIM, 1, light), np.float32)


def median_of(small: list[F32], drift: F64) -> F32:
    """Median over time of frames whose drift is taken out: the background as frame 0 shows it. float32 `[h, w, 3]`."""
    every = max(1, len(small) // SAMPLED)
    frames = [shifted(f, -d) for f, d in zip(small[::every], drift[::every], strict=True)]
    return np.asarray(np.median(np.stack(frames), axis=0), np.float32)


def without(background: F32, first: F32, masks: Bools, tolerance: float) -> F32:
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
