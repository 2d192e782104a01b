"""Muon: torch's own on the CPU, and the batched form beside it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from flashmotion.training.muon import Muon, orthogonal

SHAPES = [(24, 24), (24, 32), (32, 24), (24, 24), (24, 24), (32, 24)]


def matrices() -> list[nn.Parameter]:
    rng = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(s, generator=rng)) for s in SHAPES]


def torchs(params: list[nn.Parameter]) -> torch.optim.Muon:
    return torch.optim.Muon(params, lr=0.1, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")


def with_gradients(params: list[nn.Parameter], step: int) -> None:
    rng = torch.Generator().manual_seed(step)
    for q in params:
        q.grad = torch.randn(q.shape, generator=rng)


def test_on_the_cpu_it_is_torchs() -> None:
    ours, theirs = matrices(), matrices()
    a, b = Muon(ours, lr=0.1), torchs(theirs)
    for step in range(3):
        for params, optimizer in ((ours, a), (theirs, b)):
            with_gradients(params, step)
            optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(ours, theirs, strict=True))


def test_batched_it_differs_by_the_rounding_of_bfloat16_alone() -> None:
    ours, theirs = matrices(), matrices()
    a, b = Muon(ours, lr=0.1), torchs(theirs)
    for step in range(3):
        before = [q.detach().clone() for q in theirs]
        for params in (ours, theirs):
            with_gradients(params, step)
        a.batched(a.param_groups[0])
        b.step()
        for p, q, old in zip(ours, theirs, before, strict=True):
            assert float((p - q).norm() / (q - old).norm()) < 0.02
            assert torch.equal(a.state[p]["momentum_buffer"], b.state[q]["momentum_buffer"])
        with torch.no_grad():
            for p, q in zip(ours, theirs, strict=True):
                p.copy_(q)


def test_either_goes_on_from_the_others_state() -> None:
    ours = matrices()
    a = Muon(ours, lr=0.1)
    with_gradients(ours, 0)
    a.batched(a.param_groups[0])
    b = torchs(copy.deepcopy(ours))
    b.load_state_dict(a.state_dict())
    a.load_state_dict(b.state_dict())
    assert all(
        torch.equal(x["momentum_buffer"], y["momentum_buffer"])
        for x, y in zip(*(o.state.values() for o in (a, b)), strict=True)
    )


def test_a_matrix_without_gradient_stays() -> None:
    ours = matrices()
    with_gradients(ours, 0)
    ours[3].grad = None
    before = [q.detach().clone() for q in ours]
    a = Muon(ours, lr=0.1)
    a.batched(a.param_groups[0])
    assert [torch.equal(q, old) for q, old in zip(ours, before, strict=True)] == [i == 3 for i in range(len(ours))]


@pytest.mark.parametrize("shape", [(3, 8, 20), (3, 20, 8), (1, 12, 12)])
def test_singular_values_come_near_one(shape: tuple[int, int, int]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(x, (3.4445, -4.775, 2.0315), 5, 1e-7).float())
    assert values.shape == (shape[0], min(shape[1:])) and values.min() > 0.3 and values.max() < 1.4
    assert not orthogonal(torch.zeros(shape), (3.4445, -4.775, 2.0315), 5, 1e-7).any()
