"""Losses that stages share, in the paper's symbols."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flashmotion.networks.codec import STRIDE, to_pixels
from flashmotion.presets.schema import Preset


def x0_loss(
    preset: Preset, codec: nn.Module, x0_hat: Tensor, x0: Tensor, t: Tensor, weight: Tensor, frames: Tensor
) -> Tensor:
    """Flow-matching loss in x0 form: || x0_hat - x0 ||^2 / max(t, floor), plus the same of the error's differences.

    Frame 0 is left out.
    The v loss is this with 1 / t^2; at nano scale that starves high noise, where composition is decided. The second
    term, on decoded pixels, sees what squares of latents do not: edges across patch borders, jumps between groups.

    Args:
        x0_hat, x0: latents `[B, C, F, h, w]`.
        t: `[B]`.
        weight: `[B, F, h, w]`, known from the condition alone.
        frames: latent positions `[F]`, the first 0; differences in time are taken where they follow each other.
    """
    scale = 1 / t.clamp(min=preset.low_noise_floor)
    error = (x0_hat - x0).float()
    loss = ((error[:, :, 1:].square().mean(1) * weight[:, 1:]).mean((1, 2, 3)) * scale).mean()
    if preset.gradient_loss:
        whole = to_pixels(codec, error) - to_pixels(codec, torch.zeros_like(error))  # linear codec: the decoded error
        w = F.interpolate(weight[:, 1:].float(), scale_factor=float(preset.patch), mode="nearest")
        w = w.repeat_interleave(STRIDE, 1)
        e = whole[:, :, 1:]
        dx, dy = e.diff(dim=4).square().mean(1), e.diff(dim=3).square().mean(1)
        joined = torch.ones(w.shape[1], device=w.device)
        joined[::STRIDE] = (frames.diff() == 1).to(joined)
        dt = whole.diff(dim=2).square().mean(1) * joined.view(1, -1, 1, 1)
        three = (dx * w[..., 1:]).mean((1, 2, 3)) + (dy * w[:, :, 1:]).mean((1, 2, 3)) + (dt * w).mean((1, 2, 3))
        loss = loss + preset.gradient_loss * (three * scale).mean()
    return loss


def softplus_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """L_G = E[softplus(-D(x_fake))] (non-saturating; the paper's L_G with f = softplus).

    With the logits of the real videos, paired: E[softplus(D(x_real) - D(x_fake))] (Jolicoeur-Martineau,
    arXiv 1807.00734, section 4.1).
    """
    return F.softplus(-fake if real is None else real - fake).mean()


def softplus_discriminator(real: Tensor, fake: Tensor, paired: bool = False) -> Tensor:
    """L_D = E[softplus(-D(x_real)) + softplus(D(x_fake))]; paired: E[softplus(D(x_fake) - D(x_real))]."""
    return F.softplus(fake - real).mean() if paired else F.softplus(-real).mean() + F.softplus(fake).mean()
