"""Stage 3, FastAdapter (the paper, section 3.4): the adapter re-aligned to the frozen fast generator.

L = w L_G + lambda(step) L_diffusion,  lambda(step) = 1 / (4e-3 step + 0.1),  L_G = E[softplus(-D(x_t^fake, t))],
L_D = E[softplus(-D(x_t^real, t)) + softplus(D(x_t^fake, t))],  L_diffusion = || G(x_t, t) - x0_real ||^2, t listed.
w is the preset's `gan_weight` (the paper writes none). Real and fake share first frame, text, trajectory, t and noise;
with the preset's `paired` each loss is of the difference of their two logits, f(D(fake) - D(real)) and its opposite:
which of two is the made one is told long before whether one is.
The discriminator is trained at every step, the adapter at every `heads_updates`-th; `step` counts the former.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from flashmotion.device import moved, noise
from flashmotion.networks.codec import to_latents
from flashmotion.networks.discriminator import Discriminator
from flashmotion.networks.generator import Request, embed, run_blocks
from flashmotion.precision import autocast
from flashmotion.sampling import Denoiser
from flashmotion.stages import common
from flashmotion.stages.fast_generator import student
from flashmotion.stages.health import LIMITS, accuracy_by_noise, health
from flashmotion.stages.losses import softplus_discriminator, softplus_generator
from flashmotion.stages.realign import Realign
from flashmotion.training.data import Batch


def lambda_of(step: int, form: str | float = "decaying") -> float:
    """Weight of the diffusion term: 1 / (4e-3 step + 0.1), 10 at step 0 and 1 at step 225.

    The PDF can also be read as `rising`, 0.25e-3 step + 0.1; a number is a constant.
    """
    if form == "decaying":
        return 1 / (4e-3 * step + 0.1)
    return 0.25e-3 * step + 0.1 if form == "rising" else float(form)


def taps_of(layers: int) -> tuple[int, ...]:
    """Blocks tapped by the discriminator: at about 45, 70 and 97 % of the depth (Wan's 13, 21, 29 of 30)."""
    return tuple(sorted({min(layers - 1, round(layers * share)) for share in (0.45, 0.7, 0.97)}))


class FastAdapter(Realign):
    """Trains adapter and discriminator heads; both generators are frozen."""

    name = "fast-adapter"
    limits = LIMITS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        p = self.preset
        self.taps = taps_of(p.layers)
        self.discriminator = Discriminator(
            len(self.taps), p.heads * p.head_dim, 384, p.channels, attentions=p.discriminator
        )
        self.nets["discriminator"] = self.discriminator
        self.discriminator_optimizers = common.optimizers([self.discriminator], p.fast_adapter, "discriminator_")
        self.optimizers |= self.discriminator_optimizers

    def scale(self, step: int) -> float:
        """Weight of L_diffusion."""
        return lambda_of(step, self.preset.lambda_form)

    def _logits(self, x: Tensor, t: Tensor, eps: Tensor, batch: Batch) -> Tensor:
        """D of clean latents `x`, noised to `t` with `eps`."""
        t = moved(t, x.device)
        s = t.view(-1, 1, 1, 1, 1)
        x_t = torch.cat([x[:, :, :1], (1 - s) * x[:, :, 1:] + s * eps], dim=2)
        text, control = batch.text.float(), to_latents(self.codec, batch.maps)
        with autocast(self.dtype, self.codec.device):
            embedded = embed(self.slow, Request(x_t, t, text, batch.frames))
            _, tapped = run_blocks(self.slow, embedded, taps=self.taps)
        return self.discriminator(tapped, text, control, t, embedded.first)

    def _fake(self, model: Denoiser, z: Tensor, batch: Batch, rng: torch.Generator, grad: bool) -> Tensor:
        p = self.preset
        with autocast(self.dtype, self.codec.device):
            return student(model, z[:, :, :1], len(batch.frames), p.few_steps, rng, grad=grad, whole=p.whole_samples)

    def _noise(self, z: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Times `[B]` in `discriminator_times`, on the CPU, and noise for all latent frames but the first: what the
        discriminator sees through."""
        low, high = self.preset.discriminator_times
        t = low + (high - low) * torch.rand(len(z), generator=rng)
        return t, noise(z[:, :, 1:].shape, rng, z.device)

    def step(self, step: int, batch: Batch, rng: torch.Generator) -> common.Losses:
        p, model, z = self.preset, self.denoiser(batch), to_latents(self.codec, batch.video)
        fake = self._fake(model, z, batch, rng, grad=False)
        t, eps = self._noise(z, rng)
        real_logit, fake_logit = self._logits(z, t, eps, batch), self._logits(fake, t, eps, batch)
        loss = softplus_discriminator(real_logit, fake_logit, p.paired)
        out = common.update(
            loss, self.discriminator_optimizers, [self.discriminator], p.fast_adapter.clip, "discriminator"
        )
        out |= accuracy_by_noise(real_logit, fake_logit, t)
        if (step + 1) % p.heads_updates == 0:
            out |= self._adapter_step(step, model, z, batch, rng)
        return out

    def _adapter_step(self, step: int, model: Denoiser, z: Tensor, batch: Batch, rng: torch.Generator) -> common.Losses:
        fake = self._fake(model, z, batch, rng, grad=True)
        t, eps = self._noise(z, rng)
        self.discriminator.requires_grad_(False)
        with torch.no_grad():
            real_logit = self._logits(z, t, eps, batch) if self.preset.paired else None
        adversarial = softplus_generator(self._logits(fake, t, eps, batch), real_logit)
        self.discriminator.requires_grad_(True)
        diffusion = self.diffusion(model, batch, rng)
        scale = self.scale(step)
        out = health(self.codec, fake.detach(), z)
        out |= {"adversarial": adversarial.detach(), "diffusion": diffusion.detach(), "lambda": scale}
        # Health: what each term alone asks of one layer, so that the weight of L_G can be judged.
        probe = self.adapter.outputs[-1].weight
        for name, term in (("adversarial", adversarial), ("diffusion", diffusion)):
            out[f"pull_{name}"] = torch.autograd.grad(term, probe, retain_graph=True)[0].norm()
        loss = self.preset.gan_weight * adversarial + scale * diffusion
        return out | common.update(
            loss, self.adapter_optimizers, [self.adapter], self.preset.fast_adapter.clip, "adapter"
        )
