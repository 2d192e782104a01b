"""all-MiniLM-L6-v2 (Wang et al. 2020; sentence-transformers): sentences for text agreement, token states for prompts.

BERT with 6 layers, 384 wide, 22.7 M parameters. The weights and the tokenizer come out of one cached file: no hub is
ever asked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from flashbench.backbones import assets
from flashbench.backbones.parts import frozen, read_weights

DIM = 384
MAX_TOKENS = 256  # the length that the sentence model was tuned with


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
        from transformers.models.bert import BertConfig, BertModel

        state, texts = read_weights(path or assets.fetch("minilm"))
        net = BertModel(BertConfig(**json.loads(texts["config.json"])), add_pooling_layer=False)
        keys = net.state_dict().keys()
        frozen(net, {k: v for k, v in state.items() if k in keys})
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
        states = self.net(input_ids=padded, attention_mask=mask.long()).last_hidden_state  # (B, L, 384)
        return states * mask[..., None], mask
