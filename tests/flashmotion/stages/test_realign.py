"""Stage 3 without the GAN, without the diffusion loss, with a fixed weight, and the control on the slow generator."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from flashmotion.networks.codec import PatchCodec, to_latents
from flashmotion.presets.schema import Preset
from flashmotion.sampling import few_step, start
from flashmotion.stages.diffusion_only import DiffusionOnly
from flashmotion.stages.fast_adapter import FastAdapter
from flashmotion.stages.fixed_lambda import FixedLambda
from flashmotion.stages.gan_only import GanOnly
from flashmotion.stages.realign import Realign
from flashmotion.stages.slow_tuned import SlowTuned
from flashmotion.training.data import Batch

METHODS: list[type[Realign]] = [FastAdapter, DiffusionOnly, SlowTuned, GanOnly, FixedLambda]
Build = Callable[..., Any]


def rng(step: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(step)


@pytest.fixture
def build(toy: Preset, codec: PatchCodec, text: Tensor, triple: tuple[nn.Module, ...]) -> Build:
    def make(method: type[Realign], **changes: object) -> Realign:
        torch.manual_seed(0)
        preset = dataclasses.replace(toy, **changes)  # type: ignore[arg-type]
        return method(preset, codec, torch.float32, text[-4:], clips=3, parts=triple)  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize("method", METHODS)
def test_both_generators_stay(build: Build, moved: Callable[..., list[set[str]]], method: type[Realign]) -> None:
    stage = build(method, heads_updates=1)
    nets = {"slow": stage.slow, "fast": stage.fast, "codec": stage.codec, **stage.nets}
    assert moved(stage, nets, 2) == [set(stage.nets)] * 2
    for net in (stage.slow, stage.fast):
        assert all(p.grad is None and not p.requires_grad for p in net.parameters())


@pytest.mark.parametrize(("method", "used"), [(DiffusionOnly, "fast"), (SlowTuned, "slow"), (GanOnly, "fast")])
def test_which_generator_the_adapter_is_trained_and_sampled_with(
    build: Build, batch: Batch, tmp_path: Path, method: type[Realign], used: str
) -> None:
    stage = build(method)
    assert stage.generator is getattr(stage, used)
    other = stage.slow if used == "fast" else stage.fast
    before = stage.diffusion(stage.denoiser(batch), batch, rng(1)).item()
    report = stage.validate({"adapter": stage.adapter}, tmp_path, 1)
    with torch.no_grad():
        for p in other.parameters():
            p.zero_()
    assert stage.diffusion(stage.denoiser(batch), batch, rng(1)).item() == before
    assert stage.validate({"adapter": stage.adapter}, tmp_path, 1) == report


def test_losses_by_name(build: Build, batch: Batch) -> None:
    heads = {"discriminator", "discriminator_gradient", "accuracy", "ordered"}
    both = {
        "motion",
        "copies",
        "saturation",
        "adversarial",
        "diffusion",
        "lambda",
        "adapter",
        "adapter_gradient",
        "pull_adversarial",
        "pull_diffusion",
    }
    for method in (DiffusionOnly, SlowTuned):
        assert set(build(method).step(0, batch, rng())) == {"diffusion", "diffusion_gradient"}
    for method in (FastAdapter, GanOnly, FixedLambda):
        losses = build(method, heads_updates=1).step(0, batch, rng())
        assert {n for n in losses if not n.startswith("accuracy_")} == heads | both


@pytest.mark.parametrize(("method", "scales"), [(GanOnly, [0, 0]), (FixedLambda, [1, 1]), (FastAdapter, [10, 1])])
def test_the_weight_of_the_diffusion_term(
    build: Build, batch: Batch, method: type[FastAdapter], scales: list[float]
) -> None:
    stage = build(method, heads_updates=1)
    for step, scale in zip((0, 225), scales, strict=True):
        losses = stage.step(step, batch, rng(step))
        assert losses["lambda"] == pytest.approx(scale)
        expected = stage.preset.gan_weight * losses["adversarial"] + scale * losses["diffusion"]
        assert float(losses["adapter"]) == pytest.approx(float(expected), rel=1e-5)


def test_without_the_diffusion_loss_real_videos_reach_the_adapter_through_the_discriminator_alone(
    build: Build, batch: Batch
) -> None:
    """An undecided discriminator has no gradient for the adapter: L_diffusion alone moves it."""
    for method, gradient in ((GanOnly, False), (FastAdapter, True)):
        stage = build(method, heads_updates=1)
        for o in stage.discriminator_optimizers.values():
            for group in o.param_groups:
                group["lr"] = 0.0
        losses = stage.step(0, batch, rng())
        assert losses["adversarial"] == pytest.approx(math.log(2))
        assert (losses["adapter_gradient"] > 0) == gradient and losses["pull_diffusion"] > 0


@pytest.mark.parametrize("method", METHODS)
def test_the_first_frame_is_bit_equal_after_sampling(build: Build, batch: Batch, method: type[Realign]) -> None:
    stage = build(method)
    first = to_latents(stage.codec, batch.video)[:, :, :1]
    with torch.no_grad():
        z = few_step(stage.denoiser(batch), start(first, len(batch.frames), rng()), stage.preset.few_steps, rng())
    assert torch.equal(z[:, :, :1], first)


def test_products_are_named_after_the_method(build: Build) -> None:
    names = {m: set(build(m).products({"adapter": nn.Identity()})) for m in METHODS}
    assert names == {
        FastAdapter: {"fast-adapter"}, DiffusionOnly: {"diffusion-only-adapter"}, SlowTuned: {"slow-tuned-adapter"},
        GanOnly: {"gan-only-adapter"}, FixedLambda: {"fixed-lambda-adapter"},
    }  # fmt: skip
    assert set(build(FastAdapter, adapter="resnet").products({"adapter": nn.Identity()})) == {"fast-adapter-resnet"}


@pytest.mark.parametrize("method", [DiffusionOnly, SlowTuned])
def test_it_learns_on_one_batch(build: Build, batch: Batch, method: type[Realign]) -> None:
    stage = build(method)
    losses = [stage.step(0, batch, rng(1))["diffusion"] for _ in range(25)]
    assert losses[-1] < 0.9 * losses[0]
