"""Health of a distillation: numbers that tell a collapse from a slow day, computed on what the student makes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flashmotion.device import moved
from flashmotion.networks.codec import to_pixels

COPY = 0.1  # a sample that changes less than this share of the real clip's change copies its first frame

# Bounds of the mean of the last steps, outside which a run is stopped.
LIMITS = {"motion": (0.15, 4.0), "saturation": (0.0, 0.4), "copies": (0.0, 0.8)}


@torch.no_grad()
def health(codec: nn.Module, x: Tensor, real: Tensor) -> dict[str, Tensor]:
    """Health of samples `x` beside real clips with the same first frames, latents `[B, C, F, h, w]`.

    Returns:
        motion: mean change against frame 0, as a multiple of the real clips'. copies: share of samples that stay at
        their first frame. saturation: share of decoded values outside -1..1 by more than 0.05.
    """
    x, real = x.float(), real.float()
    change, wanted = ((z[:, :, 1:] - z[:, :, :1]).abs().mean((1, 2, 3, 4)) for z in (x, real))
    pixels = to_pixels(codec, x)[:, :, 1:]
    return {
        "motion": change.mean() / wanted.mean().clamp(min=1e-6),
        "copies": (change < COPY * wanted).float().mean(),
        "saturation": (pixels.abs() > 1.05).float().mean(),
    }


@torch.no_grad()
def accuracy_by_noise(real: Tensor, fake: Tensor, t: Tensor) -> dict[str, Tensor]:
    """Share of logits `[B]` on the right side, in all and by thirds of the noise level t `[B]` that occur in the batch;
    and `ordered`, the share of pairs of which the real one has the larger logit.

    t lies on the CPU, so that nobody waits for a GPU to learn which thirds occur.
    A discriminator that is always right at low noise and nowhere else sees artefacts and not videos.
    """
    right = torch.stack([real > 0, fake < 0]).float().mean(0)
    out = {"accuracy": right.mean(), "ordered": (real > fake).float().mean()}
    for name, low, high in (("low", 0.0, 1 / 3), ("middle", 1 / 3, 2 / 3), ("high", 2 / 3, 1.01)):
        here = ((t >= low) & (t < high)).nonzero()[:, 0]
        if len(here):
            out[f"accuracy_{name}"] = right[moved(here, right.device)].mean()
    return out
