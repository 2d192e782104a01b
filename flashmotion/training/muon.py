"""torch's Muon, with the matrices of one shape orthogonalised together on a GPU.

Six blocks hold some sixty matrices, too small to fill a GPU one by one: hundreds of launches become tens. On the CPU it
is torch's own, bit for bit.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def orthogonal(x: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """Newton-Schulz iteration of matrices `[N, A, B]`, in bfloat16: singular values near 1, singular vectors kept."""
    a, b, c = coefficients
    tall = x.shape[1] > x.shape[2]
    x = x.bfloat16()
    if tall:
        x = x.mT
    x = x / torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True).clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Muon):
    """As torch.optim.Muon with `adjust_lr_fn="match_rms_adamw"` and Nesterov momentum; the same state."""

    def __init__(self, params: Any, lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, lr, weight_decay=0.0, momentum=momentum, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        if all(q.device.type == "cpu" for group in self.param_groups for q in group["params"]):
            return super().step(closure)
        for group in self.param_groups:
            self.batched(group)
        return None

    @torch.no_grad()
    def batched(self, group: dict[str, Any]) -> None:
        """One update of a group, a product a shape."""
        params = [q for q in group["params"] if q.grad is not None]
        for q in params:
            if "momentum_buffer" not in self.state[q]:
                self.state[q]["momentum_buffer"] = torch.zeros_like(q.grad)
        shapes = defaultdict(list)
        for q in params:
            shapes[q.shape].append(q)
        for shape, alike in shapes.items():
            grads, momenta = [q.grad for q in alike], [self.state[q]["momentum_buffer"] for q in alike]
            torch._foreach_lerp_(momenta, grads, 1 - group["momentum"])
            updates = torch.stack(torch._foreach_lerp(grads, momenta, group["momentum"]))
            updates = orthogonal(updates, group["ns_coefficients"], group["ns_steps"], group["eps"]).float()
            rate = group["lr"] * 0.2 * math.sqrt(max(shape))  # RMS as AdamW's
            torch._foreach_add_(alike, list(updates.unbind()), alpha=-rate)
