"""ST-LPIPS agrees with its authors' code to the last digit printed, and orders damage as a viewer would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from skimage import data

from flashbench.backbones.stlpips import STLPIPS
from flashbench.errors import InputError

PICTURES = ("astronaut", "chelsea")


def picture(name: str) -> npt.NDArray[np.uint8]:
    """A photograph of scikit-image, uint8 `[H, W, 3]`."""
    return np.asarray(getattr(data, name)(), np.uint8)


@pytest.fixture(scope="module")
def stlpips(fetched: Callable[[str], Path]) -> STLPIPS:
    return STLPIPS.load(fetched("stlpips"))


def test_distances_are_those_of_the_published_code(stlpips: STLPIPS) -> None:
    """Golden values: stlpips-pytorch 0.0.2, LPIPS(net='alex', variant='shift_tolerant') on these crops in [-1, 1]."""
    astronaut, cat = (torch.tensor(picture(name)) for name in PICTURES)
    frames = torch.stack([astronaut[:96, :128], astronaut[100:196, 200:328], cat[100:196, 100:228]])
    others = torch.stack([astronaut[2:98, 2:130], cat[50:146, 0:128], cat[103:199, 100:228]])
    assert stlpips.distances(frames, others).tolist() == pytest.approx([0.011045, 0.784205, 0.030703], abs=2e-5)


def test_a_shift_is_small_and_noise_blur_another_picture_grow(stlpips: STLPIPS) -> None:
    big, cat = (torch.tensor(cv2.resize(picture(n), (260, 260), interpolation=cv2.INTER_AREA)) for n in PICTURES)
    frame = big[:256, :256]
    noise = 25 * torch.randn(frame.shape, generator=torch.Generator().manual_seed(0))
    noisy = (frame.float() + noise).clamp(0, 255).to(torch.uint8)
    blurred = torch.tensor(cv2.GaussianBlur(frame.numpy(), (0, 0), 3))
    others = torch.stack([frame, big[2:258, 2:258], noisy, blurred, cat[:256, :256]])
    same, shifted, with_noise, with_blur, different = stlpips.distances(frame.expand(5, -1, -1, -1), others).tolist()
    assert same == 0
    assert 0 < shifted < 0.1 < with_noise < with_blur < different


def test_small_frames_are_enlarged_and_the_order_of_a_pair_does_not_matter(stlpips: STLPIPS) -> None:
    frames = torch.randint(0, 256, (5, 16, 24, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    there, back = stlpips.distances(frames, frames.flip(0)), stlpips.distances(frames.flip(0), frames)
    assert there.shape == (5,) and there[2] == 0
    torch.testing.assert_close(there, back)


def test_refuses_pairs_of_different_size(stlpips: STLPIPS) -> None:
    frames = torch.zeros(2, 64, 64, 3, dtype=torch.uint8)
    with pytest.raises(InputError, match="one shape"):
        stlpips.distances(frames, frames[:1])
