"""Attention in bf16 on the CPU, faster than torch's own there, forward and backward."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from diffusers.models.transformers.transformer_wan import WanAttention, WanAttnProcessor
from torch import Tensor, nn

ROWS = 124  # queries at a time: their scores stay in the cache of a core


def suits(dtype: torch.dtype, device: str | torch.device = "cpu") -> bool:
    """Whether `rows_attention` is the faster: bf16 on a CPU without AMX, where torch's kernel uses AMX alone."""
    return dtype == torch.bfloat16 and torch.device(device).type == "cpu" and not torch.cpu._is_amx_tile_supported()


@contextmanager
def in_rows(*nets: nn.Module | None) -> Iterator[None]:
    """While it lasts, all of the nets' WanAttention uses `rows_attention`."""
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
    Where gradients are taken, the probabilities are kept in bf16: 2 B H N M bytes.
    """
    query = (query * query.shape[-1] ** -0.5).bfloat16()
    # A constant for the gradient too, which does not depend on it either.
    key = (key - key.detach().mean(dim=2, keepdim=True)).bfloat16().transpose(2, 3).contiguous()
    value = value.bfloat16().contiguous()
    if torch.is_grad_enabled() and (query.requires_grad or key.requires_grad or value.requires_grad):
        return _rows(query, key, value)[0]
    return torch.cat([(rows @ key).softmax(dim=-1) @ value for rows in query.split(ROWS, dim=2)], dim=2)


def _chunks(kept: Tensor, query: Tensor, keys: int) -> list[Tensor]:
    """The flat memory of all probabilities as one contiguous `[B, H, rows, M]` for each part of the queries."""
    shapes = [(*rows.shape[:3], keys) for rows in query.split(ROWS, dim=2)]
    parts = kept.split([prod(shape) for shape in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


# Operators of their own, so that torch.compile takes each as a whole.
@torch.library.custom_op("flashmotion::rows", mutates_args=())
def _rows(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Queries `[B, H, N, d]`, keys `[B, H, d, M]` and values `[B, H, M, d]` to what attention gives, and the
    probabilities as `_chunks` lays them out."""
    kept = query.new_empty(prod(query.shape[:3]) * key.shape[3])
    parts = _chunks(kept, query, key.shape[3])
    for part, rows in zip(parts, query.split(ROWS, dim=2), strict=True):
        torch.softmax(rows @ key, dim=-1, out=part)
    return torch.cat([part @ value for part in parts], dim=2), kept


@_rows.register_fake
def _(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    return query.new_empty(query.shape), query.new_empty(prod(query.shape[:3]) * key.shape[3])


@torch.library.custom_op("flashmotion::rows_backward", mutates_args=())
def _rows_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, kept: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `_rows` in its arguments. Sums over the parts are float32."""
    back, straight = value.transpose(2, 3).contiguous(), key.transpose(2, 3).contiguous()
    of_query, of_key = [], torch.zeros_like(straight, dtype=torch.float32)
    of_value = torch.zeros_like(value, dtype=torch.float32)
    parts = zip(_chunks(kept, query, key.shape[3]), query.split(ROWS, 2), grad.split(ROWS, 2), strict=True)
    for part, rows, g in parts:
        of_scores = torch._softmax_backward_data(g @ back, part, -1, part.dtype)
        of_query.append(of_scores @ straight)
        of_key += of_scores.transpose(2, 3) @ rows
        of_value += part.transpose(2, 3) @ g
    return torch.cat(of_query, dim=2), of_key.to(key.dtype).transpose(2, 3).contiguous(), of_value.to(value.dtype)


@_rows_backward.register_fake
def _(grad: Tensor, query: Tensor, key: Tensor, value: Tensor, kept: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return query.new_empty(query.shape), key.new_empty(key.shape), value.new_empty(value.shape)


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs, output[1])


def _backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor, Tensor, Tensor]:
    return _rows_backward(grad.contiguous(), *ctx.saved_tensors)  # type: ignore[no-any-return]


_rows.register_autograd(_backward, setup_context=_keep)


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
