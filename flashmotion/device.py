"""Where training runs, the CPU unless asked otherwise, and how numbers come to a device without waiting for it.

All choices (times, exit steps, hints, which scenes) are drawn on the CPU, so that they are the same on every device.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from flashbench.errors import InputError


def chosen(name: str) -> torch.device:
    """The device of a name: `cpu`, `cuda`, or `auto`, which is CUDA where there is some.

    Raises:
        InputError: CUDA is asked for and there is none.
    """
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise InputError("--device", "CUDA is not available on this machine", "leave it out to train on the CPU")
    return torch.device("cuda" if name != "cpu" and there else "cpu")


def moved(x: Tensor, device: torch.device) -> Tensor:
    """`x` on a device. The CPU does not wait: the driver keeps what it has yet to copy."""
    return x.to(device, non_blocking=True)


def placed(value: Any, device: torch.device) -> Any:
    """A value with all tensors in it on a device: of tuples, dicts and dataclasses too; networks are moved in place."""
    if isinstance(value, Tensor):
        return moved(value, device)
    if isinstance(value, nn.Module):
        return value.to(device)
    if isinstance(value, dict):
        return {k: placed(v, device) for k, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(placed(v, device) for v in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changes = {f.name: placed(getattr(value, f.name), device) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **changes)
    return value


def networks(value: Any) -> list[nn.Module]:
    """All networks in a value: itself, or in its dicts, lists and tuples."""
    if isinstance(value, nn.Module):
        return [value]
    parts = value if type(value) in (list, tuple) else value.values() if isinstance(value, dict) else ()
    return [net for part in parts for net in networks(part)]


def place(stage: Any, device: torch.device) -> None:
    """Moves all that a stage holds. It is made on the CPU, so that it starts from the same numbers everywhere."""
    if device.type == "cpu":
        return
    before = [q for net in stage.nets.values() for q in net.parameters()]
    for name, value in vars(stage).items():
        setattr(stage, name, placed(value, device))
    after = [q for net in stage.nets.values() for q in net.parameters()]
    now = {id(old): new for old, new in zip(before, after, strict=True)}  # torch may make them anew
    for optimizer in stage.optimizers.values():
        for group in optimizer.param_groups:
            group["params"] = [now[id(q)] for q in group["params"]]


class DeviceNoise(torch.Generator):
    """A CPU generator that draws noise on the device, from a seed of its own drawing.

    Millions of normal numbers a step take a CPU longer than the whole step takes a GPU. They are other numbers than the
    CPU's, and as those a function of the seed.
    """


def noise(shape: torch.Size | tuple[int, ...], rng: torch.Generator, device: torch.device) -> Tensor:
    """Normal numbers, float32, on a device: drawn on the CPU, or there if `rng` is a `DeviceNoise`."""
    if device.type == "cpu":
        return torch.randn(shape, generator=rng, dtype=torch.float32)
    if isinstance(rng, DeviceNoise):
        seed = int(torch.randint(1 << 62, (1,), generator=rng))
        own = torch.Generator(device).manual_seed(seed)
        return torch.randn(shape, generator=own, dtype=torch.float32, device=device)
    pinned = device.type == "cuda"  # else the copy would first be copied to where the driver can read it
    return moved(torch.randn(shape, generator=rng, dtype=torch.float32, pin_memory=pinned), device)
