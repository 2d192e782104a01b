"""What the networks share: verified weights, folded norms, fast convolutions, frames brought to a square."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open

from flashbench.errors import InputError

Net = TypeVar("Net", bound=torch.nn.Module)
State = dict[str, torch.Tensor]
ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
FUSED = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)  # what torch.compile calls; not in every build


def read_weights(path: Path) -> tuple[State, Mapping[str, str]]:
    """Tensors of a safetensors file, on the CPU, and the texts that `assets` keeps in its metadata.

    Returns:
        Tensors by name, in the file's dtypes; texts by name, empty where the file carries none.

    Raises:
        InputError: the file is missing, or is not safetensors.
    """
    try:
        with safe_open(path, "pt") as file:
            meta = json.loads((file.metadata() or {}).get("flashbench", "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (file is not a dict)
            return tensors, meta.get("texts", {})
    except (OSError, SafetensorError, ValueError) as error:
        mend = "delete it: it is fetched again"
        raise InputError(path, f"is not a readable safetensors file ({error})", mend) from error


def frozen(net: Net, state: Mapping[str, torch.Tensor]) -> Net:
    """Loads the state into the net, in eval mode, without gradients."""
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)


def fold_batch_norm(
    state: Mapping[str, torch.Tensor], conv: str, norm: str, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a convolution with its (inference) batch normalisation folded in, float64 inside.

    y = s (W x - mean) + beta with s = gamma / sqrt(var + eps), so W' = s W and b' = beta - s mean.

    Args:
        state: holds `{conv}.weight` `[O, ...]` and `{norm}.{weight,bias,running_mean,running_var}` `[O]`; a missing
            `weight` of the norm counts as 1.
        conv, norm: key prefixes.
        eps: the norm's epsilon.
    """
    weight = state[f"{conv}.weight"].double()
    mean, var = state[f"{norm}.running_mean"].double(), state[f"{norm}.running_var"].double()
    gamma = state[f"{norm}.weight"].double() if f"{norm}.weight" in state else torch.ones_like(mean)
    scale = gamma / torch.sqrt(var + eps)
    folded = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    return folded.float(), (state[f"{norm}.bias"].double() - mean * scale).float()


def convolve(
    x: torch.Tensor, conv: torch.nn.Conv2d | torch.nn.Conv3d, padding: Sequence[int], relu: bool = False
) -> torch.Tensor:
    """A convolution, and a ReLU if asked for, that asks oneDNN by name where it is there.

    On one core and for small batches torch itself picks a slow im2col path: this halves the time of both I3D and Lite0.
    With the ReLU in the same pass I3D is faster by another twentieth; the bits are those of two passes.
    """
    how = list(padding), conv.stride, conv.dilation, conv.groups
    if ONEDNN and x.device.type == "cpu":
        if relu and FUSED is not None:
            return FUSED(x, conv.weight, conv.bias, *how, "relu", [], "")  # type: ignore[no-any-return]
        y = torch.mkldnn_convolution(x, conv.weight, conv.bias, *how)
    else:
        function = F.conv3d if x.ndim == 5 else F.conv2d
        y = function(x, conv.weight, conv.bias, conv.stride, tuple(padding), conv.dilation, conv.groups)
    return y.relu_() if relu else y


def same_pads(size: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> list[tuple[int, int]]:
    """TensorFlow's SAME: output ceil(n / stride); of an odd total the larger half goes to the end."""
    totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, stride, strict=True)]
    return [(total // 2, total - total // 2) for total in totals]


def convolve_same(x: torch.Tensor, conv: torch.nn.Conv2d | torch.nn.Conv3d, relu: bool = False) -> torch.Tensor:
    """`convolve` with the zeros of `same_pads` around."""
    pads = same_pads(x.shape[2:], conv.kernel_size, conv.stride)
    if all(begin == end for begin, end in pads):
        return convolve(x, conv, [begin for begin, _ in pads], relu)
    x = F.pad(x, [n for pair in reversed(pads) for n in pair])
    return convolve(x, conv, [0] * len(pads), relu)


def squash(frames: torch.Tensor, size: int) -> torch.Tensor:
    """Antialiased bilinear resize to a square: uint8 `[F, H, W, 3]` -> float32 `[F, 3, S, S]`, 0 to 255.

    The aspect ratio is given up. Half-pixel centres (torch's grid), float throughout, no rounding to levels in between.

    Args:
        frames: on any device; size: S, the square's side in px.

    Raises:
        InputError: not uint8 `[F, H, W, 3]`.
    """
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise InputError("frames", f"are {frames.dtype} {tuple(frames.shape)}", "give uint8 [F, H, W, 3]")
    images = frames.permute(0, 3, 1, 2).float()
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False)
