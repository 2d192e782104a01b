"""The preconditioned generator: its two ends, its scale, and what it learns from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from flashmotion.networks.residual import ResidualGenerator

Make = Callable[..., ResidualGenerator]


def test_at_full_noise_the_output_is_the_change(make_generator: Make) -> None:
    x, out = torch.randn(2, 2, 12, 3, 4, 4, generator=torch.Generator().manual_seed(0)).unbind(0)
    x0 = make_generator().clean(x, torch.ones(2), out)
    torch.testing.assert_close(x0, x[:, :, :1] + out)


def test_without_noise_the_answer_is_what_is_given(make_generator: Make) -> None:
    x, out = torch.randn(2, 2, 12, 3, 4, 4, generator=torch.Generator().manual_seed(0)).unbind(0)
    torch.testing.assert_close(make_generator().clean(x, torch.zeros(2), out), x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("t", [0.02, 0.2, 0.5, 0.9, 1.0])
def test_it_starts_from_the_best_linear_estimate(make_generator: Make, t: float) -> None:
    """On Gaussian changes no linear estimate is better, and the error that is left to the network has its scale."""
    rng = torch.Generator().manual_seed(0)
    model = make_generator()
    s = torch.tensor(model.config.residual_std).view(1, -1, 1, 1, 1)
    first, d, eps = torch.randn(3, 4, 12, 1, 60, 60, generator=rng).unbind(0)
    clean = torch.cat([first, first + s * d], dim=2)
    x = torch.cat([first, (1 - t) * clean[:, :, 1:] + t * eps], dim=2)
    time = torch.full((4,), t)
    error = (model.clean(x, time, torch.zeros_like(x)) - clean)[:, :, 1:]
    y, target = (x - (1 - t) * first)[:, :, 1:], (clean - first)[:, :, 1:]
    slope = (y * target).mean((0, 2, 3, 4), keepdim=True) / y.square().mean((0, 2, 3, 4), keepdim=True)
    least = (slope * y - target).square().mean((0, 2, 3, 4))
    np.testing.assert_allclose(error.square().mean((0, 2, 3, 4)), least, rtol=2e-3)
    gain = model.clean(x, time, torch.ones_like(x)) - model.clean(x, time, torch.zeros_like(x))
    ratio = error.square().mean((0, 2, 3, 4)).sqrt() / gain[0, :, 1, 0, 0]
    np.testing.assert_allclose(ratio, s.flatten(), rtol=0.02)


def test_the_gate_lets_through_or_shuts_out_what_is_given(make_generator: Make) -> None:
    x, out = torch.randn(2, 2, 12, 3, 4, 4, generator=torch.Generator().manual_seed(0)).unbind(0)
    t, model = torch.tensor([0.1, 0.6]), make_generator()
    plain = model.clean(x, t, out)
    gate = torch.zeros_like(out)
    torch.testing.assert_close(model.clean(x, t, torch.cat([out, gate], dim=1)), plain)
    gate[:, :, 1, 2, 3] = -100.0
    shut = model.clean(x, t, torch.cat([out, gate], dim=1))
    d = ((1 - t) ** 2).view(-1, 1) * torch.tensor(model.config.residual_std) ** 2 + (t**2).view(-1, 1)
    alone = x[:, :, 0, 2, 3] + t.view(-1, 1) / d.sqrt() * out[:, :, 1, 2, 3]
    torch.testing.assert_close(shut[:, :, 1, 2, 3], alone)
    assert torch.equal(shut[:, :, 2], plain[:, :, 2]) and not torch.allclose(shut[:, :, 1], plain[:, :, 1])


def test_without_residual_std_the_change_alone_is_predicted(make_generator: Make) -> None:
    x, out = torch.randn(2, 2, 12, 3, 4, 4, generator=torch.Generator().manual_seed(0)).unbind(0)
    assert torch.equal(make_generator(residual_std=None).clean(x, torch.tensor([0.3, 0.8]), out), x[:, :, :1] + out)


def test_saved_and_loaded(make_generator: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = make_generator()
    model.save_pretrained(tmp_path)
    again = ResidualGenerator.from_pretrained(tmp_path)
    assert again.config.residual_std == model.config.residual_std and again.config.num_layers == 2
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert "not expected" not in caplog.text
