"""Flow matching in the paper's symbols: t = 1 is noise, t = 0 is data.

x_t = (1 - t) x_0 + t eps,  v = eps - x_0,  x_0 = x_t - t v,  shift: t' = s t / (1 + (s - 1) t).
Times are `[B]` in 0..1 and are broadcast over `[B, C, F, h, w]`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def _over(t: Tensor, x: Tensor) -> Tensor:
    return t.to(x.dtype).view(-1, *[1] * (x.ndim - 1))


def noised(x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
    """x_t = (1 - t) x_0 + t eps of clean `x0` and noise `eps`, both `[B, C, F, h, w]`, at times `t` `[B]` in 0..1."""
    t = _over(t, x0)
    return (1 - t) * x0 + t * eps


def shifted(t: Tensor, s: float) -> Tensor:
    """Shift of times `[...]` in 0..1 toward noise by the factor s > 0: again 0..1, the ends stay (SD3, equation 23).

    s = 1 leaves t; the shift by 1 / s undoes it.
    """
    return s * t / (1 + (s - 1) * t)


def sampling_times(steps: int, shift: float) -> Tensor:
    """float32 `[steps + 1]`: falling times from 1 (noise) to 0 (data), evenly spaced before the shift; steps >= 1."""
    return shifted(torch.linspace(1, 0, steps + 1), shift)


def training_times(n: int, shift: float, high: float, low: float, generator: torch.Generator) -> Tensor:
    """Times to train at, float32 `[n]` in 0.001..1: sigmoid of a standard normal, shifted.

    Args:
        n: how many; shift: see `shifted`.
        high, low: shares, together at most 1, that are drawn evenly from 0.9..1 and from 0..0.4 instead.
        generator: where chance comes from.
    """
    t = shifted(torch.sigmoid(torch.randn(n, generator=generator)), shift)
    top, bottom = 0.9 + 0.1 * torch.rand(n, generator=generator), 0.4 * torch.rand(n, generator=generator)
    kind = torch.rand(n, generator=generator)
    return torch.where(kind < high, top, torch.where(kind > 1 - low, bottom, t)).clamp(1e-3, 1)
