"""EfficientNet-Lite0, ImageNet-1k (Tan and Le 2019; Google's Lite variant): features of single frames.

No squeeze-and-excitation, ReLU6 throughout, TensorFlow's SAME padding; batch normalisation is folded into the
convolutions. Distances between its features are called `fid_lite0`, never FID: that name belongs to Inception.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from flashbench.backbones import assets
from flashbench.backbones.parts import State, convolve_same, fold_batch_norm, frozen, read_weights, squash
from flashbench.errors import InputError

DIM, SIDE, CELLS = 1280, 224, 7
BATCH_NORM_EPS = 1e-3
CHUNK = 4  # frames at once


class Stage(NamedTuple):
    """A row of the architecture: blocks, kernel, stride of the first, expansion, channels out."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class Conv(nn.Module):
    """Convolution with SAME padding and (folded) bias, ReLU6 unless it is linear."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, linear: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups)
        self.linear = linear

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = convolve_same(x, self.conv)
        return y if self.linear else F.relu6(y, inplace=True)


class Block(nn.Module):
    """Inverted residual: 1x1 expansion, depthwise kernel, linear 1x1 projection."""

    def __init__(self, inputs: int, stage: Stage, stride: int) -> None:
        super().__init__()
        width = inputs * stage.expand
        self.expand = Conv(inputs, width, 1) if stage.expand > 1 else nn.Identity()
        self.depthwise = Conv(width, width, stage.kernel, stride, groups=width)
        self.project = Conv(width, stage.channels, 1, linear=True)
        self.residual = stride == 1 and inputs == stage.channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.project(self.depthwise(self.expand(x)))
        return y + x if self.residual else y


class Network(nn.Module):
    """`[F, 3, 224, 224]`, (x - 127) / 128 -> feature map `[F, 1280, 7, 7]`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, 32, 3, 2)
        self.blocks, width = nn.Sequential(), 32
        for stage in STAGES:
            for i in range(stage.repeats):
                self.blocks.append(Block(width, stage, stage.stride if i == 0 else 1))
                width = stage.channels
        self.head = Conv(width, DIM, 1)
        self.classifier = nn.Linear(DIM, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.stem(x.contiguous(memory_format=torch.channels_last))
        return self.head(self.blocks(h))  # type: ignore[no-any-return]


def port(published: Mapping[str, torch.Tensor]) -> State:
    """The published state dict as the state of `Network`."""
    units = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    for i in range(sum(stage.repeats for stage in STAGES)):
        ours, theirs = f"blocks.{i}", f"_blocks.{i}."
        if f"{theirs}_expand_conv.weight" in published:
            units[f"{ours}.expand"] = (f"{theirs}_expand_conv", f"{theirs}_bn0")
        units[f"{ours}.depthwise"] = (f"{theirs}_depthwise_conv", f"{theirs}_bn1")
        units[f"{ours}.project"] = (f"{theirs}_project_conv", f"{theirs}_bn2")
    state: State = {"classifier.weight": published["_fc.weight"], "classifier.bias": published["_fc.bias"]}
    for name, (conv, norm) in units.items():
        folded = fold_batch_norm(published, conv, norm, BATCH_NORM_EPS)
        state[f"{name}.conv.weight"], state[f"{name}.conv.bias"] = folded
    return state


def pooled_over(maps: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Maps `[F, C, h, w]` averaged over masks, bool or float `[F, H, W]`, which are brought to h x w by area.

    Returns:
        `[F, C]`, in the maps' dtype; zero where a mask is empty.
    """
    weights = F.interpolate(masks[:, None].to(maps), maps.shape[2:], mode="area")[:, 0]  # (F, h, w)
    return torch.einsum("fchw,fhw->fc", maps, weights) / weights.sum((1, 2)).clamp(min=1e-9)[:, None]


class Lite0:
    """Frozen frame feature network. Make it with `Lite0.load()`.

    Preprocessing `squash224aa-1`: float, antialiased bilinear resize to 224 x 224 (the aspect ratio is given up),
    (x - 127) / 128.
    """

    name = "lite0"
    fingerprint = f"{assets.ASSETS['lite0'].weights_sha256}+squash224aa-1"

    def __init__(self, net: Network) -> None:
        self.net = net

    @classmethod
    def load(cls, path: Path | None = None, device: str = "cpu") -> Lite0:
        """Loads from the asset's safetensors file; fetches it the first time if `path` is None."""
        published, _ = read_weights(path or assets.fetch("lite0"))
        net = frozen(Network(), port(published))
        return cls(net.to(device).to(memory_format=torch.channels_last))

    @torch.no_grad()
    def maps(self, frames: torch.Tensor) -> torch.Tensor:
        """uint8 `[F, H, W, 3]` -> feature maps after ReLU6, float32 `[F, 1280, 7, 7]`."""
        device = self.net.classifier.weight.device
        parts = [self.net(squash(part.to(device), SIDE).sub_(127).div_(128)) for part in torch.split(frames, CHUNK)]
        return torch.cat(parts) if parts else torch.empty(0, DIM, CELLS, CELLS)

    @torch.no_grad()
    def pooled(self, frames: torch.Tensor, masks: torch.Tensor | None = None) -> torch.Tensor:
        """Features averaged over the frame, or over a region of it.

        A cell of the 7 x 7 map sees far beyond its own pixels: a region's features know something of what is around it.

        Args:
            frames: uint8 `[F, H, W, 3]`.
            masks: bool or float `[F, H, W]`, brought to 7 x 7 by area; a row whose mask is empty comes out zero.

        Returns:
            float32 `[F, 1280]`.
        """
        maps = self.maps(frames)
        if masks is None:
            return maps.mean((2, 3))
        if masks.shape != frames.shape[:3]:
            raise InputError("masks", f"have shape {tuple(masks.shape)}", f"give {list(frames.shape[:3])}")
        return pooled_over(maps, masks)

    @torch.no_grad()
    def logits(self, frames: torch.Tensor) -> torch.Tensor:
        """uint8 `[F, H, W, 3]` -> ImageNet-1k logits in the usual order, float32 `[F, 1000]`."""
        return self.net.classifier(self.pooled(frames))  # type: ignore[no-any-return]
