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
    """x_t of clean `x0` and noise `eps`."""
    t = _over(t, x0)
    return (1 - t) * x0 + t * eps


def shifted(t: Tensor, s: float) -> Tensor:
    """Shift of the time axis toward noise by the factor s (SD3, equation 23; s = 1 leaves t)."""
    return s * t / (1 + (s - 1) * t)


def sampling_times(steps: int, shift: float) -> Tensor:
    """`steps` + 1 falling times from 1 to 0, float32."""
    return shifted(torch.linspace(1, 0, steps + 1), shift)


def training_times(n: int, shift: float, high: float, low: float, generator: torch.Generator) -> Tensor:
    """`[n]` times: logit-normal, shifted; a share `high` uniform in 0.9..1 instead, a share `low` in 0..0.4."""
    t = shifted(torch.sigmoid(torch.randn(n, generator=generator)), shift)
    top, bottom = 0.9 + 0.1 * torch.rand(n, generator=generator), 0.4 * torch.rand(n, generator=generator)
    kind = torch.rand(n, generator=generator)
    return torch.where(kind < high, top, torch.where(kind > 1 - low, bottom, t)).clamp(1e-3, 1)
