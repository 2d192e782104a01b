"""Samplers: exact on models that know the answer; the given first frame is never touched."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from flashmotion import flow
from flashmotion.networks.adapters.controlnet import ControlNetAdapter
from flashmotion.networks.generator import Request, predict_x0
from flashmotion.sampling import denoiser, few_step, guided, multi_step, start

FIRST = torch.randn(2, 12, 1, 4, 4, generator=torch.Generator().manual_seed(1))
TRUTH = torch.cat([FIRST, torch.randn(2, 12, 4, 4, 4, generator=torch.Generator().manual_seed(2))], dim=2)
FEW = (1.0, 0.75, 0.5, 0.25)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def oracle(x: Tensor, t: Tensor) -> Tensor:
    return TRUTH


def test_start_is_noise_behind_the_first_frame() -> None:
    x = start(FIRST, 5, rng())
    assert x.shape == TRUTH.shape and torch.equal(x[:, :, :1], FIRST)
    assert abs(float(x[:, :, 1:].std()) - 1) < 0.05 and torch.equal(x, start(FIRST, 5, rng()))
    assert not torch.equal(x, start(FIRST, 5, rng(1)))


@pytest.mark.parametrize("steps", [1, 4, 9])
def test_samplers_land_on_the_answer_of_a_model_that_knows_it(steps: int) -> None:
    x = start(FIRST, 5, rng())
    assert torch.equal(multi_step(oracle, x, flow.sampling_times(steps, 3.0)), TRUTH)
    assert torch.equal(few_step(oracle, x, flow.sampling_times(steps, 1.0)[:-1].tolist(), rng()), TRUTH)


def test_euler_steps_stay_on_the_straight_line_between_noise_and_data() -> None:
    x = start(FIRST, 5, rng())
    seen: list[tuple[float, Tensor]] = []

    def watch(x: Tensor, t: Tensor) -> Tensor:
        seen.append((float(t[0]), x))
        return TRUTH

    times = flow.sampling_times(5, 3.0)
    multi_step(watch, x, times)
    assert [t for t, _ in seen] == times[:-1].tolist()
    for t, x_t in seen:
        torch.testing.assert_close(x_t[:, :, 1:], flow.noised(TRUTH, x, torch.full((2,), t))[:, :, 1:])
        assert torch.equal(x_t[:, :, :1], FIRST)


def test_euler_solves_a_gaussian() -> None:
    """Data N(0, s^2): the exact flow scales noise by s; many steps come close, few do not."""
    s = 0.5

    def posterior(x: Tensor, t: Tensor) -> Tensor:
        a, b = 1 - t.view(-1, 1, 1, 1, 1), t.view(-1, 1, 1, 1, 1)
        return a * s**2 / (a**2 * s**2 + b**2) * x

    x = start(FIRST, 5, rng())
    error = [
        float((multi_step(posterior, x, flow.sampling_times(n, 1.0)) - s * x)[:, :, 1:].abs().max()) for n in (4, 200)
    ]
    assert error[1] < 0.02 < error[0]


def test_few_steps_noise_afresh_at_the_listed_times() -> None:
    seen: list[tuple[list[float], Tensor]] = []

    def watch(x: Tensor, t: Tensor) -> Tensor:
        seen.append((t.tolist(), x))
        return TRUTH

    few_step(watch, start(FIRST, 5, rng()), FEW, rng(7))
    assert [t for t, _ in seen] == [[t, t] for t in FEW]
    again = rng(7)
    for t, x in seen:
        assert torch.equal(x[:, :, :1], FIRST)
        if t[0] < 1:
            eps = torch.randn(x[:, :, 1:].shape, generator=again)
            torch.testing.assert_close(x[:, :, 1:], (1 - t[0]) * TRUTH[:, :, 1:] + t[0] * eps)


def test_guidance() -> None:
    one, two = torch.ones_like(TRUTH), 2 * torch.ones_like(TRUTH)

    def conditional(x: Tensor, t: Tensor) -> Tensor:
        return two

    def free(x: Tensor, t: Tensor) -> Tensor:
        return one

    x, t = TRUTH, torch.ones(2)
    assert guided(conditional, free, 1.0) is conditional
    assert torch.equal(guided(conditional, free, 0.0)(x, t), one)
    assert torch.equal(guided(conditional, free, 3.0)(x, t), 4 * one)


def test_the_first_latent_is_the_given_one_bit_for_bit(
    make_generator: Callable[..., WanTransformer3DModel], adapter: ControlNetAdapter, text: Tensor
) -> None:
    frames, states, control = torch.arange(5), text[:2].float(), torch.randn_like(TRUTH)
    for repeated in (True, False):
        model = make_generator(repeated)
        x = start(FIRST, 5, rng())
        with torch.no_grad():
            bound = denoiser(model, states, frames, adapter, control)
            request = Request(x, torch.full((2,), 0.6), states, frames)
            for z in (
                multi_step(bound, x, flow.sampling_times(3, 3.0)),
                few_step(bound, x, FEW, rng()),
                predict_x0(model, request),
                bound(x, request.t),
            ):
                assert torch.equal(z[:, :, :1], FIRST)


def test_guidance_keeps_the_first_latent(
    generator: WanTransformer3DModel, adapter: ControlNetAdapter, text: Tensor
) -> None:
    frames, states = torch.arange(5), text[:2].float()
    with torch.no_grad():
        both = [denoiser(generator, s, frames, adapter, torch.ones_like(TRUTH)) for s in (states, text[2:4].float())]
        z = multi_step(guided(both[0], both[1], 2.0), start(FIRST, 5, rng()), flow.sampling_times(2, 3.0))
    assert torch.equal(z[:, :, :1], FIRST)


def test_the_adapter_and_the_prompt_reach_the_output(
    generator: WanTransformer3DModel, adapter: ControlNetAdapter, text: Tensor
) -> None:
    x, t, frames, states = start(FIRST, 5, rng()), torch.full((2,), 0.6), torch.arange(5), text[:2].float()
    control = torch.randn(TRUTH.shape, generator=rng(9))
    with torch.no_grad():
        base = denoiser(generator, states, frames, adapter, control)(x, t)
        others = [
            denoiser(generator, states, frames)(x, t),
            denoiser(generator, states, frames, adapter, -control)(x, t),
            denoiser(generator, text[2:4].float(), frames, adapter, control)(x, t),
        ]
    assert all((base - o)[:, :, 1:].abs().max() > 1e-4 for o in others)
