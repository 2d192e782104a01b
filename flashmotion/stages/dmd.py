"""Distribution matching distillation of generator and adapter together: stage 2's losses, with the path given.

Every step trains the fake score (generator and adapter of its own), every `heads_updates`-th the student, as often as
stage 3 updates its adapter.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from flashmotion.device import moved
from flashmotion.networks.codec import to_latents
from flashmotion.precision import autocast
from flashmotion.stages import common
from flashmotion.stages.fast_generator import dmd_loss, score_times, student
from flashmotion.stages.health import LIMITS, health
from flashmotion.stages.joint import Joint, copy_of
from flashmotion.stages.losses import x0_loss
from flashmotion.training.data import Batch


class Dmd(Joint):
    """Trains student and fake score; the slow pair is the frozen real score."""

    name = "dmd"
    limits = LIMITS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fake = copy_of(self.slow)
        self.nets |= {"fake_generator": self.fake[0], "fake_adapter": self.fake[1]}
        self.fake_optimizers = common.optimizers(self.fake, self.preset.fast_adapter, "fake_")
        self.optimizers |= self.fake_optimizers

    def _sample(self, batch: Batch, rng: torch.Generator, grad: bool) -> Tensor:
        first = to_latents(self.codec, batch.video[:, :1])
        model = self.denoiser(self.student, batch)
        return student(model, first, len(batch.frames), self.preset.few_steps, rng, grad=grad)

    def step(self, step: int, batch: Batch, rng: torch.Generator) -> common.Losses:
        p = self.preset
        with autocast(self.dtype, self.codec.device):
            x = self._sample(batch, rng, grad=False)
            t = moved(score_times(len(x), p.train_shift, rng), x.device)
            x_fake = self.denoiser(self.fake, batch)(common.latents_with_noise(x, t, rng), t)
        loss = x0_loss(p, self.codec, x_fake, x, t, torch.ones_like(batch.weight), batch.frames)
        out = common.update(loss, self.fake_optimizers, list(self.fake), p.fast_adapter.clip, "critic")
        if (step + 1) % p.heads_updates == 0:
            out |= self._student_step(batch, rng)
        return out

    def _student_step(self, batch: Batch, rng: torch.Generator) -> common.Losses:
        p = self.preset
        with autocast(self.dtype, self.codec.device):
            x = self._sample(batch, rng, grad=True)
            with torch.no_grad():
                t = moved(score_times(len(x), p.train_shift, rng), x.device)
                x_t = common.latents_with_noise(x.detach(), t, rng)
                x_real = self.teacher(batch, p.dmd_guidance)(x_t, t).float()
                x_fake = self.denoiser(self.fake, batch)(x_t, t).float()
        out = common.update(
            dmd_loss(x, x_real, x_fake), self.student_optimizers, list(self.student), p.fast_adapter.clip, "dmd"
        )
        out["score_gap"] = (x_fake - x_real)[:, :, 1:].abs().mean()
        out |= health(self.codec, x.detach(), to_latents(self.codec, batch.video))
        return out
