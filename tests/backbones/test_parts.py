"""The convolution that the networks share."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from flashbench.backbones import parts
from flashbench.backbones.parts import convolve


@pytest.mark.parametrize("path", ["fused", "oneDNN", "torch"])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_convolution_by_every_path(path: str, dimensions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if path != "fused":
        monkeypatch.setattr(parts, "FUSED", None)
    if path == "torch":
        monkeypatch.setattr(parts, "ONEDNN", False)
    torch.manual_seed(0)
    make, function = (torch.nn.Conv2d, F.conv2d) if dimensions == 2 else (torch.nn.Conv3d, F.conv3d)
    conv = make(4, 6, 3, stride=2, groups=2).requires_grad_(False)
    x = torch.randn(2, 4, *[9] * dimensions)
    expected = function(x, conv.weight, conv.bias, 2, 1, 1, 2)
    found = convolve(x, conv, [1] * dimensions)
    torch.testing.assert_close(found, expected)
    assert (found < 0).any()
    torch.testing.assert_close(convolve(x, conv, [1] * dimensions, relu=True), expected.relu())


@pytest.mark.skipif(parts.FUSED is None or not parts.ONEDNN, reason="this build of torch has no fused convolution")
def test_one_pass_or_two_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    conv = torch.nn.Conv3d(16, 32, 3).requires_grad_(False).to(memory_format=torch.channels_last_3d)
    x = torch.randn(1, 16, 4, 14, 14).contiguous(memory_format=torch.channels_last_3d)
    fused = convolve(x, conv, [1] * 3, relu=True)
    monkeypatch.setattr(parts, "FUSED", None)
    assert torch.equal(convolve(x, conv, [1] * 3, relu=True), fused)
