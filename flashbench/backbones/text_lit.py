"""text_lit: frames and prompts in one space, over a frozen Lite0 and a frozen MiniLM (after LiT, Zhai et al. 2022).

CLIP comes in no package, so the towers are networks that do, and only a small head is ours. It was trained on the
train split of `sprites-v1`, with hard negatives (one object exchanged, one too many or too few) by
`scripts/train_text_lit.py`, whose command and measured accuracy stand in `data/text_lit.json`. It knows procedural
scenes of sprites and nothing else: its numbers are called `text_lit`, never CLIP score.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from flashbench.backbones.lite0 import DIM as MAP_DIM
from flashbench.backbones.lite0 import Lite0
from flashbench.backbones.minilm import DIM as TOKEN_DIM
from flashbench.backbones.minilm import MiniLM
from flashbench.backbones.protocol import frozen, read_weights
from flashbench.errors import InputError

DIM, HIDDEN, TOKENS = 128, 384, 96
DATA = resources.files("flashbench.backbones") / "data"
MANIFEST: dict[str, Any] = json.loads((DATA / "text_lit.json").read_text())


class Pool(nn.Module):
    """A bag of concepts: cells (or tokens) are embedded one by one, weighted, summed, projected to length 1."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.embed, self.weight, self.project = nn.Linear(inputs, HIDDEN), nn.Linear(inputs, 1), nn.Linear(HIDDEN, DIM)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """`[B, N, inputs]`, mask `[B, N]` True at what counts -> `[B, DIM]`."""
        x = F.layer_norm(x, x.shape[-1:])
        weight = self.weight(x)  # (B, N, 1)
        if mask is not None:
            weight = weight.masked_fill(~mask[..., None], float("-inf"))
        pooled = (weight.softmax(1) * F.gelu(self.embed(x))).sum(1)
        return F.normalize(self.project(pooled), dim=-1)


class Head(nn.Module):
    """Both towers' heads."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.text = Pool(MAP_DIM), Pool(TOKEN_DIM)

    def images(self, maps: torch.Tensor) -> torch.Tensor:
        """Lite0 feature maps `[F, 1280, 7, 7]` -> `[F, DIM]`."""
        return self.image(maps.flatten(2).transpose(1, 2))  # type: ignore[no-any-return]

    def texts(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """MiniLM token states `[B, L, 384]` and their mask `[B, L]` -> `[B, DIM]`."""
        return self.text(states, mask)  # type: ignore[no-any-return]


class TextLiT:
    """Frozen joint space of frames and prompts. Make it with `TextLiT.load()`."""

    name = "text_lit"
    fingerprint = f"{MANIFEST['sha256']}+{Lite0.fingerprint}+{MiniLM.fingerprint}+cells7x7-tokens{TOKENS}-1"

    def __init__(self, head: Head, minilm: MiniLM) -> None:
        self.head, self.minilm = head, minilm

    @classmethod
    def load(cls, minilm: MiniLM | None = None, device: str = "cpu") -> TextLiT:
        """Loads the shipped head, checked against its manifest; the text tower is loaded too unless it is given."""
        path = Path(str(DATA / MANIFEST["file"]))
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise InputError(path, f"cannot be read ({error.strerror})", "install flashbench again") from error
        if found != MANIFEST["sha256"]:
            raise InputError(path, "sha256 is not the one in text_lit.json", "install flashbench again")
        head = frozen(Head(), {k: v.float() for k, v in read_weights(path)[0].items()}).to(device)
        return cls(head, minilm or MiniLM.load(device=device))

    @torch.no_grad()
    def images(self, maps: torch.Tensor) -> torch.Tensor:
        """`Lite0.maps` of frames, float32 `[F, 1280, 7, 7]` -> unit vectors float32 `[F, 128]`."""
        return self.head.images(maps)

    @torch.no_grad()
    def texts(self, prompts: Sequence[str]) -> torch.Tensor:
        """Prompts -> unit vectors float32 `[B, 128]`; what lies beyond 96 tokens of a prompt is not read."""
        return self.head.texts(*self.minilm.tokens(prompts, TOKENS))
