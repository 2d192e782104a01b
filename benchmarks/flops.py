"""What networks compute, and how fast this machine can: the floor that their time is held against."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def counter() -> FlopCounterMode:
    """Counts products, convolutions (oneDNN's too) and the CPU's attention, which torch's own counter does not know."""

    def convolution(x: Any, weight: torch.Size, *args: Any, out_shape: torch.Size, **kwargs: Any) -> int:
        return 2 * out_shape.numel() * weight[1:].numel()

    def attention(query: torch.Size, key: torch.Size, *args: Any, **kwargs: Any) -> int:
        return 2 * 2 * query.numel() * key[2]  # [B, H, N, d] and [B, H, M, d]: scores, and their sum of values

    def backward(grad: Any, query: torch.Size, key: torch.Size, *args: Any, **kwargs: Any) -> int:
        return 2 * attention(query, key)  # two products for each of the two

    known = {
        torch.ops.aten.mkldnn_convolution: convolution,
        torch.ops.mkldnn._convolution_pointwise: convolution,
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention,
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: backward,
    }
    return FlopCounterMode(display=False, custom_mapping=known)


def matrix_rate(dtype: torch.dtype = torch.float32, size: int = 2048, seconds: float = 3.0) -> float:
    """Floating-point operations a second of a matrix product on all cores."""
    a, b, count = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype), 0
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        a @ b
        count += 1
    return 2 * size**3 * count / (time.perf_counter() - start)
