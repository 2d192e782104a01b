"""Which arithmetic this machine is fast in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def pick(choice: str = "auto", device: str = "cpu") -> torch.dtype:
    """`fp32`, `bf16`, or `auto`: bf16 where the machine has AMX or AVX512-BF16 (CPU) or bf16 tensor cores (CUDA)."""
    if choice != "auto":
        return {"fp32": torch.float32, "bf16": torch.bfloat16}[choice]
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def autocast(dtype: torch.dtype, device: str | torch.device = "cpu") -> AbstractContextManager[object]:
    """Autocast context, nothing for float32."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(torch.device(device).type, dtype)
