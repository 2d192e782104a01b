"""The ResNet-style adapter: nothing at first, light, blind to the clip's length."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from flashmotion.networks.adapters import ADAPTERS, ControlNetAdapter, ResNetAdapter, TrajectoryAdapter
from flashmotion.networks.adapters.hint import Hint
from flashmotion.networks.generator import Request, embed, predict_x0
from flashmotion.presets.schema import Preset


@pytest.fixture
def request_(text: Tensor) -> Request:
    x = torch.randn(2, 12, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    return Request(x, torch.tensor([0.7, 0.31]), text[:2].float(), torch.arange(5))


@pytest.fixture
def control() -> Tensor:
    return torch.randn(2, 12, 5, 4, 4, generator=torch.Generator().manual_seed(4))


@pytest.fixture
def resnet(generator: WanTransformer3DModel, toy: Preset) -> ResNetAdapter:
    made = ResNetAdapter.of(generator, toy.channels)
    torch.manual_seed(3)
    for layer in made.outputs:
        nn.init.normal_(layer.weight, std=0.2)
    return made.eval()


@torch.no_grad()
def test_a_new_adapter_leaves_the_generator_bit_equal(
    generator: WanTransformer3DModel, toy: Preset, request_: Request, control: Tensor
) -> None:
    e = embed(generator, request_)
    residuals = ResNetAdapter.of(generator, toy.channels)(control, e)
    assert len(residuals) == toy.layers and all(r.shape == e.hidden.shape and not r.any() for r in residuals)
    assert torch.equal(predict_x0(generator, request_, residuals, embedded=e), predict_x0(generator, request_))


def test_it_keeps_the_protocol_and_is_light(resnet: ResNetAdapter, adapter: ControlNetAdapter) -> None:
    assert isinstance(resnet, TrajectoryAdapter)
    assert {"controlnet": ControlNetAdapter, "resnet": ResNetAdapter} == ADAPTERS
    count = {n: sum(q.numel() for q in n.parameters()) for n in (resnet, adapter)}
    assert count[resnet] < count[adapter]


@torch.no_grad()
def test_what_is_drawn_stays_near_its_place_and_in_its_group(
    resnet: ResNetAdapter, generator: WanTransformer3DModel, request_: Request, control: Tensor
) -> None:
    e = embed(generator, request_)
    other = control.clone()
    other[0, :, 3, 2, 1] += 3
    change = (resnet(other, e)[0] - resnet(control, e)[0]).norm(dim=-1)
    assert not change[1].any() and int(change[0].argmax()) == 3 * 16 + 2 * 4 + 1
    groups = change[0].view(5, 16).amax(1)
    assert groups[3] > 0 and not groups[[0, 1, 2, 4]].any()


@torch.no_grad()
def test_a_group_alone_is_as_it_is_in_the_clip(
    resnet: ResNetAdapter, generator: WanTransformer3DModel, request_: Request, control: Tensor
) -> None:
    e = embed(generator, request_)
    short = Request(request_.x[:, :, [0, 3]], request_.t, request_.text, torch.tensor([0, 3]))
    alone = resnet(control[:, :, [0, 3]], embed(generator, short))
    for a, b in zip(alone, resnet(control, e), strict=True):
        torch.testing.assert_close(a, b.view(2, 5, 16, -1)[:, [0, 3]].flatten(1, 2))


def test_it_starts_from_the_hint(generator: WanTransformer3DModel, toy: Preset) -> None:
    hint = Hint(toy.channels, toy.heads * toy.head_dim)
    nn.init.normal_(hint.embedding.weight)
    made = ResNetAdapter.of(generator, toy.channels, hint)
    assert torch.equal(made.control_embedding.weight, hint.embedding.weight)


def test_a_fresh_adapter_learns_through_its_zero_outputs(
    generator: WanTransformer3DModel, toy: Preset, request_: Request, control: Tensor
) -> None:
    made = ResNetAdapter.of(generator, toy.channels)
    generator.requires_grad_(False)
    e = embed(generator, request_)
    predict_x0(generator, request_, made(control, e), embedded=e).square().mean().backward()
    assert all(o.weight.grad is not None and o.weight.grad.abs().sum() > 0 for o in made.outputs)


@torch.no_grad()
def test_it_is_saved_and_loaded(
    resnet: ResNetAdapter, generator: WanTransformer3DModel, request_: Request, control: Tensor, tmp_path: Path
) -> None:
    resnet.save_pretrained(tmp_path)
    again = ResNetAdapter.from_pretrained(tmp_path, local_files_only=True).eval()
    e = embed(generator, request_)
    assert all(torch.equal(a, b) for a, b in zip(resnet(control, e), again(control, e), strict=True))
