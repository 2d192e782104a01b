"""Attention in bf16 on the CPU, faster than torch's own there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from diffusers.models.transformers.transformer_wan import WanAttention, WanAttnProcessor
from torch import Tensor, nn

ROWS = 124  # queries at a time: their scores stay in the cache of a core


def suits(dtype: torch.dtype, device: str | torch.device = "cpu") -> bool:
    """Whether `rows_attention` is the faster: bf16 on a CPU without AMX, where torch's kernel uses AMX alone."""
    return dtype == torch.bfloat16 and torch.device(device).type == "cpu" and not torch.cpu._is_amx_tile_supported()


@contextmanager
def in_rows(*nets: nn.Module | None) -> Iterator[None]:
    """While it lasts, all of the nets' WanAttention uses `rows_attention`; for inference."""
    found = [m for net in nets if net is not None for m in net.modules() if isinstance(m, WanAttention)]
    before = [m.processor for m in found]
    try:
        for module in found:
            module.set_processor(RowsProcessor())
        yield
    finally:
        for module, processor in zip(found, before, strict=True):
            module.set_processor(processor)


def rows_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(q k^T / sqrt d) v of bf16 `[B, H, N, d]` and `[B, H, M, d]`, some rows at a time; `[B, H, N, d]` bf16.

    torch's kernel for the CPU multiplies in bf16 at the rate of float32 where there is no AMX; a plain product does
    not. The scores are rounded to bf16. Softmax does not change when all keys are moved by one vector: they are moved
    by their mean, which makes the scores, and so their rounding, small (Zhang et al. 2024, SageAttention, section 4.2).
    """
    query = (query * query.shape[-1] ** -0.5).bfloat16()
    key = (key - key.mean(dim=2, keepdim=True)).bfloat16().transpose(2, 3).contiguous()
    value = value.bfloat16().contiguous()
    return torch.cat([(rows @ key).softmax(dim=-1) @ value for rows in query.split(ROWS, dim=2)], dim=2)


class RowsProcessor(WanAttnProcessor):
    """`WanAttnProcessor` with `rows_attention`: self-attention and text, no mask, no image."""

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        # float32 as the weights are: torch has one kernel for that
        query, key = attn.norm_q(attn.to_q(hidden_states).float()), attn.norm_k(attn.to_k(source).float())
        query, key, value = (x.unflatten(2, (attn.heads, -1)) for x in (query, key, attn.to_v(source)))
        if rotary_emb is not None:
            query, key = rotated(query, *rotary_emb), rotated(key, *rotary_emb)
        out = rows_attention(*(x.transpose(1, 2) for x in (query, key, value)))
        return attn.to_out[0](out.transpose(1, 2).flatten(2))


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions as WanAttnProcessor applies them: pairs (x[2i], x[2i+1]) `[B, N, H, d]` turned."""
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = cos[..., 0::2], sin[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)
