"""ST-LPIPS, AlexNet (Ghildyal and Liu, ECCV 2022): perceptual distance that tolerates small shifts.

An AlexNet whose only downsampling is a reflect-padded [1 2 1] blur, and linear heads on the squared differences of
unit-length features, summed over five layers: trunk and heads come in one file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from flashbench.backbones import assets
from flashbench.backbones.parts import State, frozen, read_weights
from flashbench.errors import InputError

MIN_SIDE, MAX_SIDE = 64, 256
CHUNK = 4  # pairs at once
LAYERS = {"1": "net.slice1.0", "2": "net.slice2.5", "3": "net.slice3.9", "4": "net.slice4.11", "5": "net.slice5.13"}
WIDTHS = (64, 192, 384, 256, 256)


def blur_down(x: torch.Tensor) -> torch.Tensor:
    """Halves the size: reflect padding by 2, then the binomial filter [1 2 1] x [1 2 1] / 16 at stride 2."""
    tap = torch.tensor([1.0, 2.0, 1.0], device=x.device) / 4
    kernel = torch.outer(tap, tap).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=x.shape[1])


def unit(x: torch.Tensor) -> torch.Tensor:
    """Channel vectors scaled to length 1."""
    return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)


class Network(nn.Module):
    """Two batches `[B, 3, H, W]` in [-1, 1] -> distances `[B]`."""

    shift: torch.Tensor
    scale: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 11, padding=2)
        self.conv2 = nn.Conv2d(64, 192, 5, padding=2)
        self.conv3 = nn.Conv2d(192, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 256, 3, padding=1)
        self.conv5 = nn.Conv2d(256, 256, 3, padding=1)
        self.heads = nn.ParameterList([nn.Parameter(torch.empty(width)) for width in WIDTHS])
        self.register_buffer("shift", torch.empty(1, 3, 1, 1))
        self.register_buffer("scale", torch.empty(1, 3, 1, 1))

    def layers(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """The five feature maps that are compared."""
        x = ((x - self.shift) / self.scale).contiguous(memory_format=torch.channels_last)
        yield (x := blur_down(self.conv1(x)).relu_())
        yield (x := self.conv2(blur_down(F.max_pool2d(x, 3, 1))).relu_())
        yield (x := self.conv3(blur_down(F.max_pool2d(x, 3, 1))).relu_())
        yield (x := self.conv4(x).relu_())
        yield self.conv5(x).relu_()

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        total = torch.zeros(len(a), device=a.device)
        for head, both in zip(self.heads, self.layers(torch.cat([a, b])), strict=True):
            u, v = unit(both).chunk(2)
            total += torch.einsum("bchw,c->bhw", (u - v).square(), head).mean((1, 2))
        return total


def port(published: Mapping[str, torch.Tensor]) -> State:
    """The published state dict as the state of `Network`."""
    state: State = {key: published[f"scaling_layer.{key}"] for key in ("shift", "scale")}
    for i, theirs in LAYERS.items():
        state[f"conv{i}.weight"], state[f"conv{i}.bias"] = published[f"{theirs}.weight"], published[f"{theirs}.bias"]
        head = int(i) - 1
        state[f"heads.{head}"] = published[f"lin{head}.model.1.weight"].flatten()
    return state


class STLPIPS:
    """Frozen perceptual distance. Make it with `STLPIPS.load()`.

    Preprocessing `side64to256aa-1`: frames keep their size if their shorter side lies in 64..256 px; smaller ones are
    enlarged to 64, larger ones reduced to 256 (antialiased bilinear, aspect ratio kept); 2x/255 - 1.
    """

    name = "stlpips"
    fingerprint = f"{assets.ASSETS['stlpips'].weights_sha256}+side64to256aa-1"

    def __init__(self, net: Network) -> None:
        self.net = net

    @classmethod
    def load(cls, path: Path | None = None, device: str = "cpu") -> STLPIPS:
        """Loads from the asset's safetensors file; fetches it the first time if `path` is None."""
        published, _ = read_weights(path or assets.fetch("stlpips"))
        net = frozen(Network(), port(published))
        return cls(net.to(device).to(memory_format=torch.channels_last))

    @torch.no_grad()
    def distances(self, frames: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """Distance of frame i to other frame i, 0 = alike: uint8 `[F, H, W, 3]` twice -> float32 `[F]`."""
        if frames.shape != others.shape:
            what = f"have shapes {tuple(frames.shape)} and {tuple(others.shape)}"
            raise InputError("frame pairs", what, "give two uint8 [F, H, W, 3] of one shape")
        pixels = max(frames.shape[1:3].numel(), 1)
        chunk = max(1, min(CHUNK, CHUNK * 128**2 // pixels))  # its first maps have 64 channels at full size
        pairs = zip(torch.split(frames, chunk), torch.split(others, chunk), strict=True)
        parts = [self.net(self._prepare(a), self._prepare(b)) for a, b in pairs]
        return torch.cat(parts) if parts else torch.empty(0)

    def _prepare(self, frames: torch.Tensor) -> torch.Tensor:
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
            raise InputError("frames", f"are {frames.dtype} {tuple(frames.shape)}", "give uint8 [F, H, W, 3]")
        x = frames.to(self.net.shift.device).permute(0, 3, 1, 2).float()
        short = min(x.shape[2:])
        if (side := min(max(short, MIN_SIDE), MAX_SIDE)) != short:
            size = [round(n * side / short) for n in x.shape[2:]]
            x = F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
        return x * (2 / 255) - 1
