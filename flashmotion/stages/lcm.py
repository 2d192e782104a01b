"""Consistency distillation of generator and adapter together (LCM, arXiv 2310.04378, algorithm 1).

L = || f(x_t, t) - sg f(x_s, s) ||^2, x_s one guided Euler step of the teacher from x_t along its `slow_steps` times;
f = x0_hat, and f(x_0, 0) = x_0. The target is the student itself without gradient, not its moving average (iCT,
arXiv 2310.14189).
"""

from __future__ import annotations

import torch

from flashmotion import flow
from flashmotion.device import moved
from flashmotion.networks.codec import to_latents
from flashmotion.precision import autocast
from flashmotion.stages import common
from flashmotion.stages.joint import Joint
from flashmotion.stages.losses import x0_loss
from flashmotion.training.data import Batch


class Lcm(Joint):
    """Trains generator and adapter; the slow pair is frozen."""

    name = "lcm"

    def step(self, step: int, batch: Batch, rng: torch.Generator) -> common.Losses:
        p, z = self.preset, to_latents(self.codec, batch.video)
        times = flow.sampling_times(p.slow_steps, p.sample_shift)
        at = torch.randint(p.slow_steps, (len(z),), generator=rng)
        t, s = moved(times[at], z.device), moved(times[at + 1], z.device)
        x_t = common.latents_with_noise(z, t, rng)
        model = self.denoiser(self.student, batch)
        with autocast(self.dtype, self.codec.device):
            with torch.no_grad():
                x0 = self.teacher(batch, p.guidance)(x_t, t).float()
                ratio = ((s - t) / t).view(-1, 1, 1, 1, 1)
                x_s = torch.cat([z[:, :, :1], (x_t + ratio * (x_t - x0))[:, :, 1:]], dim=2)
                target = torch.where((s > 0).view(-1, 1, 1, 1, 1), model(x_s, s).float(), x_s)
            x0_hat = model(x_t, t)
        loss = x0_loss(p, self.codec, x0_hat, target, torch.ones_like(t), batch.weight, batch.frames)
        return common.update(loss, self.student_optimizers, list(self.student), p.fast_adapter.clip, "consistency")
