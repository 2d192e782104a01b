"""The ControlNet-style adapter: nothing at first, a copy of the blocks, one output a block."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from flashmotion.networks.adapters import TrajectoryAdapter
from flashmotion.networks.adapters.controlnet import ControlNetAdapter
from flashmotion.networks.generator import Request, embed, predict_x0, run_block
from flashmotion.presets.schema import Preset


@pytest.fixture
def request_(text: Tensor) -> Request:
    x = torch.randn(2, 12, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    return Request(x, torch.tensor([0.7, 0.31]), text[:2].float(), torch.arange(5))


@pytest.fixture
def control() -> Tensor:
    return torch.randn(2, 12, 5, 4, 4, generator=torch.Generator().manual_seed(4))


@torch.no_grad()
def test_a_new_adapter_leaves_the_generator_bit_equal(
    generator: WanTransformer3DModel, toy: Preset, request_: Request, control: Tensor
) -> None:
    adapter = ControlNetAdapter.of(generator, toy.channels)
    e = embed(generator, request_)
    residuals = adapter(control, e)
    assert len(residuals) == toy.layers and all(r.shape == e.hidden.shape and not r.any() for r in residuals)
    with_adapter = predict_x0(generator, request_, residuals, embedded=e)
    assert torch.equal(with_adapter, predict_x0(generator, request_))


def test_it_starts_as_a_copy_of_the_blocks_and_shares_no_memory(generator: WanTransformer3DModel, toy: Preset) -> None:
    adapter = ControlNetAdapter.of(generator, toy.channels)
    before = copy.deepcopy(generator.state_dict())
    for (name, ours), theirs in zip(adapter.blocks.named_parameters(), generator.blocks.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    with torch.no_grad():
        for p in adapter.parameters():
            p.add_(1.0)
    assert all(torch.equal(v, before[k]) for k, v in generator.state_dict().items())


def test_every_adapter_keeps_the_protocol(adapter: ControlNetAdapter) -> None:
    assert isinstance(adapter, TrajectoryAdapter)


@torch.no_grad()
def test_residuals_come_from_the_blocks_in_turn(
    adapter: ControlNetAdapter, generator: WanTransformer3DModel, request_: Request, control: Tensor
) -> None:
    e = embed(generator, request_)
    hidden = e.hidden + adapter.control_embedding(control).flatten(2).transpose(1, 2)
    for block, output, residual in zip(adapter.blocks, adapter.outputs, adapter(control, e), strict=True):
        hidden = run_block(block, hidden, e.text, e.modulation, *e.rope, e.first)
        torch.testing.assert_close(residual, output(hidden))


@torch.no_grad()
def test_what_is_drawn_where_changes_what_comes_out_there(
    adapter: ControlNetAdapter, generator: WanTransformer3DModel, request_: Request, control: Tensor
) -> None:
    e = embed(generator, request_)
    other = control.clone()
    other[0, :, 3, 2, 1] += 3
    change = (adapter(other, e)[0] - adapter(control, e)[0]).norm(dim=-1)
    assert not change[1].any() and int(change[0].argmax()) == 3 * 16 + 2 * 4 + 1


def test_a_fresh_adapter_learns_through_its_zero_outputs(
    generator: WanTransformer3DModel, toy: Preset, request_: Request, control: Tensor
) -> None:
    adapter = ControlNetAdapter.of(generator, toy.channels)
    generator.requires_grad_(False)
    e = embed(generator, request_)
    predict_x0(generator, request_, adapter(control, e), embedded=e).square().mean().backward()
    assert all(o.weight.grad is not None and o.weight.grad.abs().sum() > 0 for o in adapter.outputs)
    assert all(p.grad is None for p in generator.parameters())


@torch.no_grad()
def test_it_is_saved_and_loaded(
    adapter: ControlNetAdapter, generator: WanTransformer3DModel, request_: Request, control: Tensor, tmp_path: Path
) -> None:
    adapter.save_pretrained(tmp_path)
    again = ControlNetAdapter.from_pretrained(tmp_path, local_files_only=True).eval()
    e = embed(generator, request_)
    assert all(torch.equal(a, b) for a, b in zip(adapter(control, e), again(control, e), strict=True))


@torch.no_grad()
def test_patches_larger_than_one(toy: Preset, make_generator, text: Tensor) -> None:  # type: ignore[no-untyped-def]
    generator = make_generator(repeated=False, patch_size=(1, 2, 2))
    x = torch.randn(1, 12, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    e = embed(generator, Request(x, torch.tensor([0.5]), text[:1].float(), torch.arange(3)))
    residuals = ControlNetAdapter.of(generator, toy.channels)(x, e)
    assert all(r.shape == e.hidden.shape == (1, 3 * 2 * 2, 24) for r in residuals)
