"""text_lit: frames and prompts in one space, over a frozen Lite0 and a frozen MiniLM (after LiT, Zhai et al. 2022).

CLIP comes in no package, so the towers are networks that do, and only a small head is ours: a linear map of a frame's
pooled features to the sentence embedding of its prompt, both centred. It is a ridge regression on the train split of
`sprites-v1` (`scripts/train_text_lit.py`), made in closed form; what it reaches on objects that it never saw is
measured with hard negatives and stands in `data/text_lit.json`. With 200 object names to learn from, heads trained
contrastively on the same negatives fitted them and knew the held-out ones worse.

It knows procedural scenes of sprites and nothing else: its numbers are called `text_lit`, never CLIP score.
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

from flashbench.backbones.lite0 import DIM as IMAGE_DIM
from flashbench.backbones.lite0 import Lite0
from flashbench.backbones.minilm import DIM, MiniLM
from flashbench.backbones.parts import frozen, read_weights
from flashbench.errors import InputError

DATA = resources.files("flashbench.backbones") / "data"
MANIFEST: dict[str, Any] = json.loads((DATA / "text_lit.json").read_text())


class Head(nn.Module):
    """Both sides of the joint space."""

    mean_sentence: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Linear(IMAGE_DIM, DIM)
        self.register_buffer("mean_sentence", torch.zeros(DIM))

    def images(self, maps: torch.Tensor) -> torch.Tensor:
        """Lite0 feature maps `[F, 1280, 7, 7]` -> unit vectors `[F, DIM]`."""
        return F.normalize(self.image(maps.mean((2, 3))), dim=-1)

    def texts(self, sentences: torch.Tensor) -> torch.Tensor:
        """MiniLM sentence embeddings `[B, DIM]` -> unit vectors `[B, DIM]`: what they share is taken away."""
        return F.normalize(sentences - self.mean_sentence, dim=-1)


class TextLiT:
    """Frozen joint space of frames and prompts. Make it with `TextLiT.load()`."""

    name = "text_lit"
    fingerprint = f"{MANIFEST['sha256']}+{Lite0.fingerprint}+{MiniLM.fingerprint}+mean7x7-1"

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
        """`Lite0.maps` of frames, float32 `[F, 1280, 7, 7]` -> unit vectors float32 `[F, 384]`."""
        return self.head.images(maps)

    @torch.no_grad()
    def texts(self, prompts: Sequence[str]) -> torch.Tensor:
        """Prompts -> unit vectors float32 `[B, 384]`; what lies beyond 256 tokens of a prompt is not read."""
        return self.head.texts(self.minilm.sentence(prompts))
