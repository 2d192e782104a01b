"""Stage 2: distribution matching. Which network learns when, and from what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from flashmotion.networks.codec import PatchCodec
from flashmotion.presets.schema import Preset
from flashmotion.stages import fast_generator
from flashmotion.stages.fast_generator import FastGenerator, dmd_loss, score_times, student
from flashmotion.training.data import Batch

Hash = Callable[[nn.Module], str]
CRITIC = {"critic", "critic_gradient"}
GENERATOR = {"dmd", "dmd_gradient", "score_gap", "real_gap", "motion", "copies", "saturation"}


def rng(step: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(step)


@pytest.fixture
def stage(toy: Preset, codec: PatchCodec, text: Tensor, generator: WanTransformer3DModel) -> FastGenerator:
    return FastGenerator(toy, codec, torch.float32, text[-4:], clips=3, slow=generator)


def test_losses_by_name_and_turn(stage: FastGenerator, batch: Batch) -> None:
    """The critic at every step, the generator at every second (`critic_updates`)."""
    assert [set(stage.step(k, batch, rng(k))) for k in range(4)] == [CRITIC, CRITIC | GENERATOR] * 2


def test_who_learns_when(stage: FastGenerator, batch: Batch, hash_of: Hash) -> None:
    nets = {"slow": stage.slow, "generator": stage.generator, "fake": stage.fake, "codec": stage.codec}
    assert len({hash_of(stage.slow), hash_of(stage.generator), hash_of(stage.fake)}) == 1  # all start as the teacher

    def moved(step: int) -> set[str]:
        before = {k: hash_of(n) for k, n in nets.items()}
        stage.step(step, batch, rng(step))
        return {k for k, n in nets.items() if hash_of(n) != before[k]}

    assert moved(0) == {"fake"} and moved(1) == {"fake", "generator"} and moved(2) == {"fake"}
    assert all(p.grad is None and not p.requires_grad for p in stage.slow.parameters())
    assert all(p.grad is None for n in (stage.generator, stage.fake) for p in n.parameters())


def test_optimizers_own_their_net_alone(stage: FastGenerator) -> None:
    for name, net in (("generator", stage.generator), ("fake", stage.fake)):
        own = {k: o for k, o in stage.optimizers.items() if k.startswith(name)}
        owned = {id(p) for o in own.values() for g in o.param_groups for p in g["params"]}
        assert owned == {id(p) for p in net.parameters()}
        assert all(g["betas"] == (0.0, 0.999) for o in own.values() for g in o.param_groups)
    assert set(stage.nets) == {"generator", "fake"} and stage.averaged == ("generator",)


def _triple() -> tuple[Tensor, Tensor, Tensor]:
    x, real, fake = torch.randn(3, 2, 4, 3, 2, 2, generator=rng()).unbind(0)
    return x.requires_grad_(True), real, fake


def test_the_gradient_of_the_dmd_loss_is_g() -> None:
    """g = (x_fake - x_real) / mean |x - x_real|, up to the factor of the mean; none at frame 0."""
    x, real, fake = _triple()
    dmd_loss(x, real, fake).backward()
    assert x.grad is not None and not x.grad[:, :, 0].any()
    for i in range(2):
        norm = (x - real)[i, :, 1:].abs().mean()
        g = (fake - real)[i, :, 1:] / norm
        torch.testing.assert_close(x.grad[i, :, 1:] * x[:, :, 1:].numel(), g.detach())


def test_the_dmd_loss_pulls_away_from_the_fake_toward_the_real() -> None:
    x, real, _ = _triple()
    dmd_loss(x, real, x.detach()).backward()  # a critic that knows the student's distribution
    assert x.grad is not None
    step = x.detach() - x.grad
    assert ((step - real)[:, :, 1:].norm()) < ((x.detach() - real)[:, :, 1:].norm())


def test_the_dmd_loss_bears_equal_scores_and_a_perfect_student() -> None:
    x, real, fake = _triple()
    assert float(dmd_loss(x, real, real)) == 0
    assert torch.isfinite(dmd_loss(x, x.detach(), fake)) and torch.isfinite(dmd_loss(x, real, fake * float("nan")))


def test_score_times() -> None:
    t = score_times(2000, 3.0, rng())
    assert t.min() >= 0.02 and t.max() <= 0.98 and abs(float(t.median()) - 0.75) < 0.02
    assert torch.equal(t, score_times(2000, 3.0, rng()))


FEW = (1.0, 0.75, 0.5, 0.25)


def test_the_student_stops_at_every_listed_time_and_has_a_gradient_through_the_last_step_alone() -> None:
    weight = torch.ones((), requires_grad=True)
    exits = set()
    for seed in range(24):
        calls: list[tuple[float, bool]] = []

        def model(x: Tensor, t: Tensor, calls: list[tuple[float, bool]] = calls) -> Tensor:
            calls.append((float(t[0]), torch.is_grad_enabled()))
            return torch.cat([x[:, :, :1], x[:, :, 1:] * weight], dim=2)

        first = torch.ones(2, 4, 1, 2, 2)
        x0 = student(model, first, 3, FEW, rng(seed), grad=True)
        assert x0.requires_grad and torch.equal(x0[:, :, :1], first)
        assert [t for t, _ in calls] == list(FEW[: len(calls)])
        assert [g for _, g in calls] == [False] * (len(calls) - 1) + [True]
        exits.add(len(calls))
        assert not student(model, first, 3, FEW, rng(seed), grad=False).requires_grad
    assert exits == {1, 2, 3, 4}


def test_the_student_walks_as_the_sampler_does() -> None:
    """Run to the last exit it is `few_step`: the same noise, the same times, the same result."""
    from flashmotion.sampling import few_step, start

    def model(x: Tensor, t: Tensor) -> Tensor:
        return torch.cat([x[:, :, :1], torch.tanh(x[:, :, 1:]) * (1 - t.view(-1, 1, 1, 1, 1) / 2)], dim=2)

    first = torch.ones(2, 4, 1, 2, 2)
    seed = next(s for s in range(99) if int(torch.randint(4, (1,), generator=rng(s))) == 3)
    again = rng(seed)
    torch.randint(4, (1,), generator=again)
    expected = few_step(model, start(first, 3, again), FEW, again)
    assert torch.equal(student(model, first, 3, FEW, rng(seed), grad=False), expected)
    expected = few_step(model, start(first, 3, again := rng(0)), FEW, again)
    assert torch.equal(student(model, first, 3, FEW, rng(0), grad=False, whole=True), expected)


def test_the_teacher_is_guided_and_the_critic_is_not(
    stage: FastGenerator, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    original = fast_generator.guided
    monkeypatch.setattr(fast_generator, "guided", lambda c, u, w: seen.append(w) or original(c, u, w))
    stage.step(1, batch, rng(1))
    assert seen == [stage.preset.dmd_guidance]


def test_real_latents_behind_frame_0_are_not_used(stage: FastGenerator, batch: Batch, toy: Preset) -> None:
    """The generator is shown first frames and prompts: the rest of the video changes nothing."""
    import dataclasses

    other = dataclasses.replace(batch, video=torch.cat([batch.video[:, :1], 255 - batch.video[:, 1:]], dim=1))
    assert stage.step(0, batch, rng(5)) != {}
    twin = FastGenerator(toy, stage.codec, torch.float32, torch.zeros(4, 6, 384), clips=3, slow=stage.slow)
    third = FastGenerator(toy, stage.codec, torch.float32, torch.zeros(4, 6, 384), clips=3, slow=stage.slow)
    ours, theirs = twin.step(1, batch, rng(5)), third.step(1, other, rng(5))
    health = {"motion", "copies"}  # measured against the real clip, and only told
    assert set(ours) > health and all(ours[k] == theirs[k] for k in ours.keys() - health)
    for a, b in zip(twin.generator.parameters(), third.generator.parameters(), strict=True):
        assert torch.equal(a, b)


def test_report_and_product(stage: FastGenerator, tmp_path: Path) -> None:
    values = stage.validate({"generator": stage.generator}, tmp_path, 3)
    assert {"psnr_4step", "sharpness_4step", "sharpness_truth"} <= set(values)
    assert (tmp_path / "sheet-000003.png").exists()
    assert set(stage.products({"generator": stage.generator})) == {"fast-generator"}
