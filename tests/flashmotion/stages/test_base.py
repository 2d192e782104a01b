"""Stage 0: what the step reports and changes, and that it learns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from flashmotion.networks.codec import PatchCodec, to_latents
from flashmotion.networks.generator import Request, embed
from flashmotion.presets.schema import Preset
from flashmotion.stages.base import Base
from flashmotion.training.data import Batch

Hash = Callable[[nn.Module], str]


def rng(step: int) -> torch.Generator:
    return torch.Generator().manual_seed(step)


@pytest.fixture
def stage(toy: Preset, codec: PatchCodec, text: Tensor) -> Base:
    return Base(toy, codec, torch.float32, text[-5:], clips=4)


def test_losses_by_name(stage: Base, batch: Batch) -> None:
    losses = stage.step(0, batch, rng(0))
    assert set(losses) == {"loss", "loss_gradient"} and all(v > 0 for v in losses.values())


def test_what_it_trains(stage: Base, batch: Batch, hash_of: Hash) -> None:
    assert stage.nets == {"generator": stage.generator, "hint": stage.hint} and set(stage.averaged) == set(stage.nets)
    assert set(stage.products(stage.nets)) == {"slow-generator", "hint"}
    codec, generator = hash_of(stage.codec), hash_of(stage.generator)
    stage.step(0, batch, rng(0))
    assert hash_of(stage.codec) == codec and hash_of(stage.generator) != generator
    owned = [p for o in stage.optimizers.values() for g in o.param_groups for p in g["params"]]
    assert len(owned) == len({id(p) for p in owned}) == sum(len(list(n.parameters())) for n in stage.nets.values())
    assert all(p.grad is None for p in [*stage.generator.parameters(), *stage.codec.parameters()])


def test_muon_takes_the_matrices_of_the_blocks_alone(stage: Base) -> None:
    assert set(stage.optimizers) == {"muon", "adamw"}
    matrices = {id(p) for g in stage.optimizers["muon"].param_groups for p in g["params"]}
    expected = {id(p) for p in stage.generator.blocks.parameters() if p.ndim == 2}
    assert matrices == expected and len(matrices) > 10


def test_without_a_rate_for_muon_adamw_takes_all(toy: Preset, codec: PatchCodec, text: Tensor) -> None:
    plain = dataclasses.replace(toy, base=dataclasses.replace(toy.base, muon_lr=0.0))
    assert set(Base(plain, codec, torch.float32, text[-5:]).optimizers) == {"adamw"}


def test_it_starts_from_the_frozen_first_frame(stage: Base) -> None:
    assert not stage.generator.proj_out.weight.any() and not stage.generator.proj_out.bias.any()
    assert stage.generator.config.in_channels == 2 * stage.preset.channels


def test_loss_falls_on_one_batch(stage: Base, batch: Batch) -> None:
    losses = [stage.step(0, batch, rng(0))["loss"] for _ in range(30)]
    assert losses[-1] < 0.7 * losses[0]


def test_a_step_is_a_function_of_its_generator(toy: Preset, codec: PatchCodec, text: Tensor, batch: Batch) -> None:
    def one(seed: int) -> dict[str, float]:
        torch.manual_seed(0)
        return Base(toy, codec, torch.float32, text[-5:]).step(0, batch, rng(seed))

    assert one(3) == one(3) != one(4)


def test_validation_looks_at_the_average_and_changes_nothing(stage: Base, tmp_path: Path, hash_of: Hash) -> None:
    before = hash_of(stage.generator)
    values = stage.validate(stage.nets, tmp_path, 7)
    assert set(values) == {
        *(f"psnr_x0_at_{t}" for t in (0.2, 0.5, 0.8)),
        "psnr_1step_hint",
        "change",
        "change_of_truth",
    }
    assert all(torch.isfinite(torch.tensor(v)) for v in values.values())
    assert values["change"] > 0 and values["change_of_truth"] == pytest.approx(
        float(stage.held.video[:2].float().diff(dim=1).abs().mean())
    )
    assert hash_of(stage.generator) == before and (tmp_path / "sheet-000007.png").stat().st_size > 1000
    assert stage.validate(stage.nets, tmp_path, 7) == values


def test_the_hint_reaches_only_the_samples_that_are_given_it(stage: Base, batch: Batch) -> None:
    nn.init.ones_(stage.hint.embedding.weight)
    z, maps = to_latents(stage.codec, batch.video), to_latents(stage.codec, batch.maps)
    request = Request(z, torch.full((len(z),), 0.5), batch.text.float(), batch.frames)
    plain = embed(stage.generator, request)
    given = torch.tensor([1.0, 0.0]).view(2, 1, 1)
    told = stage.hint(maps, plain, given)
    assert torch.equal(told.hidden[1], plain.hidden[1]) and not torch.equal(told.hidden[0], plain.hidden[0])
