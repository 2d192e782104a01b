"""The diffusion discriminator (the paper, section 3.4): trainable heads on features of the frozen slow generator.

Per tapped block a learnable query passes three attentions in turn: SS, self-attention with text and first-frame
tokens; TC, cross-attention to trajectory tokens; VC, cross-attention to the block's video tokens. All queries together
give one logit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class _Attend(nn.Module):
    """Pre-norm attention of queries `[B, Q, D]` to tokens `[B, N, K]`, residual."""

    def __init__(self, dim: int, context: int, heads: int) -> None:
        super().__init__()
        self.norm, self.norm_context = nn.LayerNorm(dim), nn.LayerNorm(context)
        self.attention = nn.MultiheadAttention(dim, heads, kdim=context, vdim=context, batch_first=True)

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        context = self.norm_context(tokens)
        return query + self.attention(self.norm(query), context, context, need_weights=False)[0]


class _Branch(nn.Module):
    """One tapped block's query through SS, TC, VC and a feed-forward layer."""

    def __init__(
        self, dim: int, feature: int, text: int, control: int, heads: int, attentions: tuple[str, ...]
    ) -> None:
        super().__init__()
        self.attentions = attentions
        self.query = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.semantic_text, self.semantic_image = nn.Linear(text, dim), nn.Linear(feature, dim)
        self.ss, self.tc, self.vc = _Attend(dim, dim, heads), _Attend(dim, control, heads), _Attend(dim, feature, heads)
        self.norm = nn.LayerNorm(dim)
        self.ffn = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, features: Tensor, text: Tensor, control: Tensor, first: int) -> Tensor:
        query = self.query.expand(len(features), -1, -1)
        if "SS" in self.attentions:
            semantic = torch.cat([query, self.semantic_text(text), self.semantic_image(features[:, :first])], dim=1)
            query = self.ss(semantic, semantic)[:, :1]  # only the query's row is kept
        if "TC" in self.attentions:
            query = self.tc(query, control)
        if "VC" in self.attentions:
            query = self.vc(query, features[:, first:])
        return query + self.ffn(self.norm(query))


class Discriminator(nn.Module):
    """Logit of a noised video from the tapped hidden states of the frozen slow generator.

    Args:
        taps: number of tapped blocks; feature: their width; text: width of the prompt's token states; control: channels
            of the trajectory latents, whose positions are the trajectory tokens; attentions: those that are used.
    """

    def __init__(
        self,
        taps: int,
        feature: int,
        text: int,
        control: int,
        dim: int = 128,
        heads: int = 4,
        attentions: tuple[str, ...] = ("SS", "TC", "VC"),
    ) -> None:
        super().__init__()
        if not attentions or not set(attentions) <= {"SS", "TC", "VC"}:
            raise ValueError(f"attentions are {attentions}; give some of SS, TC, VC")
        self.branches = nn.ModuleList(_Branch(dim, feature, text, control + 2, heads, attentions) for _ in range(taps))
        self.time = nn.Sequential(nn.Linear(1, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.out = nn.Sequential(
            nn.LayerNorm((taps + 1) * dim), nn.Linear((taps + 1) * dim, dim), nn.SiLU(), nn.Linear(dim, 1)
        )
        nn.init.zeros_(self.out[-1].weight)
        nn.init.zeros_(self.out[-1].bias)

    def forward(self, tapped: list[Tensor], text: Tensor, control: Tensor, t: Tensor, first: int) -> Tensor:
        """Logits `[B]`.

        Args:
            tapped: `[B, N, D]` a tap; text: `[B, L, K]`; control: latents `[B, C, F, h, w]`; t: `[B]`.
            first: number of tokens of latent frame 0.
        """
        f, h, w = control.shape[2:]
        axes = (torch.linspace(-1, 1, n, device=control.device, dtype=control.dtype) for n in (h, w))
        yx = torch.stack(torch.meshgrid(*axes, indexing="ij"))
        place = yx[None, :, None].expand(len(control), -1, f, -1, -1)
        trajectory = torch.cat([control, place], dim=1).flatten(2).transpose(1, 2)
        queries = [b(x.float(), text, trajectory, first)[:, 0] for b, x in zip(self.branches, tapped, strict=True)]
        queries.append(self.time(t.float()[:, None]))
        return self.out(torch.cat(queries, dim=1))[:, 0]
