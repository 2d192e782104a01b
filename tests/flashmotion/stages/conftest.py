"""What tests of the methods share: toy parts, and which networks a step moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import nn

from flashmotion.networks.adapters.controlnet import ControlNetAdapter
from flashmotion.training.data import Batch


@pytest.fixture
def triple(
    generator: WanTransformer3DModel, make_generator: Callable[..., WanTransformer3DModel], adapter: ControlNetAdapter
) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Slow generator, fast generator, slow adapter."""
    return generator, make_generator(seed=2), adapter


@pytest.fixture
def moved(hash_of: Callable[[nn.Module], str], batch: Batch) -> Callable[..., list[set[str]]]:
    """`moved(stage, nets, steps)`: names of the networks that each step changes."""

    def run(stage: Any, nets: dict[str, nn.Module], steps: int) -> list[set[str]]:
        out = []
        for k in range(steps):
            before = {n: hash_of(net) for n, net in nets.items()}
            stage.step(k, batch, torch.Generator().manual_seed(k))
            out.append({n for n, net in nets.items() if hash_of(net) != before[n]})
        return out

    return run
