"""Stage 3, FastAdapter (the paper, section 3.4): the adapter re-aligned to the frozen fast generator.

L = L_G + lambda(step) L_diffusion,  lambda(step) = 1 / (4e-3 step + 0.1),  L_G = E[softplus(-D(x_t^fake, t))],
L_D = E[softplus(-D(x_t^real, t)) + softplus(D(x_t^fake, t))],  L_diffusion = || G(x_t, t) - x0_real ||^2, t listed.
The discriminator is trained at every step, the adapter at every `heads_updates`-th; `step` counts the former.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from flashmotion import weights
from flashmotion.networks.adapters.controlnet import ControlNetAdapter
from flashmotion.networks.codec import PatchCodec, to_latents
from flashmotion.networks.discriminator import Discriminator
from flashmotion.networks.generator import Request, embed, run_blocks
from flashmotion.presets.schema import Preset
from flashmotion.sampling import Denoiser, denoiser
from flashmotion.stages import common
from flashmotion.stages.fast_generator import student
from flashmotion.stages.losses import softplus_discriminator, softplus_generator, x0_loss
from flashmotion.stages.slow_adapter import sample_report
from flashmotion.training.data import Batch
from flashmotion.training.precision import autocast


def lambda_of(step: int) -> float:
    """lambda(step) = 1 / (4e-3 step + 0.1): 10 at step 0, 1 at step 225."""
    return 1 / (4e-3 * step + 0.1)


def taps_of(layers: int) -> tuple[int, ...]:
    """Blocks tapped by the discriminator: at about 45, 70 and 97 % of the depth (Wan's 13, 21, 29 of 30)."""
    return tuple(sorted({min(layers - 1, round(layers * share)) for share in (0.45, 0.7, 0.97)}))


class FastAdapter:
    """Trains adapter and discriminator heads; both generators are frozen."""

    name = "fast-adapter"
    averaged = ("adapter",)

    def __init__(
        self,
        preset: Preset,
        codec: PatchCodec,
        dtype: torch.dtype,
        test_text: Tensor,
        clips: int = 6,
        parts: tuple[nn.Module, nn.Module, nn.Module] | None = None,
    ) -> None:
        """parts: slow generator, fast generator, slow adapter; loaded from the shipped weights if None."""
        self.preset, self.codec, self.dtype = preset, codec, dtype
        slow, fast, adapter = (
            parts
            if parts is not None
            else (
                weights.load(WanTransformer3DModel, preset.name, "slow-generator"),
                weights.load(WanTransformer3DModel, preset.name, "fast-generator"),
                weights.load(ControlNetAdapter, preset.name, "slow-adapter"),
            )
        )
        self.slow, self.fast = slow.requires_grad_(False).eval(), fast.requires_grad_(False).eval()
        self.adapter = copy.deepcopy(adapter).requires_grad_(True)
        self.taps = taps_of(preset.layers)
        self.discriminator = Discriminator(len(self.taps), preset.heads * preset.head_dim, 384, preset.channels)
        self.nets = {"adapter": self.adapter, "discriminator": self.discriminator}
        self.adapter_optimizers = common.optimizers([self.adapter], preset.fast_adapter, "adapter_")
        self.discriminator_optimizers = common.optimizers([self.discriminator], preset.fast_adapter, "discriminator_")
        self.optimizers = {**self.adapter_optimizers, **self.discriminator_optimizers}
        self.held = common.held_out(preset, codec, test_text, preset.condition, clips)

    def _logits(self, x: Tensor, t: Tensor, eps: Tensor, text: Tensor, control: Tensor, frames: Tensor) -> Tensor:
        """D of clean latents `x`, noised to `t` with `eps`."""
        s = t.view(-1, 1, 1, 1, 1)
        x_t = torch.cat([x[:, :, :1], (1 - s) * x[:, :, 1:] + s * eps], dim=2)
        with autocast(self.dtype):
            embedded = embed(self.slow, Request(x_t, t, text, frames))
            _, tapped = run_blocks(self.slow, embedded, taps=self.taps)
        return self.discriminator(tapped, text, control, t, embedded.first)

    def step(self, step: int, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        p = self.preset
        z, control, text = to_latents(self.codec, batch.video), to_latents(self.codec, batch.maps), batch.text.float()
        model = denoiser(self.fast, text, batch.frames, self.adapter, control)
        with autocast(self.dtype):
            fake = student(model, z[:, :, :1], len(batch.frames), p.few_steps, rng, grad=False)
        t = 0.02 + 0.96 * torch.rand(len(z), generator=rng)
        eps = torch.randn(z[:, :, 1:].shape, generator=rng)
        real_logit = self._logits(z, t, eps, text, control, batch.frames)
        fake_logit = self._logits(fake, t, eps, text, control, batch.frames)
        loss = softplus_discriminator(real_logit, fake_logit)
        out = common.update(
            loss, self.discriminator_optimizers, [self.discriminator], p.fast_adapter.clip, "discriminator"
        )
        right = torch.cat([real_logit > 0, fake_logit < 0]).float()
        out["accuracy"] = float(right.mean())
        if (step + 1) % p.heads_updates == 0:
            out |= self._adapter_step(step, model, z, control, text, batch, rng)
        return out

    def _adapter_step(
        self, step: int, model: Denoiser, z: Tensor, control: Tensor, text: Tensor, batch: Batch, rng: torch.Generator
    ) -> dict[str, float]:
        p = self.preset
        with autocast(self.dtype):
            fake = student(model, z[:, :, :1], len(batch.frames), p.few_steps, rng, grad=True)
        t = 0.02 + 0.96 * torch.rand(len(z), generator=rng)
        eps = torch.randn(z[:, :, 1:].shape, generator=rng)
        self.discriminator.requires_grad_(False)
        adversarial = softplus_generator(self._logits(fake, t, eps, text, control, batch.frames))
        self.discriminator.requires_grad_(True)
        listed = torch.tensor(p.few_steps)[torch.randint(len(p.few_steps), (len(z),), generator=rng)]
        with autocast(self.dtype):
            x0 = model(common.latents_with_noise(z, listed, rng), listed)
        diffusion = x0_loss(p, self.codec, x0, z, torch.ones_like(listed), batch.weight)
        scale = lambda_of(step)
        out = {"adversarial": float(adversarial.detach()), "diffusion": float(diffusion.detach()), "lambda": scale}
        # Health: what each term alone asks of one layer, so that the weight of L_G can be judged.
        probe = self.adapter.outputs[-1].weight
        for name, term in (("adversarial", adversarial), ("diffusion", diffusion)):
            out[f"pull_{name}"] = float(torch.autograd.grad(term, probe, retain_graph=True)[0].norm())
        out |= common.update(
            p.gan_weight * adversarial + scale * diffusion,
            self.adapter_optimizers,
            [self.adapter],
            p.fast_adapter.clip,
            "adapter",
        )
        return out

    @torch.no_grad()
    def validate(self, averages: Mapping[str, nn.Module], folder: Path, step: int) -> dict[str, float]:
        return sample_report(
            self.preset,
            self.codec,
            self.dtype,
            self.fast,
            averages["adapter"],
            self.held,
            folder / f"sheet-{step:06d}.png",
        )

    def products(self, averages: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
        """Shipped parts by name."""
        return {"fast-adapter": averages["adapter"]}
