"""Stage 0: the patch codec, principal components of rendered clips."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from flashbench.cases.scenes.world import render
from flashmotion.networks.codec import STRIDE, PatchCodec, to_latents, to_pixels
from flashmotion.presets.schema import Preset
from flashmotion.training.data import scene

POWER = 0.7  # coefficients are divided by std^(1 - POWER): strong ones stay stronger


def patches(video: Tensor, patch: int) -> Tensor:
    """uint8 `[T, H, W, 3]`, T a multiple of 4 -> float64 `[positions, 3 * 4 * patch^2]`, -255..255, codec's order.

    Odd whole numbers, so that sums of their products are exact, in whichever order a machine adds them.
    """
    t, h, w, _ = video.shape
    x = video.double().mul(2).sub(255).permute(3, 0, 1, 2)
    x = x.view(3, t // STRIDE, STRIDE, h // patch, patch, w // patch, patch)
    return x.permute(1, 3, 5, 0, 2, 4, 6).reshape(-1, 3 * STRIDE * patch * patch)


def fit(preset: Preset, clips: int = 1000) -> PatchCodec:
    """Fits the basis on `clips` training scenes (frames 1.. of each, six groups drawn by its number)."""
    dim = 3 * STRIDE * preset.patch**2
    second = torch.zeros(dim, dim, dtype=torch.float64)
    for i in range(clips):
        rng = np.random.default_rng([3, i])
        groups = rng.choice(np.arange(1, (preset.frames - 1) // 4 + 1), 6, replace=False)
        at = np.concatenate([np.arange(4 * g - 3, 4 * g + 1) for g in groups])
        x = patches(torch.from_numpy(render(scene(preset, i), preset.size, at).video), preset.patch)
        second += x.T @ x
    values, vectors = torch.linalg.eigh(second / (255.0**2 * clips * len(x)))
    order = values.argsort(descending=True)[: preset.channels]
    std = values[order].clamp(min=1e-12).sqrt()
    scaled = std ** (1 - POWER)
    power = (std / scaled).square().mean().sqrt()  # then mean power 1
    basis = vectors[:, order] * torch.where(vectors[:, order].sum(0) < 0, -1.0, 1.0)
    codec = PatchCodec(preset.channels, preset.patch, [0.0] * preset.channels, (scaled * power).tolist())
    codec.basis.data.copy_(basis.float())
    return codec


def reconstruction_psnr(codec: PatchCodec, preset: Preset, clips: int = 100, split: str = "test") -> float:
    """Mean PSNR (dB) over clips of whole length that fitting never saw."""
    values = []
    for i in range(clips):
        video = torch.from_numpy(render(scene(preset, i, split), preset.size).video)[None]
        back = ((to_pixels(codec, to_latents(codec, video)).clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 4, 1)
        values.append(10 * np.log10(255**2 / float((back - video.float())[:, 1:].square().mean())))
    return float(np.mean(values))
