"""What the methods of stage 3 have in common: the parts they start from, the diffusion term, report and product."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from flashmotion import weights
from flashmotion.device import moved
from flashmotion.networks.adapters import ADAPTERS
from flashmotion.networks.codec import PatchCodec, to_latents
from flashmotion.networks.residual import ResidualGenerator
from flashmotion.precision import autocast
from flashmotion.presets.schema import Preset
from flashmotion.sampling import Denoiser, denoiser
from flashmotion.stages import common
from flashmotion.stages.losses import x0_loss
from flashmotion.stages.report import sample_report
from flashmotion.training.data import Batch

Parts = tuple[WanTransformer3DModel, WanTransformer3DModel, nn.Module]


class Realign:
    """An adapter that starts as the SlowAdapter and learns beside a frozen generator. Methods add `step`."""

    name: str
    averaged: tuple[str, ...] = ("adapter",)

    def __init__(
        self,
        preset: Preset,
        codec: PatchCodec,
        dtype: torch.dtype,
        test_text: Tensor,
        clips: int = 6,
        parts: Parts | None = None,
    ) -> None:
        """parts: slow generator, fast generator, slow adapter; loaded from the exported weights if None."""
        self.preset, self.codec, self.dtype = preset, codec, dtype
        slow, fast, adapter = parts if parts is not None else load_parts(preset)
        self.slow, self.fast = slow.requires_grad_(False).eval(), fast.requires_grad_(False).eval()
        self.adapter = copy.deepcopy(adapter).requires_grad_(True)
        self.nets: dict[str, nn.Module] = {"adapter": self.adapter}
        self.adapter_optimizers = common.optimizers([self.adapter], preset.fast_adapter, "adapter_")
        self.optimizers = dict(self.adapter_optimizers)
        self.held = common.held_out(preset, codec, test_text, preset.condition, clips)

    @property
    def generator(self) -> WanTransformer3DModel:
        """The frozen generator that the adapter is trained beside and sampled with."""
        return self.fast

    def denoiser(self, batch: Batch) -> Denoiser:
        """Generator and adapter on a batch."""
        control = to_latents(self.codec, batch.maps)
        return denoiser(self.generator, batch.text.float(), batch.frames, self.adapter, control)

    def diffusion(self, model: Denoiser, batch: Batch, rng: torch.Generator) -> Tensor:
        """L_diffusion = || G(x_t, t) - x0_real ||^2, t one of the few-step times."""
        z, times = to_latents(self.codec, batch.video), self.preset.few_steps
        t = moved(torch.tensor(times)[torch.randint(len(times), (len(z),), generator=rng)], z.device)
        with autocast(self.dtype, self.codec.device):
            x0 = model(common.latents_with_noise(z, t, rng), t)
        return x0_loss(self.preset, self.codec, x0, z, torch.ones_like(t), batch.weight, batch.frames)

    @torch.no_grad()
    def validate(self, averages: Mapping[str, nn.Module], folder: Path, step: int) -> dict[str, float]:
        path = folder / f"sheet-{step:06d}.png"
        return sample_report(self.preset, self.codec, self.dtype, self.generator, averages["adapter"], self.held, path)

    def products(self, averages: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
        """Exported parts by name."""
        return {self.preset.part(f"{self.name.removesuffix('-adapter')}-adapter"): averages["adapter"]}


def load_parts(preset: Preset) -> Parts:
    """Slow generator, fast generator and SlowAdapter, as exported."""
    return (
        weights.load(ResidualGenerator, preset.name, "slow-generator"),
        weights.load(ResidualGenerator, preset.name, "fast-generator"),
        weights.load(ADAPTERS[preset.adapter], preset.name, preset.part("slow-adapter")),
    )
