"""I3D against the published FVD of constant clips (their covariances are zero, so FVD = ||mu - mu'||^2)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from flashbench.backbones.i3d import I3D, MaxPool
from flashbench.backbones.parts import same_pads
from flashbench.errors import InputError


@pytest.fixture(scope="module")
def i3d(fetched: Callable[[str], Path]) -> I3D:
    return I3D.load(fetched("i3d"))


# frames, our value, published value, tolerance of the published one (it is printed with few digits; the first
# is "about 131" in google-research's example and is the only one that differs by more than a thousandth)
KNOWN_ANSWERS = [
    (10, 569.7703, 569.2, 0.7),
    (15, 133.9081, 131.0, 3.5),
    (18, 382.5496, 382.0, 0.6),
    (23, 64.5453, 64.6, 0.1),
    (30, 151.3924, 151.3924, 0.003),
]


@pytest.mark.parametrize(("frames", "ours", "published", "tolerance"), KNOWN_ANSWERS)
def test_fvd_of_black_against_white(i3d: I3D, frames: int, ours: float, published: float, tolerance: float) -> None:
    black = torch.zeros(1, frames, 64, 64, 3, dtype=torch.uint8)
    a, b = i3d.features(torch.cat([black, black + 255]))
    fvd = float((a.double() - b.double()).square().sum())
    assert fvd == pytest.approx(ours, rel=2e-5)
    assert fvd == pytest.approx(published, abs=tolerance)


@pytest.mark.parametrize("frames", [8, 9])
@pytest.mark.parametrize(
    ("kernel", "stride"),
    [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2)), ((3, 3, 3), (1, 1, 1))],
)
def test_pooling_is_that_of_a_padded_video(
    frames: int, kernel: tuple[int, int, int], stride: tuple[int, int, int]
) -> None:
    x = torch.randn(2, 3, frames, 14, 7, generator=torch.Generator().manual_seed(0))
    pads = [n for pair in reversed(same_pads(x.shape[2:], kernel, stride)) for n in pair]
    expected = F.max_pool3d(F.pad(x, pads, value=float("-inf")), kernel, stride)
    assert expected.shape[2:] == tuple(-(-n // s) for n, s in zip(x.shape[2:], stride, strict=True))
    assert torch.equal(MaxPool(kernel, stride)(x), expected)


def test_refuses_what_would_change_the_shape_silently(i3d: I3D) -> None:
    with pytest.raises(InputError, match="T at least 9"):
        i3d.features(torch.zeros(1, 8, 32, 32, 3, dtype=torch.uint8))
    with pytest.raises(InputError, match="uint8"):
        i3d.features(torch.zeros(1, 9, 32, 32, 3))
