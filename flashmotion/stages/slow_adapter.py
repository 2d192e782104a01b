"""Stage 1, SlowAdapter (the paper, section 3.2): an adapter on the frozen slow generator, masks first, then boxes.

L = || x0_hat(x_t, t, first frame, prompt, trajectory) - x0 ||^2; whether a batch shows masks or boxes is the data's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from flashmotion import flow, weights
from flashmotion.device import moved
from flashmotion.networks.adapters import ADAPTERS
from flashmotion.networks.adapters.hint import Hint
from flashmotion.networks.codec import PatchCodec, to_latents
from flashmotion.networks.generator import Request, embed, predict_x0
from flashmotion.networks.residual import ResidualGenerator
from flashmotion.precision import autocast
from flashmotion.presets.schema import Preset
from flashmotion.stages import common
from flashmotion.stages.losses import x0_loss
from flashmotion.stages.report import sample_report
from flashmotion.training.data import Batch


class SlowAdapter:
    """Trains the adapter; the generator is loaded and frozen."""

    name = "slow-adapter"
    averaged = ("adapter",)

    def __init__(
        self,
        preset: Preset,
        codec: PatchCodec,
        dtype: torch.dtype,
        test_text: Tensor,
        clips: int = 6,
        parts: tuple[WanTransformer3DModel, Hint] | None = None,
    ) -> None:
        """parts: slow generator and the hint it was trained with; loaded from the shipped weights if None."""
        self.preset, self.codec, self.dtype = preset, codec, dtype
        generator, hint = parts or (
            weights.load(ResidualGenerator, preset.name, "slow-generator"),
            weights.load(Hint, preset.name, "hint"),
        )
        self.generator = generator.requires_grad_(False).eval()
        self.adapter = ADAPTERS[preset.adapter].of(self.generator, preset.channels, hint)
        self.nets = {"adapter": self.adapter}
        self.optimizers = common.optimizers([self.adapter], preset.slow_adapter)
        self.held = {c: common.held_out(preset, codec, test_text, c, clips) for c in ("masks", "boxes")}

    @property
    def boxes_from(self) -> int:
        """Step from which batches show boxes."""
        return int(self.preset.slow_adapter.steps * self.preset.mask_share)

    def step(self, step: int, batch: Batch, rng: torch.Generator) -> common.Losses:
        p = self.preset
        z, control = to_latents(self.codec, batch.video), to_latents(self.codec, batch.maps)
        t = moved(flow.training_times(len(z), p.train_shift, p.high_noise, p.low_noise, rng), z.device)
        request = Request(common.latents_with_noise(z, t, rng), t, batch.text.float(), batch.frames)
        with autocast(self.dtype, self.codec.device):
            embedded = embed(self.generator, request)
            x0 = predict_x0(self.generator, request, self.adapter(control, embedded), embedded=embedded)
        loss = x0_loss(p, self.codec, x0, z, t, batch.weight, batch.frames)
        return common.update(loss, self.optimizers, [self.adapter], p.slow_adapter.clip)

    @torch.no_grad()
    def validate(self, averages: Mapping[str, nn.Module], folder: Path, step: int) -> dict[str, float]:
        held = self.held["masks" if step <= self.boxes_from else "boxes"]
        return sample_report(
            self.preset,
            self.codec,
            self.dtype,
            self.generator,
            averages["adapter"],
            held,
            folder / f"sheet-{step:06d}.png",
        )

    def products(self, averages: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
        """Shipped parts by name."""
        return {self.preset.part("slow-adapter"): averages["adapter"]}
