"""Generator and adapter distilled together: by consistency, by distribution matching."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from flashmotion import flow
from flashmotion.networks.codec import PatchCodec, to_latents
from flashmotion.presets.schema import Preset
from flashmotion.stages import common
from flashmotion.stages.dmd import Dmd
from flashmotion.stages.joint import Joint
from flashmotion.stages.lcm import Lcm
from flashmotion.training.data import Batch

Build = Callable[..., Any]
METHODS: list[type[Joint]] = [Lcm, Dmd]


def rng(step: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(step)


@pytest.fixture
def build(toy: Preset, codec: PatchCodec, text: Tensor, triple: tuple[nn.Module, ...]) -> Build:
    def make(method: type[Joint], **changes: object) -> Joint:
        preset = dataclasses.replace(toy, **changes)  # type: ignore[arg-type]
        return method(preset, codec, torch.float32, text[-4:], clips=3, parts=(triple[0], triple[2]))  # type: ignore[arg-type]

    return make


def test_losses_by_name(build: Build, batch: Batch) -> None:
    assert set(build(Lcm).step(0, batch, rng())) == {"consistency", "consistency_gradient"}
    critic = {"critic", "critic_gradient"}
    dmd = {"dmd", "dmd_gradient", "score_gap", "motion", "copies", "saturation"}
    stage = build(Dmd)
    assert [set(stage.step(k, batch, rng(k))) for k in range(4)] == [critic, critic | dmd] * 2


@pytest.mark.parametrize(
    ("method", "turns"),
    [
        (Lcm, [{"generator", "adapter"}] * 2),
        (Dmd, [{"fake_generator", "fake_adapter"}, {"fake_generator", "fake_adapter", "generator", "adapter"}]),
    ],
)
def test_who_learns_when(
    build: Build, moved: Callable[..., list[set[str]]], method: type[Joint], turns: list[set[str]]
) -> None:
    stage = build(method)
    nets = {"slow": stage.slow[0], "slow adapter": stage.slow[1], "codec": stage.codec, **stage.nets}
    assert moved(stage, nets, 2) == turns
    for net in stage.slow:
        assert all(p.grad is None and not p.requires_grad for p in net.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_the_student_starts_as_the_slow_pair_and_shares_nothing(build: Build, method: type[Joint]) -> None:
    stage = build(method)
    for ours, theirs in zip(stage.student, stage.slow, strict=True):
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(a, b) and a is not b


def test_optimizers_own_their_pair_alone(build: Build) -> None:
    stage = build(Dmd)
    for own, pair in ((stage.student_optimizers, stage.student), (stage.fake_optimizers, stage.fake)):
        owned = {id(p) for o in own.values() for g in o.param_groups for p in g["params"]}
        assert owned == {id(p) for net in pair for p in net.parameters()}
    assert set(stage.optimizers) == {*stage.student_optimizers, *stage.fake_optimizers}


def test_the_last_consistency_target_is_the_teachers_own_end(build: Build, batch: Batch) -> None:
    """One Euler step of a single-step teacher lands on its x0: the student is asked for exactly that."""
    stage = build(Lcm, slow_steps=1, guidance=1.0, gradient_loss=0.0)
    z = to_latents(stage.codec, batch.video)
    draw = rng(3)
    torch.randint(1, (len(z),), generator=draw)
    t = flow.sampling_times(1, stage.preset.sample_shift)[torch.zeros(len(z), dtype=torch.long)]
    x_t = common.latents_with_noise(z, t, draw)
    with torch.no_grad():  # student equals teacher, so x0_hat is the target
        assert torch.equal(stage.denoiser(stage.slow, batch)(x_t, t), stage.denoiser(stage.student, batch)(x_t, t))
    assert stage.step(0, batch, rng(3))["consistency"] == pytest.approx(0, abs=1e-10)


def test_a_student_that_equals_both_scores_is_not_pulled(build: Build, batch: Batch) -> None:
    """Fake score equal to the teacher's, no guidance: the gradient of DMD is zero."""
    stage = build(Dmd, heads_updates=1, dmd_guidance=1.0)
    for o in stage.optimizers.values():
        for group in o.param_groups:
            group["lr"] = 0.0
    losses = stage.step(0, batch, rng())
    assert losses["score_gap"] == 0 and losses["dmd_gradient"] == 0 and losses["critic"] > 0
    guided = build(Dmd, heads_updates=1, dmd_guidance=3.0)
    for o in guided.optimizers.values():
        for group in o.param_groups:
            group["lr"] = 0.0
    assert guided.step(0, batch, rng())["dmd_gradient"] > 0


def test_the_consistency_loss_falls_on_one_batch(build: Build, batch: Batch) -> None:
    stage = build(Lcm, slow_steps=4)
    losses = [stage.step(0, batch, rng(1))["consistency"] for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]  # after 25 steps it still goes up and down: 0.66 to 1.03 on six batches


@pytest.mark.parametrize("method", METHODS)
def test_report_and_products(build: Build, tmp_path: Path, method: type[Joint]) -> None:
    stage = build(method)
    averages = {"generator": stage.student[0], "adapter": stage.student[1]}
    assert {"psnr_4step", "sharpness_4step"} <= set(stage.validate(averages, tmp_path, 2))
    assert (tmp_path / "sheet-000002.png").exists()
    name = stage.name
    assert set(stage.products(averages)) == {f"{name}-generator", f"{name}-adapter"}
    assert set(build(method, adapter="resnet").products(averages)) == {
        f"{name}-generator-resnet",
        f"{name}-adapter-resnet",
    }
