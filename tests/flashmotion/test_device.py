"""Devices. `meta` stands in for a GPU: tensors of two devices do not mix there either, and nothing can be read back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flashbench.errors import InputError
from flashmotion import device
from flashmotion.networks.adapters.hint import Hint
from flashmotion.networks.codec import PatchCodec
from flashmotion.presets.schema import Preset
from flashmotion.stages.base import Base
from flashmotion.stages.common import HeldOut
from flashmotion.stages.diffusion_only import DiffusionOnly
from flashmotion.stages.dmd import Dmd
from flashmotion.stages.fast_adapter import FastAdapter
from flashmotion.stages.fast_generator import FastGenerator
from flashmotion.stages.lcm import Lcm
from flashmotion.stages.slow_adapter import SlowAdapter
from flashmotion.training.data import Batch

META = torch.device("meta")
Parts = tuple[nn.Module, nn.Module, nn.Module]

MAKERS: dict[str, Callable[..., object]] = {
    "base": lambda triple, hint, *args: Base(*args),
    "slow-adapter": lambda triple, hint, *args: SlowAdapter(*args, parts=(triple[0], hint)),
    "fast-generator": lambda triple, hint, *args: FastGenerator(*args, slow=triple[0]),
    "fast-adapter": lambda triple, hint, *args: FastAdapter(*args, parts=triple),
    "diffusion-only": lambda triple, hint, *args: DiffusionOnly(*args, parts=triple),
    "dmd": lambda triple, hint, *args: Dmd(*args, parts=(triple[0], triple[2])),
    "lcm": lambda triple, hint, *args: Lcm(*args, parts=(triple[0], triple[2])),
}


@pytest.fixture
def triple(generator: nn.Module, make_generator: Callable[..., nn.Module], adapter: nn.Module) -> Parts:
    return generator, make_generator(seed=2), adapter


@pytest.fixture
def no_updates(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fused AdamW does not know the device."""
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self: None)
    yield


@pytest.mark.parametrize("name", MAKERS)
def test_a_step_stays_on_its_device_and_waits_for_nothing(
    name: str, toy: Preset, codec: PatchCodec, text: Tensor, batch: Batch, triple: Parts, no_updates: None
) -> None:
    hint = Hint(toy.channels, toy.heads * toy.head_dim)
    stage = MAKERS[name](triple, hint, toy, codec, torch.float32, text[-5:], 4)
    device.place(stage, META)
    said: dict[str, object] = {}
    for step in range(2):  # the second updates what is not updated at every step
        said |= stage.step(step, device.placed(batch, META), torch.Generator().manual_seed(step))  # type: ignore[attr-defined]
    assert all(isinstance(v, float) or v.device == META for v in said.values())  # type: ignore[attr-defined]
    assert sum(isinstance(v, Tensor) for v in said.values()) >= 2


def test_what_a_stage_holds_is_moved_and_its_optimizers_keep_hold_of_it(
    toy: Preset, codec: PatchCodec, text: Tensor
) -> None:
    stage = FastGenerator(toy, codec, torch.float32, text[-5:], 4, slow=Base(toy, codec, torch.float32, text).generator)
    device.place(stage, META)
    owned = {id(q) for o in stage.optimizers.values() for g in o.param_groups for q in g["params"]}
    assert owned == {id(q) for n in (stage.generator, stage.fake) for q in n.parameters()}
    assert stage.nets["fake"] is stage.fake and stage.codec.device == stage.empty.device == META
    assert isinstance(stage.held, HeldOut) and stage.held.maps.device == META and stage.preset == toy
    assert isinstance(stage.held.masks[0], np.ndarray)


def test_on_the_cpu_nothing_is_touched(toy: Preset, batch: Batch) -> None:
    class Holder:
        def __init__(self) -> None:
            self.value = (batch, toy)

    held = Holder()
    before = held.value
    device.place(held, torch.device("cpu"))
    assert held.value is before
    same = device.placed(batch, torch.device("cpu"))
    assert all(getattr(same, f.name) is getattr(batch, f.name) for f in dataclasses.fields(Batch))


@pytest.mark.parametrize("there", [True, False])
def test_the_device_of_a_name(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert device.chosen("cpu").type == "cpu" and device.chosen("auto").type == ("cuda" if there else "cpu")
    if there:
        assert device.chosen("cuda").type == "cuda"
    else:
        with pytest.raises(InputError, match="--device: CUDA is not available .*; leave it out"):
            device.chosen("cuda")


def test_noise_on_the_cpu_is_the_generators() -> None:
    expected = torch.randn(3, 40, generator=torch.Generator().manual_seed(1))
    for kind in (torch.Generator, device.DeviceNoise):
        assert torch.equal(device.noise((3, 40), kind().manual_seed(1), torch.device("cpu")), expected)


def test_noise_of_the_device_takes_one_number_of_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what is drawn after it, on the CPU, does not depend on how large it was."""
    seeds: list[int] = []
    real = torch.Generator()

    class Own:
        def __init__(self, where: torch.device) -> None:
            assert where == META

        def manual_seed(self, seed: int) -> torch.Generator:
            seeds.append(seed)
            return real

    def after(shape: tuple[int, ...], seed: int) -> float:
        rng = device.DeviceNoise().manual_seed(seed)
        monkeypatch.setattr(torch, "Generator", Own)
        made = device.noise(shape, rng, META)
        monkeypatch.undo()
        assert made.device == META and made.shape == shape and made.dtype == torch.float32
        return float(torch.rand(1, generator=rng))

    assert after((2, 3), 5) == after((70, 30), 5) != after((2, 3), 6)
    assert seeds[0] == seeds[1] != seeds[2]
