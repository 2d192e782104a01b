"""I3D, Kinetics-400 (Carreira and Zisserman 2017): the network behind FVD, ported from DeepMind's TensorFlow release.

Features are the 400 logits, averaged over time, as in the FVD paper (TensorFlow's tensor `RGB/inception_i3d/Mean:0`).
The port keeps TensorFlow's SAME padding; its known answers agree with TensorFlow's FVD (tests, and `make bench`).
Batch normalisation is folded into the convolutions, and the three 1x1x1 convolutions opening a block run as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from flashbench.backbones import assets
from flashbench.backbones.parts import (
    State,
    convolve_same,
    fold_batch_norm,
    frozen,
    read_weights,
    same_pads,
    squash,
)
from flashbench.errors import InputError

CLASSES = 400
SIDE = 224
MIN_FRAMES = 9  # temporal stride 8, then a pool over 2
BATCH_NORM_EPS = 1e-3  # Sonnet's
# Block -> channels of its branches: 1x1 | 1x1, 3x3 | 1x1, 3x3 | pool, 1x1.
BLOCKS: Mapping[str, Sequence[int]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


class Conv(nn.Module):
    """Convolution with SAME padding, (folded) bias and ReLU: `[B, C, T, H, W]`, channels last in memory."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return convolve_same(x, self.conv, relu=True)


def neighbourhood_max(x: torch.Tensor) -> torch.Tensor:
    """Maximum over 3 x 3 x 3 neighbours, those outside left out: an axis at a time, a third of the time of 27."""
    for axis in (2, 3, 4):
        size, before = x.shape[axis], x
        x = before.clone()
        torch.maximum(x.narrow(axis, 0, size - 1), before.narrow(axis, 1, size - 1), out=x.narrow(axis, 0, size - 1))
        torch.maximum(x.narrow(axis, 1, size - 1), before.narrow(axis, 0, size - 1), out=x.narrow(axis, 1, size - 1))
    return x


class MaxPool(nn.Module):
    """Max pooling with SAME padding (minus infinity outside)."""

    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kernel == (3, 3, 3) and self.stride == (1, 1, 1):
            return neighbourhood_max(x)
        # Where SAME pads more at the end than at the beginning, ceil_mode lets the last window reach beyond the end.
        before = [begin for begin, _ in same_pads(x.shape[2:], self.kernel, self.stride)]
        return F.max_pool3d(x, self.kernel, self.stride, before, ceil_mode=True)


