"""Stage 0: the slow generator, from first frame and prompt (flow matching).

A generator of this size learns to render moving objects slowly when nothing says where they go: it sees blurs. Most
samples therefore also give a hint, the mask maps through one linear layer, which is taken away afterwards: the
generator takes first frame and prompt alone, as the samples without a hint train it to. Adapters start from the layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from flashmotion import flow
from flashmotion.device import moved
from flashmotion.networks.adapters.hint import Hint
from flashmotion.networks.codec import PatchCodec, to_latents, to_video
from flashmotion.networks.generator import Request, embed, predict_x0
from flashmotion.precision import autocast
from flashmotion.presets.schema import Preset
from flashmotion.sampling import denoiser, multi_step, start
from flashmotion.stages import common
from flashmotion.stages.losses import x0_loss
from flashmotion.training.data import Batch

HINT_SHARE = 0.7  # of the samples


class Base:
    """L = || x0_hat(x_t, t, first frame, prompt) - x0 ||^2, see `losses.x0_loss`."""

    name = "base"
    averaged = ("generator", "hint")

    def __init__(
        self, preset: Preset, codec: PatchCodec, dtype: torch.dtype, test_text: Tensor, clips: int = 4
    ) -> None:
        self.preset, self.codec, self.dtype = preset, codec, dtype
        self.generator = common.new_generator(preset, codec)
        self.hint = Hint(preset.channels, preset.heads * preset.head_dim, tuple(self.generator.config.patch_size))
        self.nets = {"generator": self.generator, "hint": self.hint}
        self.optimizers = common.optimizers(self.nets.values(), preset.base)
        self.held = common.held_out(preset, codec, test_text, "masks", clips)

    def step(self, step: int, batch: Batch, rng: torch.Generator) -> common.Losses:
        p = self.preset
        z = to_latents(self.codec, batch.video)
        t = moved(flow.training_times(len(z), p.train_shift, p.high_noise, p.low_noise, rng), z.device)
        request = Request(common.latents_with_noise(z, t, rng), t, batch.text.float(), batch.frames)
        given = moved((torch.rand(len(z), generator=rng) < HINT_SHARE).view(-1, 1, 1).to(z.dtype), z.device)
        with autocast(self.dtype, self.codec.device):
            embedded = self.hint(to_latents(self.codec, batch.maps), embed(self.generator, request), given)
            x0 = predict_x0(self.generator, request, embedded=embedded)
        loss = x0_loss(p, self.codec, x0, z, t, batch.weight, batch.frames)
        return common.update(loss, self.optimizers, list(self.nets.values()), p.base.clip)

    @torch.no_grad()
    def validate(self, averages: Mapping[str, nn.Module], folder: Path, step: int) -> dict[str, float]:
        p, held = self.preset, self.held
        rng = torch.Generator().manual_seed(0)
        frames = torch.arange(held.latents.shape[2], device=held.latents.device)
        model = averages["generator"]
        out: dict[str, float] = {}
        with autocast(self.dtype, self.codec.device):
            for t in (0.2, 0.5, 0.8):
                time = torch.full((len(held.latents),), t, device=held.latents.device)
                request = Request(common.latents_with_noise(held.latents, time, rng), time, held.text, frames)
                x0 = predict_x0(model, request).float()
                out[f"psnr_x0_at_{t}"] = common.psnr(to_video(self.codec, x0), held.video)
            x = start(held.latents[:2, :, :1], held.latents.shape[2], rng)
            z = multi_step(denoiser(model, held.text[:2], frames), x, flow.sampling_times(20, p.sample_shift))
            x = start(held.latents[:2, :, :1], held.latents.shape[2], rng)
            request = Request(x, torch.ones(2, device=x.device), held.text[:2], frames)
            embedded = averages["hint"](held.control[:2], embed(model, request))
            hint = to_video(self.codec, predict_x0(model, request, embedded=embedded).float())
        out["psnr_1step_hint"] = common.psnr(hint, held.video[:2])
        video = to_video(self.codec, z)
        out["change"] = float(video.float().diff(dim=1).abs().mean())
        out["change_of_truth"] = float(held.video[:2].float().diff(dim=1).abs().mean())
        rows = [v for three in zip(held.video[:2], video, hint, strict=True) for v in three]
        common.sheet(folder / f"sheet-{step:06d}.png", rows)
        return out

    def products(self, averages: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
        """Shipped parts by name."""
        return {"slow-generator": averages["generator"], "hint": averages["hint"]}
