"""Stage 2, FastGenerator (the paper, section 3.3): distribution matching distillation of the generator alone.

grad L_DMD = E_t[ -(s_real(x_t, t) - s_fake(x_t, t)) dG/dtheta ],  L_fake = E || mu_fake(x_t, t) - x0 ||^2
(DMD, arXiv 2311.18828; DMD2, arXiv 2405.14867). The adapter is not involved. Every step trains the fake score; every
`critic_updates`-th also the generator.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from flashmotion import flow, weights
from flashmotion.device import moved, noise
from flashmotion.networks.codec import PatchCodec, to_latents
from flashmotion.networks.generator import Request, predict_x0
from flashmotion.networks.residual import ResidualGenerator
from flashmotion.precision import autocast
from flashmotion.presets.schema import Preset
from flashmotion.sampling import Denoiser, denoiser, guided, start
from flashmotion.stages import common
from flashmotion.stages.health import LIMITS, health
from flashmotion.stages.losses import x0_loss
from flashmotion.stages.report import sample_report
from flashmotion.training.data import Batch


def score_times(n: int, shift: float, rng: torch.Generator) -> Tensor:
    """Times at which scores are compared: uniform, shifted, clamped to [0.02, 0.98]. `[n]`."""
    return flow.shifted(torch.rand(n, generator=rng), shift).clamp(0.02, 0.98)


def student(
    model: Denoiser,
    first: Tensor,
    latent_frames: int,
    times: tuple[float, ...],
    rng: torch.Generator,
    grad: bool,
    whole: bool = False,
) -> Tensor:
    """Runs the few-step sampler to a random exit step, with gradient through that step only. Returns x0 latents.

    whole: always to the last step.
    """
    exit_step = len(times) - 1 if whole else int(torch.randint(len(times), (1,), generator=rng))
    x = start(first, latent_frames, rng)
    with torch.no_grad():
        for i in range(exit_step):
            x0 = model(x, torch.full((len(x),), times[i], device=x.device))
            eps = noise(x0[:, :, 1:].shape, rng, x.device)
            later = flow.noised(x0[:, :, 1:].float(), eps, torch.full((len(x),), times[i + 1], device=x.device))
            x = torch.cat([x[:, :, :1], later], dim=2)
    with torch.set_grad_enabled(grad):
        return model(x, torch.full((len(x),), times[exit_step], device=x.device)).float()


def dmd_loss(x: Tensor, x_real: Tensor, x_fake: Tensor) -> Tensor:
    """0.5 || x - sg(x - g) ||^2, g = (x_fake - x_real) / mean |x - x_real|, frame 0 left out.

    Its gradient in x is g up to the mean's factor.
    """
    with torch.no_grad():
        norm = (x - x_real)[:, :, 1:].abs().mean((1, 2, 3, 4), keepdim=True).clamp(min=1e-6)
        g = torch.nan_to_num((x_fake - x_real) / norm)
    return 0.5 * (x - (x - g).detach())[:, :, 1:].square().mean()


class FastGenerator:
    """Trains generator and fake score; the slow generator is the frozen real score."""

    name = "fast-generator"
    limits = LIMITS
    averaged = ("generator",)

    def __init__(
        self,
        preset: Preset,
        codec: PatchCodec,
        dtype: torch.dtype,
        test_text: Tensor,
        clips: int = 6,
        slow: WanTransformer3DModel | None = None,
    ) -> None:
        self.preset, self.codec, self.dtype = preset, codec, dtype
        loaded = slow if slow is not None else weights.load(ResidualGenerator, preset.name, "slow-generator")
        self.slow = loaded.requires_grad_(False).eval()
        self.generator = copy.deepcopy(self.slow).requires_grad_(True)
        self.fake = copy.deepcopy(self.slow).requires_grad_(True)
        self.nets = {"generator": self.generator, "fake": self.fake}
        self.generator_optimizers = common.optimizers([self.generator], preset.fast_generator, "generator_")
        self.fake_optimizers = common.optimizers([self.fake], preset.fast_generator, "fake_")
        self.optimizers = {**self.generator_optimizers, **self.fake_optimizers}
        self.held = common.held_out(preset, codec, test_text, preset.condition, clips)
        self.empty = test_text[-1:].float()

    def step(self, step: int, batch: Batch, rng: torch.Generator) -> common.Losses:
        p = self.preset
        z, text = to_latents(self.codec, batch.video), batch.text.float()
        weight = torch.ones_like(batch.weight)
        out: common.Losses = {}
        with autocast(self.dtype, self.codec.device):
            model = denoiser(self.generator, text, batch.frames)
            x = student(model, z[:, :, :1], len(batch.frames), p.few_steps, rng, grad=False)
            t = moved(score_times(len(x), p.train_shift, rng), x.device)
            request = Request(common.latents_with_noise(x, t, rng), t, text, batch.frames)
            x_fake = predict_x0(self.fake, request)
        loss = x0_loss(p, self.codec, x_fake, x, t, weight, batch.frames)
        out |= common.update(loss, self.fake_optimizers, [self.fake], p.fast_generator.clip, "critic")
        if (step + 1) % p.critic_updates == 0:
            out |= self._generator_step(model, z, text, batch, rng)
        return out

    def _generator_step(
        self, model: Denoiser, z: Tensor, text: Tensor, batch: Batch, rng: torch.Generator
    ) -> common.Losses:
        p = self.preset
        empty = self.empty.expand(len(text), -1, -1)
        with autocast(self.dtype, self.codec.device):
            x = student(model, z[:, :, :1], len(batch.frames), p.few_steps, rng, grad=True)
            with torch.no_grad():
                t = moved(score_times(len(x), p.train_shift, rng), x.device)
                x_t = common.latents_with_noise(x.detach(), t, rng)
                real: Callable[[Tensor, Tensor], Tensor] = guided(
                    denoiser(self.slow, text, batch.frames), denoiser(self.slow, empty, batch.frames), p.dmd_guidance
                )
                x_real, x_fake = real(x_t, t).float(), denoiser(self.fake, text, batch.frames)(x_t, t).float()
        out = common.update(
            dmd_loss(x, x_real, x_fake), self.generator_optimizers, [self.generator], p.fast_generator.clip, "dmd"
        )
        out["score_gap"] = (x_fake - x_real)[:, :, 1:].abs().mean()
        out["real_gap"] = (x.detach() - x_real)[:, :, 1:].abs().mean()
        out |= health(self.codec, x.detach(), z)
        return out

    @torch.no_grad()
    def validate(self, averages: Mapping[str, nn.Module], folder: Path, step: int) -> dict[str, float]:
        return sample_report(
            self.preset,
            self.codec,
            self.dtype,
            averages["generator"],
            None,
            self.held,
            folder / f"sheet-{step:06d}.png",
        )

    def products(self, averages: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
        """Shipped parts by name."""
        return {"fast-generator": averages["generator"]}
