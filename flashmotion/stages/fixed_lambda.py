"""Stage 3 with a fixed weight (the paper's ablation): L = L_G + L_diffusion."""

from __future__ import annotations

from flashmotion.stages.fast_adapter import FastAdapter


class FixedLambda(FastAdapter):
    """As `FastAdapter`, lambda = 1."""

    name = "fixed-lambda"

    def scale(self, step: int) -> float:
        return 1.0
