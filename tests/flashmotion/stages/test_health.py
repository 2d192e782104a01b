"""Health of samples: values that can be told beforehand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from flashmotion.networks.codec import PatchCodec, to_latents
from flashmotion.stages.health import LIMITS, accuracy_by_noise, health
from flashmotion.training.data import Batch


@pytest.fixture
def real(codec: PatchCodec, batch: Batch) -> Tensor:
    return to_latents(codec, batch.video)


def test_a_real_clip_is_healthy(codec: PatchCodec, real: Tensor) -> None:
    found = health(codec, real, real)
    assert found["motion"] == pytest.approx(1) and found["copies"] == 0 and found["saturation"] < 0.1
    assert all(low <= found[k] <= high for k, (low, high) in LIMITS.items()) and set(found) == set(LIMITS)


def test_a_frozen_first_frame_is_a_copy(codec: PatchCodec, real: Tensor) -> None:
    frozen = real[:, :, :1].expand_as(real)
    assert health(codec, frozen, real) | {"saturation": 0} == {"motion": 0, "copies": 1, "saturation": 0}
    half = torch.cat([frozen[:1], real[1:]])
    assert health(codec, half, real)["copies"] == 0.5


def test_motion_is_a_multiple_of_the_real_clips(codec: PatchCodec, real: Tensor) -> None:
    first = real[:, :, :1]
    assert health(codec, first + 3 * (real - first), real)["motion"] == pytest.approx(3, rel=1e-4)


def test_colours_that_run_away_are_saturated(codec: PatchCodec, real: Tensor) -> None:
    assert health(codec, 50 * real, real)["saturation"] > 0.5


def test_accuracy_by_noise() -> None:
    real, fake = torch.tensor([1.0, 1.0, -1.0, 1.0]), torch.tensor([-1.0, 1.0, 1.0, -1.0])
    found = accuracy_by_noise(real, fake, torch.tensor([0.1, 0.5, 0.5, 0.2]))
    assert found == {"accuracy": 0.625, "accuracy_low": 1.0, "accuracy_middle": 0.25, "ordered": 0.5}
    undecided = accuracy_by_noise(torch.zeros(2), torch.zeros(2), torch.tensor([0.9, 1.0]))
    assert undecided == {"accuracy": 0.0, "accuracy_high": 0.0, "ordered": 0.0}
    assert not any(math.isnan(v) for v in found.values())
