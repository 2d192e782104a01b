"""PSNR and SSIM against scikit-image, analytic values and known mistakes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import skimage.metrics
from scipy import ndimage

from flashbench.metrics.pixels import PSNR_CAP, psnr, ssim

Video = npt.NDArray[np.uint8]


def videos(frames: int = 3, height: int = 37, width: int = 50) -> tuple[Video, Video]:
    """Smooth pictures with flat black and white parts, and noisy copies."""
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.normal(size=(frames, height, width, 3)), (0, 3, 3, 0))
    smooth = (smooth - smooth.min()) / np.ptp(smooth) * 255
    noisy = smooth + rng.normal(0, 12, smooth.shape)
    smooth[:, :12], noisy[:, :10], smooth[:, -8:] = 255, 255, 0
    return np.clip(noisy, 0, 255).astype(np.uint8), np.clip(smooth, 0, 255).astype(np.uint8)


def test_psnr_equals_scikit_image() -> None:
    video, target = videos()
    expected = [
        skimage.metrics.peak_signal_noise_ratio(b, a, data_range=255) for a, b in zip(video, target, strict=True)
    ]
    assert psnr(video, target) == pytest.approx(expected, rel=1e-12)


def test_psnr_of_a_constant_error() -> None:
    """Off by 10 everywhere: 20 log10(255 / 10). By 255: 0 dB."""
    target = np.full((2, 4, 4, 3), 100, np.uint8)
    assert psnr(target + 10, target) == pytest.approx([20 * np.log10(25.5)] * 2)
    assert psnr(target - 10, target) == pytest.approx(psnr(target + 10, target))
    assert psnr(np.zeros_like(target), np.full_like(target, 255)) == pytest.approx([0, 0])


def test_psnr_does_not_wrap() -> None:
    """The mistake: 0 - 255 in uint8 is 1, and black against white looks like 48 dB."""
    black, white = np.zeros((1, 4, 4, 3), np.uint8), np.full((1, 4, 4, 3), 255, np.uint8)
    wrapped = 10 * np.log10(255**2 / np.mean((black - white).astype(float) ** 2))
    assert wrapped > 48 and psnr(black, white)[0] == 0.0


@pytest.mark.filterwarnings("error")
def test_identity() -> None:
    video, _ = videos()
    assert psnr(video, video).tolist() == [PSNR_CAP] * 3
    assert ssim(video, video) == pytest.approx([1.0] * 3, abs=1e-12)


@pytest.mark.parametrize("shape", [(3, 37, 50), (2, 11, 11), (1, 128, 128)])
def test_ssim_equals_scikit_image(shape: tuple[int, int, int]) -> None:
    video, target = videos(*shape)
    expected = [
        skimage.metrics.structural_similarity(
            a, b, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
        )
        for a, b in zip(video, target, strict=True)
    ]
    assert ssim(video, target) == pytest.approx(expected, abs=1e-6)


def test_ssim_is_not_scikit_image_s_default() -> None:
    """The mistake: a uniform 7 x 7 window and sample covariances, also called SSIM."""
    video, target = videos()
    pairs = zip(video, target, strict=True)
    uniform = [skimage.metrics.structural_similarity(a, b, channel_axis=-1) for a, b in pairs]
    assert abs(ssim(video, target) - uniform).max() > 1e-3


def test_ssim_of_constant_frames() -> None:
    """Variances vanish: (2ab + C1) / (a^2 + b^2 + C1)."""
    a, b = np.full((1, 16, 16, 3), 100, np.uint8), np.full((1, 16, 16, 3), 150, np.uint8)
    c1 = 2.55**2
    assert ssim(a, b) == pytest.approx([(2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)])


def test_symmetric_and_frame_by_frame() -> None:
    video, target = videos()
    for metric in (psnr, ssim):
        whole = metric(video, target)
        assert metric(target, video) == pytest.approx(whole, rel=1e-12)
        assert [metric(video[t : t + 1], target[t : t + 1])[0] for t in range(3)] == whole.tolist()
        assert metric(video[::-1], target[::-1]).tolist() == whole[::-1].tolist()
        assert metric(video[:, :, ::-1], target[:, :, ::-1]) == pytest.approx(whole, rel=1e-9)


def test_more_noise_is_worse() -> None:
    _, target = videos(1, 64, 64)
    noise = np.random.default_rng(1).normal(size=target.shape)
    noisy = [np.clip(target + s * noise, 0, 255).astype(np.uint8) for s in (2, 8, 32)]
    for metric in (psnr, ssim):
        values = [float(metric(v, target)[0]) for v in noisy]
        assert values == sorted(values, reverse=True)


def test_refusals() -> None:
    video, target = videos()
    for metric in (psnr, ssim):
        with pytest.raises(ValueError, match="target video"):
            metric(video[:2], target)
        with pytest.raises(ValueError, match="uint8"):
            metric(video / 255.0, target)
        with pytest.raises(ValueError, match="uint8"):
            metric(video[:0], target[:0])
    with pytest.raises(ValueError, match="11"):
        ssim(video[:, :10], target[:, :10])
