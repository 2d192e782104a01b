"""What methods that distil generator and adapter together have in common: teacher, student, report, products."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from flashmotion import weights
from flashmotion.networks.adapters import ADAPTERS
from flashmotion.networks.codec import PatchCodec, to_latents
from flashmotion.networks.residual import ResidualGenerator
from flashmotion.presets.schema import Preset
from flashmotion.sampling import Denoiser, denoiser, guided
from flashmotion.stages import common
from flashmotion.stages.report import sample_report
from flashmotion.training.data import Batch

Pair = tuple[WanTransformer3DModel, nn.Module]


class Joint:
    """Student generator and adapter that start as the slow ones, which are the frozen teacher. Methods add `step`."""

    name: str
    averaged: tuple[str, ...] = ("generator", "adapter")

    def __init__(
        self,
        preset: Preset,
        codec: PatchCodec,
        dtype: torch.dtype,
        test_text: Tensor,
        clips: int = 6,
        parts: Pair | None = None,
    ) -> None:
        """parts: slow generator and slow adapter; loaded from the exported weights if None."""
        self.preset, self.codec, self.dtype = preset, codec, dtype
        slow, adapter = parts if parts is not None else load_pair(preset)
        self.slow = slow.requires_grad_(False).eval(), adapter.requires_grad_(False).eval()
        self.student = copy_of(self.slow)
        self.nets: dict[str, nn.Module] = {"generator": self.student[0], "adapter": self.student[1]}
        self.student_optimizers = common.optimizers(self.student, preset.fast_adapter, "student_")
        self.optimizers = dict(self.student_optimizers)
        self.held = common.held_out(preset, codec, test_text, preset.condition, clips)
        self.empty = test_text[-1:].float()

    def denoiser(self, pair: Pair, batch: Batch) -> Denoiser:
        """A generator and its adapter on a batch."""
        control = to_latents(self.codec, batch.maps)
        return denoiser(pair[0], batch.text.float(), batch.frames, pair[1], control)

    def teacher(self, batch: Batch, w: float) -> Denoiser:
        """The slow pair with classifier-free guidance of the prompt."""
        control, empty = to_latents(self.codec, batch.maps), self.empty.expand(len(batch.text), -1, -1)
        free = denoiser(self.slow[0], empty, batch.frames, self.slow[1], control)
        return guided(self.denoiser(self.slow, batch), free, w)

    @torch.no_grad()
    def validate(self, averages: Mapping[str, nn.Module], folder: Path, step: int) -> dict[str, float]:
        path, nets = folder / f"sheet-{step:06d}.png", (averages["generator"], averages["adapter"])
        return sample_report(self.preset, self.codec, self.dtype, *nets, self.held, path)  # type: ignore[arg-type]

    def products(self, averages: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
        """Exported parts by name."""
        return {self.preset.part(f"{self.name}-{k}"): averages[k] for k in self.averaged}


def copy_of(pair: Pair) -> Pair:
    """A copy that can learn."""
    return copy.deepcopy(pair[0]).requires_grad_(True), copy.deepcopy(pair[1]).requires_grad_(True)


def load_pair(preset: Preset) -> Pair:
    """Slow generator and SlowAdapter, as exported."""
    return (
        weights.load(ResidualGenerator, preset.name, "slow-generator"),
        weights.load(ADAPTERS[preset.adapter], preset.name, preset.part("slow-adapter")),
    )