class Inception(nn.Module):
    """Four branches side by side; `opening` is the 1x1x1 convolution of the first three in one."""

    def __init__(self, inputs: int, channels: Sequence[int]) -> None:
        super().__init__()
        c0, c1a, c1b, c2a, c2b, c3 = channels
        self.split = (c0, c1a, c2a)
        self.opening = Conv(inputs, c0 + c1a + c2a, 1)
        self.branch1, self.branch2, self.branch3 = Conv(c1a, c1b, 3), Conv(c2a, c2b, 3), Conv(inputs, c3, 1)
        self.pool = MaxPool((3, 3, 3), (1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b0, b1, b2 = self.opening(x).split(self.split, dim=1)
        return torch.cat([b0, self.branch1(b1), self.branch2(b2), self.branch3(self.pool(x))], dim=1)


class Network(nn.Module):
    """`[B, 3, T, 224, 224]` in [-1, 1] -> logits averaged over time `[B, 400]`."""

    def __init__(self) -> None:
        super().__init__()
        spatial, half = MaxPool((1, 3, 3), (1, 2, 2)), {"Mixed_4b": (3, 3, 3), "Mixed_5b": (2, 2, 2)}
        layers: dict[str, nn.Module] = {
            "Conv3d_1a_7x7": Conv(3, 64, 7, 2),
            "MaxPool3d_2a": spatial,
            "Conv3d_2b_1x1": Conv(64, 64, 1),
            "Conv3d_2c_3x3": Conv(64, 192, 3),
            "MaxPool3d_3a": spatial,
        }
        width = 192
        for name, channels in BLOCKS.items():
            if name in half:
                layers[f"MaxPool3d_{name[6]}a"] = MaxPool(half[name], (2, 2, 2))
            layers[name] = Inception(width, channels)
            width = channels[0] + channels[2] + channels[4] + channels[5]
        self.trunk = nn.Sequential()
        for name, layer in layers.items():
            self.trunk.add_module(name, layer)
        self.logits = nn.Linear(width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.trunk(x.contiguous(memory_format=torch.channels_last_3d))  # (B, 1024, t, 7, 7)
        h = F.avg_pool3d(h, (2, 7, 7), stride=1)[..., 0, 0]  # (B, 1024, t - 1)
        return self.logits(h.mean(-1))  # type: ignore[no-any-return]  # linear: the mean over time goes first


def port(arrays: Mapping[str, torch.Tensor]) -> State:
    """The published arrays (flax names, kernels T, H, W, I, O) as the state of `Network`."""

    def unit(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        plain = {
            "conv.weight": arrays[f"params/{name}/Conv_0/kernel"].permute(4, 3, 0, 1, 2),
            "norm.bias": arrays[f"params/{name}/BatchNorm_0/bias"],
            "norm.running_mean": arrays[f"batch_stats/{name}/BatchNorm_0/mean"].flatten(),
            "norm.running_var": arrays[f"batch_stats/{name}/BatchNorm_0/var"].flatten(),
        }
        return fold_batch_norm(plain, "conv", "norm", BATCH_NORM_EPS)

    units = {f"trunk.{n}": unit(n) for n in ("Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3")}
    for block in BLOCKS:
        opening = [unit(f"{block}/Branch_{i}/Conv3d_0a_1x1") for i in (0, 1, 2)]
        units[f"trunk.{block}.opening"] = torch.cat([w for w, _ in opening]), torch.cat([b for _, b in opening])
        units[f"trunk.{block}.branch1"] = unit(f"{block}/Branch_1/Conv3d_0b_3x3")
        units[f"trunk.{block}.branch2"] = unit(f"{block}/Branch_2/Conv3d_0b_3x3")
        units[f"trunk.{block}.branch3"] = unit(f"{block}/Branch_3/Conv3d_0b_1x1")
    state: State = {}
    for name, (weight, bias) in units.items():
        state[f"{name}.conv.weight"], state[f"{name}.conv.bias"] = weight, bias
    state["logits.weight"] = arrays["params/Logits/Conv3d_0c_1x1/Conv_0/kernel"][0, 0, 0].T
    state["logits.bias"] = arrays["params/Logits/Conv3d_0c_1x1/Conv_0/bias"]
    return state


class I3D:
    """Frozen video feature network. Make it with `I3D.load()`.

    Preprocessing `squash224aa-1`: float, antialiased bilinear resize of every frame to 224 x 224 (the aspect ratio is
    given up), 2x/255 - 1.
    """

    name = "i3d"
    fingerprint = f"{assets.ASSETS['i3d'].weights_sha256}+squash224aa-1"

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    @classmethod
    def load(cls, path: Path | None = None, device: str = "cpu") -> I3D:
        """Loads from the asset's safetensors file; fetches it the first time if `path` is None."""
        arrays, _ = read_weights(path or assets.fetch("i3d"))
        return cls(frozen(Network(), port(arrays)).to(device).to(memory_format=torch.channels_last_3d))

    @torch.no_grad()
    def logits(self, clips: torch.Tensor) -> torch.Tensor:
        """Scaled clips, float32 `[B, 3, T, 224, 224]` in [-1, 1], T >= 9 -> Kinetics-400 logits, float32 `[B, 400]`.

        The clips must be on the network's device.

        Raises:
            InputError: another shape, or fewer than 9 frames.
        """
        if clips.ndim != 5 or clips.shape[2] < MIN_FRAMES or clips.shape[3:] != (SIDE, SIDE):
            mend = f"give [B, 3, T, {SIDE}, {SIDE}], T at least {MIN_FRAMES}"
            raise InputError("clips", f"are {tuple(clips.shape)}", mend)
        return self.net(clips)  # type: ignore[no-any-return]

    def features(self, clips: torch.Tensor) -> torch.Tensor:
        """uint8 `[B, T, H, W, 3]`, T >= 9 -> logits averaged over time, float32 `[B, 400]`.

        One clip at a time, so that memory stays small and a clip's features do not depend on its batch. Clips may be on
        any device; what comes back is on the network's. No clip: `[0, 400]`.

        Raises:
            InputError: another shape or dtype, or fewer than 9 frames.
        """
        if clips.ndim != 5:
            raise InputError("clips", f"have shape {tuple(clips.shape)}", "give uint8 [B, T, H, W, 3]")
        device = next(self.net.parameters()).device
        rows = [squash(clip.to(device), SIDE).mul_(2 / 255).sub_(1).transpose(0, 1)[None] for clip in clips]
        return torch.cat([self.logits(row) for row in rows]) if rows else torch.empty(0, CLASSES)
