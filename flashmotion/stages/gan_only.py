"""Stage 3 without the diffusion loss (the paper's ablation): L = L_G. L_diffusion is logged, with weight 0."""

from __future__ import annotations

from flashmotion.stages.fast_adapter import FastAdapter


class GanOnly(FastAdapter):
    """As `FastAdapter`, lambda = 0."""

    name = "gan-only"

    def scale(self, step: int) -> float:
        return 0.0
