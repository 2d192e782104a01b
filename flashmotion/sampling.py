"""Samplers.

A denoiser is a function (x_t, t) -> x0, latents `[B, C, F, h, w]`, t `[B]`; latent frame 0 is the given image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from flashmotion import flow
from flashmotion.device import noise
from flashmotion.networks.generator import Request, embed, predict_x0

Denoiser = Callable[[Tensor, Tensor], Tensor]


def denoiser(
    generator: WanTransformer3DModel,
    text: Tensor,
    frames: Tensor,
    adapter: nn.Module | None = None,
    control: Tensor | None = None,
) -> Denoiser:
    """Binds a generator, its text `[B, L, D]`, latent frame positions `[F]` and an adapter with its control latents."""

    def run(x: Tensor, t: Tensor) -> Tensor:
        request = Request(x, t, text, frames)
        embedded = embed(generator, request)
        residuals = adapter(control, embedded) if adapter is not None else None
        return predict_x0(generator, request, residuals, embedded=embedded)

    return run


def guided(conditional: Denoiser, unconditional: Denoiser, w: float) -> Denoiser:
    """Classifier-free guidance, x0 = x0_u + w (x0_c - x0_u); w = 1 is the conditional model alone."""
    if w == 1:
        return conditional

    def run(x: Tensor, t: Tensor) -> Tensor:
        free = unconditional(x, t)
        return free + w * (conditional(x, t) - free)

    return run


def start(first: Tensor, latent_frames: int, rng: torch.Generator) -> Tensor:
    """Noise behind the clean first latent `[B, C, 1, h, w]`."""
    b, c, _, h, w = first.shape
    return torch.cat([first.float(), noise((b, c, latent_frames - 1, h, w), rng, first.device)], dim=2)


def multi_step(model: Denoiser, x: Tensor, times: Tensor) -> Tensor:
    """Euler steps along `times` (falling, from 1 to 0), the last one lands on x0. Returns latents."""
    for now, then in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        x0 = model(x, torch.full((len(x),), now, device=x.device))
        if then == 0:
            return x0
        x = torch.cat([x[:, :, :1], (x + (then - now) * (x - x0) / now)[:, :, 1:]], dim=2)
    return x


def few_step(model: Denoiser, x: Tensor, times: Sequence[float], rng: torch.Generator) -> Tensor:
    """Predict x0, noise it afresh to the next time, and so on (LCM style; the paper's sampler). Returns latents."""
    x0 = x
    for i, now in enumerate(times):
        x0 = model(x, torch.full((len(x),), float(now), device=x.device))
        if i + 1 < len(times):
            eps = noise(x0[:, :, 1:].shape, rng, x.device)
            later = flow.noised(x0[:, :, 1:].float(), eps, torch.full((len(x),), float(times[i + 1]), device=x.device))
            x = torch.cat([x[:, :, :1], later], dim=2)
    return x0
