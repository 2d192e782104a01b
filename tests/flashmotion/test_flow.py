"""Flow matching: the identities between x_t, v, x0 and eps, and the lists of times."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flashmotion import flow
from flashmotion.presets.nano import NANO

SHAPE = (3, 4, 5, 2, 2)
X0, EPS = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0)).double()
times = st.lists(st.floats(0.01, 1), min_size=3, max_size=3).map(lambda v: torch.tensor(v, dtype=torch.float64))
shifts = st.floats(0.2, 20)


@given(times)
def test_identities(t: torch.Tensor) -> None:
    x_t = flow.noised(X0, EPS, t)
    v, s = EPS - X0, t.view(-1, 1, 1, 1, 1)
    torch.testing.assert_close(x_t - s * v, X0)
    torch.testing.assert_close(x_t + (1 - s) * v, EPS)


def test_ends_are_data_and_noise() -> None:
    assert torch.equal(flow.noised(X0, EPS, torch.zeros(3)), X0)
    assert torch.equal(flow.noised(X0, EPS, torch.ones(3)), EPS)


@given(times, shifts)
def test_shift_keeps_the_ends_and_the_order_and_undoes_itself(t: torch.Tensor, s: float) -> None:
    there = flow.shifted(t, s)
    torch.testing.assert_close(flow.shifted(there, 1 / s), t)
    ends = flow.shifted(torch.tensor([0.0, 1.0], dtype=torch.float64), s)
    torch.testing.assert_close(ends, torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert ((there >= t - 1e-12) if s >= 1 else (there <= t + 1e-12)).all()
    assert torch.equal(flow.shifted(t, 1.0), t)


@given(times, shifts, shifts)
def test_shifts_compose(t: torch.Tensor, a: float, b: float) -> None:
    torch.testing.assert_close(flow.shifted(flow.shifted(t, a), b), flow.shifted(t, a * b))


def test_times_of_few_steps() -> None:
    assert tuple(flow.sampling_times(4, 1.0)[:-1].tolist()) == NANO.few_steps == (1, 0.75, 0.5, 0.25)
    warped = flow.sampling_times(4, 5.0)[:-1]  # the released training code's warp of 1000, 750, 500, 250
    torch.testing.assert_close(warped, torch.tensor([1, 0.9375, 0.8333, 0.625]), atol=5e-5, rtol=0)


@pytest.mark.parametrize("steps", [1, 4, 50])
@pytest.mark.parametrize("shift", [1.0, 3.0, 12.0])
def test_sampling_times_fall_from_1_to_0(steps: int, shift: float) -> None:
    t = flow.sampling_times(steps, shift)
    assert t.shape == (steps + 1,) and t.dtype == torch.float32
    assert t[0] == 1 and t[-1] == 0 and (t.diff() < 0).all()


def test_training_times() -> None:
    def draw(shift: float, high: float, low: float = 0.0) -> torch.Tensor:
        return flow.training_times(4000, shift, high, low, torch.Generator().manual_seed(0))

    plain = draw(1.0, 0.0)
    assert plain.min() >= 1e-3 and plain.max() <= 1 and abs(float(plain.median()) - 0.5) < 0.02
    assert abs(float(draw(3.0, 0.0).median()) - 0.75) < 0.02  # the shift of the median
    top = draw(1.0, 1.0)
    assert top.min() >= 0.9 and abs(float(top.mean()) - 0.95) < 0.005
    share = float((draw(1.0, 0.5) >= 0.9).float().mean() - (plain >= 0.9).float().mean() / 2)
    assert abs(share - 0.5) < 0.03
    bottom = draw(3.0, 0.0, 1.0)
    assert bottom.max() <= 0.4 and abs(float(bottom.mean()) - 0.2) < 0.01
    both = draw(12.0, 0.3, 0.25)
    assert abs(float((both <= 0.4).float().mean()) - 0.25) < 0.03
    assert torch.equal(draw(3.0, 0.15, 0.25), draw(3.0, 0.15, 0.25))
