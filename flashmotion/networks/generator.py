"""Running a stock WanTransformer3DModel the way the stages need it.

The same arithmetic as diffusers' forward with per-token time (first latent frame at time 0, the others at t), plus:
latent frames at any positions, residuals of an adapter, and taps for the discriminator. Only two distinct times exist,
so that the time network runs on two rows a sample and not on one a token.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from flashmotion.networks.residual import ResidualGenerator

TIME_SCALE = 1000.0
# Under autocast the blocks' RMS norms take bf16 and keep float32 weights; torch says that this is slower.
warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")


class Request(NamedTuple):
    """What is denoised.

    x `[B, C, F, h, w]` with the clean first latent in frame 0, t `[B]`, text `[B, L, D]`, frames `[F]`: positions.
    """

    x: Tensor
    t: Tensor
    text: Tensor
    frames: Tensor


class Embedded(NamedTuple):
    """The request as tokens.

    hidden `[B, N, D]`, time `[B, 2, D]`, modulation `[B, 2, 6, D]`, text `[B, L, D]`, rope: two `[1, N, 1, d]`.
    """

    hidden: Tensor
    time: Tensor
    modulation: Tensor
    text: Tensor
    rope: tuple[Tensor, Tensor]
    first: int  # tokens of the first latent frame


def rope_at(model: WanTransformer3DModel, frames: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Rotary tables `[1, F h w, 1, d]` of latent frames at the given positions."""
    r = model.rope
    out = []
    for table in (r.freqs_cos, r.freqs_sin):
        ft, fh, fw = table.split([r.t_dim, r.h_dim, r.w_dim], dim=1)
        n, shape = len(frames), (len(frames), height, width, -1)
        parts = [ft[frames].view(n, 1, 1, -1), fh[:height].view(1, height, 1, -1), fw[:width].view(1, 1, width, -1)]
        out.append(torch.cat([p.expand(shape) for p in parts], dim=-1).reshape(1, n * height * width, 1, -1))
    return out[0], out[1]


def embed(model: WanTransformer3DModel, request: Request) -> Embedded:
    """Tokens, time and text of a request.

    Where the model has 2 C input channels, the first latent is repeated along the others.
    """
    x, t = request.x, request.t
    if model.config.in_channels == 2 * x.shape[1]:
        x = torch.cat([x, x[:, :, :1].expand_as(x)], dim=1)
    _, ph, pw = model.config.patch_size
    height, width = x.shape[3] // ph, x.shape[4] // pw
    hidden = model.patch_embedding(x).flatten(2).transpose(1, 2).contiguous()
    times = torch.stack([torch.zeros_like(t), t], dim=1) * TIME_SCALE  # (B, 2)
    time, modulation, text, _ = model.condition_embedder(times.flatten(), request.text, timestep_seq_len=2)
    return Embedded(
        hidden,
        time,
        modulation.unflatten(2, (6, -1)),
        text,
        rope_at(model, request.frames, height, width),
        height * width,
    )


def _modulated(x: Tensor, scale: Tensor, shift: Tensor, first: int) -> Tensor:
    return torch.cat(
        [x[:, :first] * (1 + scale[:, :1]) + shift[:, :1], x[:, first:] * (1 + scale[:, 1:]) + shift[:, 1:]], dim=1
    )


def _gated(x: Tensor, gate: Tensor, first: int) -> Tensor:
    return torch.cat([x[:, :first] * gate[:, :1], x[:, first:] * gate[:, 1:]], dim=1)


def run_block(
    block: torch.nn.Module, hidden: Tensor, text: Tensor, modulation: Tensor, cos: Tensor, sin: Tensor, first: int
) -> Tensor:
    """WanTransformerBlock.forward with the modulation given once a segment, `[B, 2, 6, D]`."""
    shift, scale, gate, c_shift, c_scale, c_gate = (block.scale_shift_table.unsqueeze(0) + modulation.float()).unbind(
        dim=2
    )
    h = _modulated(block.norm1(hidden.float()), scale, shift, first).type_as(hidden)
    hidden = (hidden.float() + _gated(block.attn1(h, None, None, (cos, sin)), gate, first)).type_as(hidden)
    h = block.norm2(hidden.float()).type_as(hidden)
    hidden = hidden + block.attn2(h, text, None, None)
    h = _modulated(block.norm3(hidden.float()), c_scale, c_shift, first).type_as(hidden)
    return (hidden.float() + _gated(block.ffn(h).float(), c_gate, first)).type_as(hidden)


class Blocks:
    """Runs blocks, compiled where asked: one graph serves all blocks of one shape."""

    def __init__(self) -> None:
        self.run = run_block

    def compile(self) -> None:
        torch._functorch.config.donated_buffer = False  # stage 3 goes backward through one graph several times
        self.run = torch.compile(run_block, dynamic=False)


BLOCKS = Blocks()


def run_blocks(
    model: WanTransformer3DModel, e: Embedded, residuals: Sequence[Tensor] | None = None, taps: Sequence[int] = ()
) -> tuple[Tensor, list[Tensor]]:
    """All blocks; residual i is added after block i. Returns the last hidden state and those of blocks `taps`."""
    hidden, tapped = e.hidden, []
    for i, block in enumerate(model.blocks):
        hidden = BLOCKS.run(block, hidden, e.text, e.modulation, e.rope[0], e.rope[1], e.first)
        if residuals is not None:
            hidden = hidden + residuals[i].type_as(hidden)
        if i in taps:
            tapped.append(hidden)
    return hidden, tapped


def head(model: WanTransformer3DModel, hidden: Tensor, e: Embedded, shape: torch.Size) -> Tensor:
    """Output layer and unpatchify: `[B, C, F, h, w]` of the given latent shape."""
    shift, scale = (model.scale_shift_table.unsqueeze(0) + e.time.unsqueeze(2)).unbind(dim=2)
    out = model.proj_out(_modulated(model.norm_out(hidden.float()), scale, shift, e.first).type_as(hidden))
    b, _, f, h, w = shape
    pt, ph, pw = model.config.patch_size
    out = out.view(b, f // pt, h // ph, w // pw, pt, ph, pw, -1)
    return out.permute(0, 7, 1, 4, 2, 5, 3, 6).reshape(b, -1, f, h, w)


def predict_x0(
    model: WanTransformer3DModel,
    request: Request,
    residuals: Sequence[Tensor] | None = None,
    *,
    embedded: Embedded | None = None,
) -> Tensor:
    """Clean latents `[B, C, F, h, w]` predicted from x_t; frame 0 is the given one, bit for bit.

    A `ResidualGenerator` knows what its output means. A stock model predicts v: x0 = x_t - t v.
    """
    x = request.x
    e = embedded if embedded is not None else embed(model, request)
    hidden, _ = run_blocks(model, e, residuals)
    out = head(model, hidden, e, x.shape).to(x.dtype)
    first = x[:, :, :1]
    if isinstance(model, ResidualGenerator):
        x0 = model.clean(x, request.t, out)
    else:
        x0 = x - request.t.view(-1, 1, 1, 1, 1).to(x.dtype) * out
    return torch.cat([first, x0[:, :, 1:]], dim=2)
