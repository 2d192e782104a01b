"""Fitting the codec: principal components in the codec's own order."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from flashmotion.networks.codec import PatchCodec, to_latents
from flashmotion.presets.schema import Preset
from flashmotion.stages.codec import fit, patches, reconstruction_psnr


@pytest.fixture(scope="module")
def small(toy: Preset) -> Preset:
    return dataclasses.replace(toy, patch=4, channels=48, frames=33)


@pytest.fixture(scope="module")
def fitted(small: Preset) -> PatchCodec:
    return fit(small, clips=6)


def test_patches_are_in_the_codecs_order(small: Preset, fitted: PatchCodec) -> None:
    video = torch.randint(0, 256, (9, 16, 24, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    rows = patches(video[1:], small.patch).float().div(255) @ fitted.basis
    std = torch.tensor(fitted.config.latents_std)
    z = to_latents(fitted, video[None])[0, :, 1:].permute(1, 2, 3, 0).reshape(-1, small.channels)
    torch.testing.assert_close(rows / std, z, atol=1e-4, rtol=1e-4)


def test_the_basis_is_orthonormal_and_the_latents_fall_in_strength(small: Preset, fitted: PatchCodec) -> None:
    torch.testing.assert_close(fitted.basis.T @ fitted.basis, torch.eye(small.channels), atol=1e-5, rtol=0)
    assert fitted.config.latents_mean == [0.0] * small.channels
    std = torch.tensor(fitted.config.latents_std)
    assert (std.diff() <= 1e-6).all() and std.min() > 0
    assert (fitted.basis.sum(0) >= -1e-5).all()  # signs are fixed: fitting twice gives the same codec


def test_latents_have_about_unit_power_on_what_it_was_fitted_on(small: Preset, fitted: PatchCodec) -> None:
    from flashbench.cases.scenes.world import render
    from flashmotion.training.data import scene

    clips = [torch.from_numpy(render(scene(small, i), small.size).video)[None] for i in range(6)]
    power = torch.stack([to_latents(fitted, c)[:, :, 1:].square().mean() for c in clips]).mean()
    assert 0.7 < float(power) < 1.4


def test_more_components_show_more(small: Preset, fitted: PatchCodec) -> None:
    few = fit(dataclasses.replace(small, channels=6), clips=6)
    assert reconstruction_psnr(fitted, small, clips=2) > reconstruction_psnr(few, small, clips=2) + 3


def test_fitting_twice_gives_the_same(small: Preset, fitted: PatchCodec) -> None:
    again = fit(small, clips=6)
    torch.testing.assert_close(again.basis, fitted.basis, rtol=0, atol=1e-5)  # LAPACK's last bits are a machine's own
    assert again.config.latents_std == pytest.approx(fitted.config.latents_std, rel=1e-6)
