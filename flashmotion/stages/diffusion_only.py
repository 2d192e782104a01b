"""Stage 3 without the GAN (the paper's ablation): L = L_diffusion on the frozen fast generator.

Every step updates the adapter, so that `adapter_updates` steps are as many updates as stage 3 makes.
"""

from __future__ import annotations

import torch

from flashmotion.stages import common
from flashmotion.stages.realign import Realign
from flashmotion.training.data import Batch


class DiffusionOnly(Realign):
    """Trains the adapter; both generators are frozen, the slow one is not used."""

    name = "diffusion-only"

    def step(self, step: int, batch: Batch, rng: torch.Generator) -> common.Losses:
        loss = self.diffusion(self.denoiser(batch), batch, rng)
        clip = self.preset.fast_adapter.clip
        return common.update(loss, self.adapter_optimizers, [self.adapter], clip, "diffusion")
