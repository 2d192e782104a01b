"""The fair control that the paper lacks: the SlowAdapter trained on with the x0 loss at the few-step times.

As `diffusion_only`, but beside the slow generator, and sampled with it: what few-step times alone are worth, without
any distillation.
"""

from __future__ import annotations

from diffusers import WanTransformer3DModel

from flashmotion.stages.diffusion_only import DiffusionOnly


class SlowTuned(DiffusionOnly):
    """Trains the adapter; the slow generator is frozen, the fast one is not used."""

    name = "slow-tuned"

    @property
    def generator(self) -> WanTransformer3DModel:
        return self.slow
