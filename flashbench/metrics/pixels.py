"""Likeness to a target video, pixel by pixel: PSNR and SSIM. One value a frame.

Frame 0 is given to the model: callers leave it out of their averages.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from flashbench.metrics._arrays import Floats, video_pair

PSNR_CAP = 100.0
SSIM_SIGMA, SSIM_RADIUS = 1.5, 5
SSIM_LEAST = 2 * SSIM_RADIUS + 1  # px a side: the window lies inside the frame
SSIM_C1, SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(video: npt.ArrayLike, target: npt.ArrayLike) -> Floats:
    """Peak signal-to-noise ratio of each frame, 10 log10(255^2 / MSE), the MSE over pixels and channels.

    Args:
        video: uint8 `[T, H, W, 3]`.
        target: uint8 `[T, H, W, 3]`, the same shape.

    Returns:
        float64 `[T]` dB, higher is nearer, at most `PSNR_CAP`: equal frames would be infinite and spoil every mean.
    """
    first, second = video_pair(video, target)
    mse = np.array([_squares(a, b) for a, b in zip(first, second, strict=True)]) / first[0].size
    decibels: Floats = 10 * np.log10(255.0**2 / np.maximum(mse, 1e-9))  # 138 dB for equal frames
    return np.minimum(decibels, PSNR_CAP)


def ssim(video: npt.ArrayLike, target: npt.ArrayLike) -> Floats:
    """Structural similarity of each frame (Wang et al. 2004, eq. 13, and their constants K1 = 0.01, K2 = 0.03).

    Gaussian window of 11 x 11, sigma 1.5, population covariance, over positions at which the window lies inside the
    frame; per channel of RGB, then the mean over channels. Equal to scikit-image's structural_similarity with
    gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255.

    Args:
        video: uint8 `[T, H, W, 3]`, H and W at least 11.
        target: uint8 `[T, H, W, 3]`, the same shape.

    Returns:
        float64 `[T]` in -1..1, higher is nearer, 1 for equal frames.

    Raises:
        ValueError: not two uint8 videos of one shape, or frames smaller than the window.
    """
    first, second = video_pair(video, target)
    if min(first.shape[1:3]) < SSIM_LEAST:
        raise ValueError(f"frames are {first.shape[1:3]} (H, W), SSIM's window needs at least {SSIM_LEAST} px a side")
    return np.array([_frame_ssim(a, b) for a, b in zip(first, second, strict=True)])


def _squares(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """Sum of squared differences of two frames."""
    difference = (a.astype(np.float64) - b).ravel()
    return float(np.vdot(difference, difference))


def _frame_ssim(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    if np.array_equal(a, b):
        return 1.0
    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    # Only the sum of the two variances enters, so that four windowed means are enough.
    variances = _window_mean(x * x + y * y) - squares
    covariance = _window_mean(x * y) - product
    top = (2 * product + SSIM_C1) * (2 * covariance + SSIM_C2)
    return float(np.mean(top / ((squares + SSIM_C1) * (variances + SSIM_C2))))


def _window_mean(frame: Floats) -> Floats:
    """Gaussian-weighted mean `[H - 10, W - 10, C]` of a frame `[H, W, C]`."""
    r = SSIM_RADIUS
    weights = np.exp(-0.5 * (np.arange(-r, r + 1) / SSIM_SIGMA) ** 2)
    weights /= weights.sum()
    return np.asarray(cv2.sepFilter2D(frame, cv2.CV_64F, weights, weights)[r:-r, r:-r], np.float64)
