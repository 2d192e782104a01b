"""Stage 3: adapter and discriminator learn in turn, both generators stay."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from flashmotion.networks.adapters.controlnet import ControlNetAdapter
from flashmotion.networks.codec import PatchCodec, to_latents
from flashmotion.presets.schema import Preset
from flashmotion.stages import fast_adapter
from flashmotion.stages.fast_adapter import FastAdapter, lambda_of, taps_of
from flashmotion.stages.fast_generator import student
from flashmotion.training.data import Batch

Hash = Callable[[nn.Module], str]
DISCRIMINATOR = {"discriminator", "discriminator_gradient", "accuracy", "ordered"}
ADAPTER = {
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


def rng(step: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(step)


@pytest.fixture
def build(
    toy: Preset,
    codec: PatchCodec,
    text: Tensor,
    generator: WanTransformer3DModel,
    make_generator: Callable[..., WanTransformer3DModel],
    adapter: ControlNetAdapter,
) -> Callable[..., FastAdapter]:
    def make(**changes: object) -> FastAdapter:
        preset = dataclasses.replace(toy, **changes)  # type: ignore[arg-type]
        torch.manual_seed(0)
        parts = (generator, make_generator(seed=2), adapter)
        return FastAdapter(preset, codec, torch.float32, text[-4:], clips=3, parts=parts)

    return make


@pytest.fixture
def stage(build: Callable[..., FastAdapter]) -> FastAdapter:
    return build()


def test_lambda() -> None:
    assert lambda_of(0) == pytest.approx(10) and lambda_of(225) == pytest.approx(1)
    assert lambda_of(500) == pytest.approx(0.476, abs=1e-3) and lambda_of(1000) == pytest.approx(0.2439, abs=1e-4)
    assert lambda_of(0, "rising") == pytest.approx(0.1) and lambda_of(1000, "rising") == pytest.approx(0.35)
    assert lambda_of(7, 0.93) == 0.93
    values = [lambda_of(k) for k in range(1000)]
    assert values == sorted(values, reverse=True)
    assert sum(values) / 1000 == pytest.approx(math.log(41) / 4, abs=0.01)  # the mean that the text gives


def test_taps() -> None:
    assert taps_of(30) == (14, 21, 29) and taps_of(6) == (3, 4, 5)
    for layers in range(1, 41):
        taps = taps_of(layers)
        assert len(set(taps)) == len(taps) >= 1 and min(taps) >= 0 and max(taps) == layers - 1


def test_losses_by_name_and_turn(stage: FastAdapter, batch: Batch) -> None:
    """The discriminator at every step, the adapter at every second (`heads_updates`)."""
    found = [{n for n in stage.step(k, batch, rng(k)) if not n.startswith("accuracy_")} for k in range(4)]
    assert found == [DISCRIMINATOR, DISCRIMINATOR | ADAPTER] * 2


def test_start_values(build: Callable[..., FastAdapter], batch: Batch) -> None:
    """An undecided discriminator: 2 ln 2, then ln 2 for the adapter while the heads stand still."""
    stage = build(heads_updates=1)
    for o in stage.discriminator_optimizers.values():
        for group in o.param_groups:
            group["lr"] = 0.0
    losses = stage.step(0, batch, rng(0))
    assert losses["discriminator"] == pytest.approx(2 * math.log(2)) and losses["accuracy"] == 0
    assert losses["adversarial"] == pytest.approx(math.log(2)) and losses["lambda"] == pytest.approx(10)
    expected = stage.preset.gan_weight * losses["adversarial"] + 10 * losses["diffusion"]
    assert float(losses["adapter"]) == pytest.approx(float(expected), rel=1e-5)


def test_start_values_of_pairs(build: Callable[..., FastAdapter], batch: Batch) -> None:
    stage = build(heads_updates=1, paired=True)
    for o in stage.discriminator_optimizers.values():
        for group in o.param_groups:
            group["lr"] = 0.0
    losses = stage.step(0, batch, rng(0))
    assert losses["discriminator"] == losses["adversarial"] == pytest.approx(math.log(2)) and losses["ordered"] == 0


def test_the_adapter_is_told_the_difference_of_a_pair(
    build: Callable[..., FastAdapter], batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = build(heads_updates=1, paired=True)
    logits = iter([1.0, 1.0, 3.0, 1.0])  # real and fake for the discriminator, real and fake for the adapter

    def given(*_: object) -> Tensor:
        nothing = stage.adapter.outputs[-1].weight.sum() * 0 + stage.discriminator.out[-1].bias.sum() * 0
        return next(logits) + nothing + torch.zeros(2)

    monkeypatch.setattr(stage, "_logits", given)
    losses = stage.step(0, batch, rng(0))
    assert float(losses["adversarial"]) == pytest.approx(math.log1p(math.exp(2.0)), rel=1e-5)


def test_lambda_counts_steps_of_the_discriminator(build: Callable[..., FastAdapter], batch: Batch) -> None:
    stage = build(heads_updates=5)
    assert stage.step(224, batch, rng())["lambda"] == pytest.approx(lambda_of(224))


def test_who_learns_when(stage: FastAdapter, batch: Batch, hash_of: Hash) -> None:
    nets = {
        "slow": stage.slow, "fast": stage.fast, "codec": stage.codec, "adapter": stage.adapter,
        "discriminator": stage.discriminator,
    }  # fmt: skip

    def moved(step: int) -> set[str]:
        before = {k: hash_of(n) for k, n in nets.items()}
        stage.step(step, batch, rng(step))
        return {k for k, n in nets.items() if hash_of(n) != before[k]}

    assert [moved(k) for k in range(4)] == [{"discriminator"}, {"discriminator", "adapter"}] * 2
    for net in (stage.slow, stage.fast):
        assert all(p.grad is None and not p.requires_grad for p in net.parameters()) and not net.training
    assert all(p.grad is None and p.requires_grad for n in stage.nets.values() for p in n.parameters())


def test_it_starts_as_the_slow_adapter_and_leaves_that_alone(stage: FastAdapter, adapter: ControlNetAdapter) -> None:
    for (name, ours), theirs in zip(stage.adapter.named_parameters(), adapter.parameters(), strict=True):
        assert torch.equal(ours, theirs) and ours is not theirs, name


def test_optimizers_own_their_net_alone(stage: FastAdapter) -> None:
    for own, net in ((stage.adapter_optimizers, stage.adapter), (stage.discriminator_optimizers, stage.discriminator)):
        owned = {id(p) for o in own.values() for g in o.param_groups for p in g["params"]}
        assert owned == {id(p) for p in net.parameters()}
    assert set(stage.optimizers) == {*stage.adapter_optimizers, *stage.discriminator_optimizers}
    assert set(stage.nets) == {"adapter", "discriminator"} and stage.averaged == ("adapter",)


def test_the_adversarial_gradient_reaches_the_adapter_alone(stage: FastAdapter, batch: Batch) -> None:
    """Through the frozen discriminator backbone and the frozen fast generator, into the adapter."""
    nn.init.normal_(stage.discriminator.out[-1].weight)
    from flashmotion.sampling import denoiser
    from flashmotion.stages.losses import softplus_generator

    z, control = to_latents(stage.codec, batch.video), to_latents(stage.codec, batch.maps)
    states = batch.text.float()
    model = denoiser(stage.fast, states, batch.frames, stage.adapter, control)
    fake = student(model, z[:, :, :1], len(batch.frames), stage.preset.few_steps, rng(), grad=True)
    eps = torch.randn(z[:, :, 1:].shape, generator=rng())
    stage.discriminator.requires_grad_(False)
    logits = stage._logits(fake, torch.tensor([0.5, 0.2]), eps, batch)
    softplus_generator(logits).backward()
    assert sum(float(p.grad.abs().sum()) for p in stage.adapter.parameters() if p.grad is not None) > 0
    for net in (stage.fast, stage.slow, stage.discriminator):
        assert all(p.grad is None for p in net.parameters())


def test_the_discriminator_sees_noised_latents_with_the_clean_first_frame(
    stage: FastAdapter, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flashmotion.stages import fast_adapter

    seen = []
    original = fast_adapter.embed
    monkeypatch.setattr(fast_adapter, "embed", lambda model, r: seen.append((model, r)) or original(model, r))
    stage.step(0, batch, rng(0))
    (m_real, real), (m_fake, fake) = seen
    assert m_real is m_fake is stage.slow
    assert torch.equal(real.t, fake.t) and real.t.min() >= 0.02 and real.t.max() <= 0.98
    z = to_latents(stage.codec, batch.video)
    assert torch.equal(real.x[:, :, :1], z[:, :, :1]) and torch.equal(fake.x[:, :, :1], z[:, :, :1])
    # The same noise on both: what is left of the real one is eps.
    s = real.t.view(-1, 1, 1, 1, 1)
    eps = (real.x[:, :, 1:] - (1 - s) * z[:, :, 1:]) / s
    assert abs(float(eps.mean())) < 0.1 and abs(float(eps.std()) - 1) < 0.1


def test_the_diffusion_loss_falls_on_one_batch(build: Callable[..., FastAdapter], batch: Batch) -> None:
    stage = build(heads_updates=1)
    losses = [stage.step(0, batch, rng(1))["diffusion"] for _ in range(25)]
    assert losses[-1] < 0.9 * losses[0]


def test_the_discriminator_learns_on_one_batch(stage: FastAdapter, batch: Batch) -> None:
    losses = [stage.step(0, batch, rng(1))["discriminator"] for _ in range(20)]
    assert losses[-1] < 0.7 * losses[0]


def test_report_and_product(stage: FastAdapter, tmp_path: Path) -> None:
    values = stage.validate({"adapter": stage.adapter}, tmp_path, 3)
    assert {"psnr_4step", "sharpness_4step", "sharpness_truth"} <= set(values)
    assert (tmp_path / "sheet-000003.png").exists()
    assert set(stage.products({"adapter": stage.adapter})) == {"fast-adapter"}


def test_the_discriminator_sees_through_noise_of_the_given_range(
    build: Callable[..., FastAdapter], batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, seen = build(discriminator_times=(0.5, 0.6)), list[Tensor]()
    logits = stage._logits
    monkeypatch.setattr(stage, "_logits", lambda x, t, eps, batch: seen.append(t) or logits(x, t, eps, batch))
    for step in range(2):
        stage.step(step, batch, rng(step))
    assert len(seen) == 5  # real and fake twice, and once for the adapter
    assert all(bool(((t >= 0.5) & (t <= 0.6)).all()) for t in seen)
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2])


@pytest.mark.parametrize("whole", [False, True])
def test_the_discriminator_may_see_finished_samples_alone(
    build: Callable[..., FastAdapter], batch: Batch, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    stage, asked = build(whole_samples=whole), list[bool]()

    def watched(*args: Any, whole: bool, **kwargs: Any) -> Tensor:
        asked.append(whole)
        return student(*args, whole=whole, **kwargs)

    monkeypatch.setattr(fast_adapter, "student", watched)
    stage.step(1, batch, rng())
    assert asked == [whole, whole]  # for the discriminator, and for the adapter
