"""The convolutions that the networks share."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from flashbench.backbones import parts
from flashbench.backbones.parts import convolve, convolve_same, same_pads


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


def test_same_padding_is_tensorflows() -> None:
    """Of a convolution that sums what it sees: 2 zeros before and 3 behind of an even side, 3 and 3 of an odd one."""
    assert same_pads((16, 224, 7), (7, 7, 7), (2, 2, 2)) == [(2, 3), (2, 3), (3, 3)]
    conv = torch.nn.Conv3d(1, 1, 7, 2, bias=False)
    torch.nn.init.ones_(conv.weight)
    with torch.no_grad():
        seen = convolve_same(torch.ones(1, 1, 16, 24, 7), conv)[0, 0]
    assert seen.shape == (8, 12, 4)
    assert seen[4, 6].tolist() == [49 * 4, 49 * 6, 49 * 6, 49 * 4]
    assert seen[4, 0, 1] == 7 * 5 * 6 and seen[4, 11, 1] == 7 * 4 * 6  # 2 of 7 lie before the first, 3 behind the last
    assert seen[0, 6, 1] == 5 * 7 * 6 and seen[7, 6, 1] == 4 * 7 * 6


def test_a_convolution_with_even_padding_needs_no_copy() -> None:
    conv = torch.nn.Conv2d(2, 3, 3)
    x = torch.randn(1, 2, 8, 9, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = F.conv2d(x, conv.weight, conv.bias, padding=1)
        torch.testing.assert_close(convolve_same(x, conv), expected, atol=1e-6, rtol=0)
        torch.testing.assert_close(convolve_same(x, conv, relu=True), expected.relu(), atol=1e-6, rtol=0)
