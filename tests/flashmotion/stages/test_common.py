"""What the stages share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flashbench.files.png import read_png
from flashmotion import flow
from flashmotion.networks.codec import PatchCodec
from flashmotion.presets.schema import Preset
from flashmotion.stages import common


def test_latents_with_noise_is_the_flow_behind_a_clean_first_frame() -> None:
    z = torch.randn(2, 4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([0.3, 0.9])
    x = common.latents_with_noise(z, t, torch.Generator().manual_seed(1))
    eps = torch.randn(z[:, :, 1:].shape, generator=torch.Generator().manual_seed(1))
    assert torch.equal(x[:, :, :1], z[:, :, :1])
    torch.testing.assert_close(x[:, :, 1:], flow.noised(z[:, :, 1:], eps, t))


def test_psnr_leaves_frame_0_out() -> None:
    target = torch.full((2, 4, 6, 6, 3), 100, dtype=torch.uint8)
    video = target.clone()
    video[:, 0] = 0
    video[:, 1:] += 10
    assert common.psnr(video, target) == pytest.approx(10 * np.log10(255**2 / 100), rel=1e-5)


def test_sharpness_falls_with_blur_and_looks_inside_the_masks_alone() -> None:
    rng = np.random.default_rng(0)
    video = torch.from_numpy(rng.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8))
    masks = np.zeros((1, 3, 16, 16), np.bool_)
    masks[:, :, 4:12, 4:12] = True
    blurred = video.float()
    blurred = ((blurred + blurred.roll(1, 1) + blurred.roll(1, 2)) / 3).to(torch.uint8)
    assert common.sharpness(blurred, masks) < 0.7 * common.sharpness(video, masks)
    other = video.clone()
    other[:, :3], other[0] = 0, 0
    assert common.sharpness(other, masks) == common.sharpness(video, masks)


def test_jump_looks_where_latent_frames_meet() -> None:
    still = torch.zeros(1, 17, 4, 4, 3)
    steady = still + torch.arange(17).view(1, -1, 1, 1, 1)
    frames = torch.arange(17).view(1, -1, 1, 1, 1)
    within = steady + 40 * (frames % 4 == 3)  # frames 3, 7, ... are neither first nor last of a latent frame
    groups = still + 3 * ((frames + 3) // 4)
    assert common.jump(steady.byte(), steady.byte()) == common.jump(within.byte(), steady.byte()) == 1
    assert common.jump(groups.byte(), steady.byte()) == 3 and common.jump(still.byte(), steady.byte()) == 0


def test_a_sheet_shows_rows_of_frames_from_first_to_last(tmp_path: Path) -> None:
    rows = [(torch.arange(17)[:, None, None, None] + 100 * k).expand(17, 5, 6, 3).to(torch.uint8) for k in range(2)]
    common.sheet(tmp_path / "sheet.png", rows)
    picture = read_png(tmp_path / "sheet.png")
    assert picture.shape == (2 * 2 * 5, 8 * 2 * 6, 3)
    assert picture[0, ::12, 0].tolist() == [0, 2, 4, 6, 9, 11, 13, 16] and picture[10, 0, 0] == 100


def test_held_out_clips_are_test_scenes(toy: Preset, codec: PatchCodec, text: Tensor) -> None:
    held = common.held_out(toy, codec, text[-4:], "boxes", 3)
    assert held.video.shape == held.maps.shape == (3, 17, 32, 32, 3)
    assert held.latents.shape == held.control.shape == (3, 12, 5, 4, 4)
    assert torch.equal(held.text, text[-4:-1].float()) and all(torch.equal(e, text[-1].float()) for e in held.empty)
    again = common.held_out(toy, codec, text[-4:], "boxes", 3)
    assert torch.equal(held.video, again.video)


def test_update_clips_and_clears_and_tells_the_norm_before() -> None:
    net = nn.Linear(3, 1, bias=False)
    before = net.weight.detach().clone()
    optimizers = {"sgd": torch.optim.SGD(net.parameters(), lr=1.0)}
    out = common.update(100 * net(torch.ones(1, 3)).sum(), optimizers, [net], clip=1.0, name="x")
    assert set(out) == {"x", "x_gradient"} and out["x_gradient"] == pytest.approx(100 * 3**0.5)
    assert float((net.weight - before).norm()) == pytest.approx(1.0, rel=1e-4) and net.weight.grad is None
