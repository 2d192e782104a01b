"""Losses against the formulas, written out again."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from flashmotion.networks.codec import PatchCodec, to_pixels
from flashmotion.presets.schema import Preset
from flashmotion.stages.losses import softplus_discriminator, softplus_generator, x0_loss

SHAPE = (2, 12, 3, 4, 4)


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    return torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0)).unbind(0)


T = torch.tensor([0.5, 0.05])
EVEN = torch.ones(2, 3, 4, 4)
FRAMES = torch.tensor([0, 2, 3])


def test_softplus_starts() -> None:
    """An undecided discriminator: 2 ln 2 and ln 2."""
    zero = torch.zeros(8)
    assert float(softplus_discriminator(zero, zero)) == pytest.approx(2 * math.log(2))
    assert float(softplus_generator(zero)) == pytest.approx(math.log(2))


def test_softplus_signs() -> None:
    """D wants real up and fake down, G wants fake up."""
    real, fake = torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
    softplus_discriminator(real, fake).backward()
    assert real.grad is not None and fake.grad is not None
    assert (real.grad < 0).all() and (fake.grad > 0).all()
    fake.grad = None
    softplus_generator(fake).backward()
    assert (fake.grad < 0).all()


def test_paired_logits() -> None:
    """Differences alone count: both start at ln 2, what is added to both logits changes nothing, signs stay."""
    real, fake = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([0.0, 1.0, -3.0])
    assert float(softplus_discriminator(real, real, paired=True)) == pytest.approx(math.log(2))
    assert float(softplus_generator(real, real)) == pytest.approx(math.log(2))
    expected = sum(math.log1p(math.exp(f - r)) for r, f in zip(real.tolist(), fake.tolist(), strict=True)) / 3
    assert float(softplus_discriminator(real, fake, paired=True)) == pytest.approx(expected)
    opposite = sum(math.log1p(math.exp(r - f)) for r, f in zip(real.tolist(), fake.tolist(), strict=True)) / 3
    assert float(softplus_generator(fake, real)) == pytest.approx(opposite)
    assert float(softplus_generator(fake + 7, real + 7)) == pytest.approx(opposite)
    assert float(softplus_generator(fake + 7)) != pytest.approx(float(softplus_generator(fake)))  # the other form
    real.requires_grad_(), fake.requires_grad_()
    softplus_discriminator(real, fake, paired=True).backward()
    assert real.grad is not None and fake.grad is not None and (real.grad < 0).all() and (fake.grad > 0).all()


def test_latent_part(toy: Preset, codec: PatchCodec, pair: tuple[Tensor, Tensor]) -> None:
    plain = dataclasses.replace(toy, gradient_loss=0.0)
    a, b = pair
    each = (a - b)[:, :, 1:].square().mean((1, 2, 3, 4))
    expected = float(each[0] / 0.5 + each[1] / toy.low_noise_floor) / 2
    assert float(x0_loss(plain, codec, a, b, T, EVEN, FRAMES)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("frames", [(0, 1, 2), (0, 2, 3), (0, 1, 4), (0, 2, 4)])
def test_gradient_part(
    toy: Preset, codec: PatchCodec, pair: tuple[Tensor, Tensor], frames: tuple[int, int, int]
) -> None:
    """Squared differences of the decoded error between neighbours: in frames 1 and later, and between frames that
    follow each other; the given frame has no error."""
    a, b = pair
    a = torch.cat([b[:, :, :1], a[:, :, 1:]], dim=2)
    only = dataclasses.replace(toy, gradient_loss=3.0), dataclasses.replace(toy, gradient_loss=0.0)
    at = torch.tensor(frames)
    got = float(x0_loss(only[0], codec, a, b, T, EVEN, at) - x0_loss(only[1], codec, a, b, T, EVEN, at))
    e = to_pixels(codec, a) - to_pixels(codec, b)  # (B, 3, 1 + 8, 32, 32)
    number = [0, *(4 * g + k - 3 for g in frames[1:] for k in range(4))]
    follow = [n for n in range(8) if number[n + 1] == number[n] + 1]
    dt = sum((e[:, :, n + 1] - e[:, :, n]).square().mean((1, 2, 3)) for n in follow) / 8
    e = e[:, :, 1:]
    each = e.diff(dim=4).square().mean((1, 2, 3, 4)) + e.diff(dim=3).square().mean((1, 2, 3, 4)) + dt
    assert got == pytest.approx(3.0 * float(each[0] / 0.5 + each[1] / toy.low_noise_floor) / 2, rel=1e-4)


def test_frame_0_is_left_out(toy: Preset, codec: PatchCodec, pair: tuple[Tensor, Tensor]) -> None:
    a, b = pair
    other = torch.cat([a[:, :, :1] + 5, a[:, :, 1:]], dim=2)
    weight = EVEN.clone()
    weight[:, 0] = 9
    assert torch.equal(x0_loss(toy, codec, other, b, T, weight, FRAMES), x0_loss(toy, codec, a, b, T, EVEN, FRAMES))


def test_weights_count_where_they_lie(toy: Preset, codec: PatchCodec, pair: tuple[Tensor, Tensor]) -> None:
    """An error at one position counts by that position's weight, in both parts alike."""
    _, b = pair
    a = b.clone()
    a[0, :, 2, 1, 3] += 1
    weight = 0.25 * EVEN
    low = x0_loss(toy, codec, a, b, T, weight, FRAMES)
    weight[0, 2, 1, 3] = 1.0
    high = x0_loss(toy, codec, a, b, T, weight, FRAMES)
    # The decoded patch is one position wide; only the differences over its border have a neighbour's weight.
    assert 3.5 < float(high / low) <= 4.0001
    weight[0, 2, 1, 3], weight[1] = 0.25, 7.0
    assert torch.equal(x0_loss(toy, codec, a, b, T, weight, FRAMES), low)


def test_zero_where_right(toy: Preset, codec: PatchCodec, pair: tuple[Tensor, Tensor]) -> None:
    assert float(x0_loss(toy, codec, pair[0], pair[0], T, EVEN, FRAMES)) == 0
