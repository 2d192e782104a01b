"""A fixed orthonormal patch transform behind the interface of AutoencoderKLWan.

4 frames x p x p pixels x 3 colours are one position; a principal component analysis of rendered clips keeps the C
strongest components. The first frame is coded alone, as four repeats. Encoding and decoding are one matrix product.
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from flashmotion.networks.constants import channels

STRIDE = 4  # frames a latent frame


class Exact:
    """The distribution of a deterministic code: all mass on one point."""

    def __init__(self, latents: Tensor) -> None:
        self.latents = latents

    def mode(self) -> Tensor:
        return self.latents

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        return self.latents


class PatchCodec(ModelMixin, ConfigMixin):
    """Patch codec with `z_dim` components of `patch` x `patch` pixels x 4 frames.

    `config.latents_mean` and `latents_std` (C numbers each) normalise latents as AutoencoderKLWan's do:
    normalised = (latents - mean) / std.
    """

    @register_to_config
    def __init__(
        self,
        z_dim: int = 128,
        patch: int = 8,
        latents_mean: list[float] | None = None,
        latents_std: list[float] | None = None,
    ) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.zeros(STRIDE * patch * patch * 3, z_dim), requires_grad=False)
        self.spatial_compression_ratio, self.temporal_compression_ratio = patch, STRIDE

    def encode(self, video: Tensor) -> AutoencoderKLOutput:
        """`[B, 3, 1 + 4 k, H, W]` in -1..1 -> latents `[B, C, 1 + k, H/p, W/p]`."""
        p = self.config.patch
        video = torch.cat([video[:, :, :1].repeat(1, 1, STRIDE - 1, 1, 1), video], dim=2)
        b, c, t, h, w = video.shape
        x = video.view(b, c, t // STRIDE, STRIDE, h // p, p, w // p, p)
        x = x.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(b, t // STRIDE, h // p, w // p, -1)  # (B, F, h, w, 3*4*p*p)
        return AutoencoderKLOutput(latent_dist=Exact((x @ self.basis.to(x.dtype)).permute(0, 4, 1, 2, 3)))

    def decode(self, latents: Tensor) -> DecoderOutput:
        """Latents `[B, C, 1 + k, h, w]` -> `.sample` `[B, 3, 1 + 4 k, H, W]`, about -1..1, not clamped."""
        p = self.config.patch
        b, _, f, h, w = latents.shape
        x = latents.permute(0, 2, 3, 4, 1) @ self.basis.to(latents.dtype).T
        x = x.view(b, f, h, w, 3, STRIDE, p, p).permute(0, 4, 1, 5, 2, 6, 3, 7).reshape(b, 3, f * STRIDE, h * p, w * p)
        return DecoderOutput(sample=x[:, :, STRIDE - 1 :])


def _scale(codec: nn.Module, like: Tensor) -> tuple[Tensor, Tensor]:
    return channels(codec.config.latents_mean, like), channels(codec.config.latents_std, like)


def to_latents(codec: nn.Module, video: Tensor) -> Tensor:
    """uint8 `[B, T, H, W, 3]` -> normalised latents `[B, C, F, h, w]`, for PatchCodec and AutoencoderKLWan alike."""
    x = video.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    z = codec.encode(x).latent_dist.mode()
    mean, std = _scale(codec, z)
    return (z - mean) / std


def to_pixels(codec: nn.Module, latents: Tensor) -> Tensor:
    """Normalised latents `[B, C, F, h, w]` -> float `[B, 3, T, H, W]`, about -1..1."""
    mean, std = _scale(codec, latents)
    return codec.decode(latents * std + mean).sample


def to_video(codec: nn.Module, latents: Tensor) -> Tensor:
    """Normalised latents -> uint8 `[B, T, H, W, 3]`."""
    x = to_pixels(codec, latents.float()).clamp(-1, 1)
    return ((x + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 4, 1)
