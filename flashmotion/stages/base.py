"""Stage 0: the slow generator, from first frame and prompt alone (flow matching)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from flashmotion import flow
from flashmotion.networks.codec import PatchCodec, to_latents, to_video
from flashmotion.networks.generator import Request, predict_x0
from flashmotion.presets.schema import Preset
from flashmotion.sampling import denoiser, multi_step, start
from flashmotion.stages import common
from flashmotion.stages.losses import x0_loss
from flashmotion.training.data import Batch
from flashmotion.training.precision import autocast


class Base:
    """L = || x0_hat(x_t, t, first frame, prompt) - x0 ||^2, see `losses.x0_loss`."""

    name = "base"
    averaged = ("generator",)

    def __init__(
        self, preset: Preset, codec: PatchCodec, dtype: torch.dtype, test_text: Tensor, clips: int = 4
    ) -> None:
        self.preset, self.codec, self.dtype = preset, codec, dtype
        self.generator = common.new_generator(preset)
        self.nets = {"generator": self.generator}
        self.optimizers = common.optimizers([self.generator], preset.base)
        self.held = common.held_out(preset, codec, test_text, "masks", clips)

    def step(self, step: int, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        p = self.preset
        z = to_latents(self.codec, batch.video)
        t = flow.training_times(len(z), p.train_shift, 0.15, rng)
        request = Request(common.latents_with_noise(z, t, rng), t, batch.text.float(), batch.frames)
        with autocast(self.dtype):
            x0 = predict_x0(self.generator, request)
        loss = x0_loss(p, self.codec, x0, z, t, batch.weight)
        return common.update(loss, self.optimizers, [self.generator], p.base.clip)

    @torch.no_grad()
    def validate(self, averages: Mapping[str, nn.Module], folder: Path, step: int) -> dict[str, float]:
        p, held = self.preset, self.held
        rng = torch.Generator().manual_seed(0)
        frames = torch.arange(held.latents.shape[2])
        model = averages["generator"]
        out: dict[str, float] = {}
        with autocast(self.dtype):
            for t in (0.2, 0.5, 0.8):
                time = torch.full((len(held.latents),), t)
                request = Request(common.latents_with_noise(held.latents, time, rng), time, held.text, frames)
                x0 = predict_x0(model, request).float()
                out[f"psnr_x0_at_{t}"] = common.psnr(to_video(self.codec, x0), held.video)
            x = start(held.latents[:2, :, :1], held.latents.shape[2], rng)
            z = multi_step(denoiser(model, held.text[:2], frames), x, flow.sampling_times(20, p.sample_shift))
        video = to_video(self.codec, z)
        out["change"] = float(video.float().diff(dim=1).abs().mean())
        out["change_of_truth"] = float(held.video[:2].float().diff(dim=1).abs().mean())
        common.sheet(
            folder / f"sheet-{step:06d}.png", [v for pair in zip(held.video[:2], video, strict=True) for v in pair]
        )
        return out

    def products(self, averages: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
        """Shipped parts by name."""
        return {"slow-generator": averages["generator"]}
