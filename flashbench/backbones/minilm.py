"""all-MiniLM-L6-v2 (Wang et al. 2020; sentence-transformers): sentences for text agreement, token states for prompts.

BERT (Devlin et al. 2019) with 6 layers, 384 wide, 22.7 M parameters. The weights and the tokenizer come out of one
cached file: no hub is ever asked. The network is written out here and gives what transformers' `BertModel` does, which
takes 3 seconds to import, in every command that scores or generates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from flashbench.backbones import assets
from flashbench.backbones.parts import State, frozen, read_weights

DIM, HIDDEN, HEADS, LAYERS = 384, 1536, 12, 6
WORDS, POSITIONS, KINDS = 30522, 512, 2
EPS = 1e-12
MAX_TOKENS = 256  # the length that the sentence model was tuned with


class Layer(nn.Module):
    """Attention and a two-layer perceptron, each with a norm after its residual: `[B, L, 384]`."""

    NAMES = {
        "attention.self.query": "query",
        "attention.self.key": "key",
        "attention.self.value": "value",
        "attention.output.dense": "attended",
        "attention.output.LayerNorm": "norm1",
        "intermediate.dense": "wide",
        "output.dense": "narrow",
        "output.LayerNorm": "norm2",
    }  # the published names of the parts

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.attended = (nn.Linear(DIM, DIM) for _ in range(4))
        self.wide, self.narrow = nn.Linear(DIM, HIDDEN), nn.Linear(HIDDEN, DIM)
        self.norm1, self.norm2 = nn.LayerNorm(DIM, EPS), nn.LayerNorm(DIM, EPS)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        q, k, v = (part(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in (self.query, self.key, self.value))
        heads = F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2)
        x = self.norm1(self.attended(heads) + x)
        return self.norm2(self.narrow(F.gelu(self.wide(x))) + x)  # type: ignore[no-any-return]


class Network(nn.Module):
    """Token numbers `[B, L]` and which of them are real, bool `[B, L]` -> last hidden states `[B, L, 384]`."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.positions = nn.Embedding(WORDS, DIM), nn.Embedding(POSITIONS, DIM)
        self.kinds = nn.Embedding(KINDS, DIM)
        self.norm = nn.LayerNorm(DIM, EPS)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, ids: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.words(ids) + self.kinds.weight[0] + self.positions.weight[: ids.shape[1]])
        mask = None if real.all() else real[:, None, None]
        for layer in self.layers:
            x = layer(x, mask)
        return x  # type: ignore[no-any-return]


def port(published: Mapping[str, torch.Tensor]) -> State:
    """The published state dict as the state of `Network`."""
    units = {"norm": "embeddings.LayerNorm"}
    for i in range(LAYERS):
        units |= {f"layers.{i}.{ours}": f"encoder.layer.{i}.{theirs}" for theirs, ours in Layer.NAMES.items()}
    state: State = {
        "words.weight": published["embeddings.word_embeddings.weight"],
        "positions.weight": published["embeddings.position_embeddings.weight"],
        "kinds.weight": published["embeddings.token_type_embeddings.weight"],
    }
    for ours, theirs in units.items():
        state |= {f"{ours}.{part}": published[f"{theirs}.{part}"] for part in ("weight", "bias")}
    return state


class MiniLM:
    """Frozen text encoder. Make it with `MiniLM.load()`. It keeps no state between calls: threads may share it."""

    name = "minilm"
    fingerprint = f"{assets.ASSETS['minilm'].weights_sha256}+wordpiece-1"

    def __init__(self, net: torch.nn.Module, tokenizer: Any) -> None:
        self.net, self.tokenizer = net, tokenizer

    @classmethod
    def load(cls, path: Path | None = None, device: str = "cpu") -> MiniLM:
        """Loads from the asset's safetensors file; fetches it the first time if `path` is None."""
        from tokenizers import Tokenizer

        published, texts = read_weights(path or assets.fetch("minilm"))
        net = frozen(Network(), port(published))
        tokenizer = Tokenizer.from_str(texts["tokenizer.json"])
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return cls(net.to(device), tokenizer)

    @torch.no_grad()  # not inference_mode: the states are inputs of networks that train
    def tokens(self, texts: Sequence[str], length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Last hidden states, padded or cut to a fixed length ([CLS] and [SEP] count).

        Returns:
            states: float32 `[B, length, 384]`, zero where padded.
            mask: bool `[B, length]`, True at real tokens.
        """
        return self._states([self._ids(text, length) for text in texts], length)

    @torch.no_grad()
    def sentence(self, texts: Sequence[str]) -> torch.Tensor:
        """Mean over the real tokens, L2-normalised: float32 `[B, 384]`."""
        ids = [self._ids(text, MAX_TOKENS) for text in texts]
        states, mask = self._states(ids, max(map(len, ids), default=1))
        return F.normalize(states.sum(1) / mask.sum(1, keepdim=True), dim=-1)

    def _ids(self, text: str, length: int) -> list[int]:
        """Token numbers of a text, [CLS] first and [SEP] last, at most `length`."""
        ids: list[int] = self.tokenizer.encode(text).ids
        return ids if len(ids) <= length else [*ids[: length - 1], ids[-1]]

    def _states(self, ids: Sequence[Sequence[int]], length: int) -> tuple[torch.Tensor, torch.Tensor]:
        device = next(self.net.parameters()).device
        padded = torch.zeros(len(ids), length, dtype=torch.long, device=device)  # (B, L); [PAD] is 0
        mask = torch.zeros(len(ids), length, dtype=torch.bool, device=device)
        for i, row in enumerate(ids):
            padded[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = True
        states = self.net(padded, mask)  # (B, L, 384)
        return states * mask[..., None], mask
