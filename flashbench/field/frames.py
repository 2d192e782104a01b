"""Frames as networks want them. A video goes to the device once, for all networks; all arithmetic is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from flashbench.runs.extractors import WINDOW, LastVideo, sampled_frames, window_starts

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
BATCH = 32
_uploaded: LastVideo[Tensor] = LastVideo()


def device() -> torch.device:
    """CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def uploaded(video: npt.NDArray[np.uint8]) -> Tensor:
    """The video on the device, uint8 `[T, 3, H, W]`."""
    return _uploaded.get(
        video, lambda: torch.from_numpy(np.ascontiguousarray(video)).to(device()).permute(0, 3, 1, 2).contiguous()
    )


def windows(video: npt.NDArray[np.uint8]) -> Tensor:
    """The 16-frame windows of `fvd_i3d`: uint8 `[3, 16, 3, H, W]`."""
    starts, stride = window_starts(len(video))
    frames = uploaded(video)
    return torch.stack([frames[s : s + WINDOW * stride : stride] for s in starts])


def sampled(video: npt.NDArray[np.uint8]) -> Tensor:
    """Frame 0 and the sampled frames: uint8 `[1 + F, 3, H, W]`."""
    return uploaded(video)[torch.from_numpy(sampled_frames(len(video))).to(device())]


def normalised(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """0..255 `[N, 3, H, W]` -> (x / 255 - mean) / std, float32."""
    shape = (1, 3, 1, 1)
    m, s = (torch.tensor(v, device=images.device).view(shape) for v in (mean, std))
    return (images.float() / 255 - m) / s


def shorter_side(images: Tensor, side: int, mode: Literal["bilinear", "bicubic"], antialias: bool) -> Tensor:
    """uint8 `[N, 3, H, W]`, the shorter side brought to `side`, rounded to levels as the published transforms do."""
    h, w = images.shape[-2:]
    size = (side, int(side * w / h)) if h <= w else (int(side * h / w), side)
    x = F.interpolate(images.float(), size, mode=mode, antialias=antialias, align_corners=False)
    return x.round().clamp(0, 255)


def centre(images: Tensor, side: int) -> Tensor:
    """The middle square `[N, 3, side, side]`."""
    h, w = images.shape[-2:]
    top, left = int(round((h - side) / 2.0)), int(round((w - side) / 2.0))
    return images[..., top : top + side, left : left + side]


def squashed(images: Tensor, side: int) -> Tensor:
    """`[N, 3, side, side]`, float 0..255, antialiased bilinear; the aspect ratio is given up."""
    return F.interpolate(images.float(), (side, side), mode="bilinear", antialias=True, align_corners=False)


@torch.inference_mode()
def in_batches(net: Callable[[Tensor], Tensor], x: Tensor, size: int = BATCH) -> npt.NDArray[np.float32]:
    """net over `x` in batches of a fixed size, float32 on the host."""
    return torch.cat([net(x[i : i + size]).float().cpu() for i in range(0, len(x), size)]).numpy()
