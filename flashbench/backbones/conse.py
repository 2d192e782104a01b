"""text_conse: frames and prompts in MiniLM's space by way of 1,000 class names (ConSE, Norouzi et al. 2013).

A frame is the mean of the names' sentence embeddings, weighted with its ten largest class probabilities; no part of it
is trained by us. It reads photographs: ImageNet's classifier knows no sprites, for which there is `text_lit`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from flashbench.backbones.lite0 import Lite0
from flashbench.backbones.minilm import MiniLM

TOP = 10
LABEL = "a photo of a {}"


def class_names() -> list[str]:
    """ImageNet-1k's names in the order of the network's outputs, as torchvision has them."""
    from torchvision.models import ResNet50_Weights

    return list(ResNet50_Weights.IMAGENET1K_V2.meta["categories"])


class ConSE:
    """Joint space of frames and prompts. Make it with `ConSE.load()`."""

    name = "text_conse"

    def __init__(self, lite0: Lite0, minilm: MiniLM) -> None:
        self.lite0, self.minilm = lite0, minilm
        self.labels = torch.cat(
            [minilm.sentence([LABEL.format(n) for n in part]) for part in _chunks(class_names(), 100)]
        )  # (1000, 384)

    @classmethod
    def load(cls, lite0: Lite0 | None = None, minilm: MiniLM | None = None, device: str = "cpu") -> ConSE:
        """Loads both towers, unless they are given, and embeds the names once."""
        return cls(lite0 or Lite0.load(device=device), minilm or MiniLM.load(device=device))

    @staticmethod
    def fingerprint() -> str:
        """Hash of the towers, the names and the protocol."""
        names = hashlib.sha256("\n".join(class_names()).encode()).hexdigest()[:16]
        return f"{Lite0.fingerprint}+{MiniLM.fingerprint}+{names}+top{TOP}-1"

    @torch.no_grad()
    def images(self, maps: torch.Tensor) -> torch.Tensor:
        """`Lite0.maps` of frames, float32 `[F, 1280, 7, 7]` -> unit vectors float32 `[F, 384]`."""
        probability, index = self.lite0.net.classifier(maps.mean((2, 3))).softmax(-1).topk(TOP)
        return F.normalize((probability[..., None] * self.labels[index]).sum(1), dim=-1)

    @torch.no_grad()
    def texts(self, prompts: Sequence[str]) -> torch.Tensor:
        """Prompts -> unit vectors float32 `[B, 384]`."""
        return F.normalize(self.minilm.sentence(prompts), dim=-1)


def _chunks(items: list[str], size: int) -> list[list[str]]:
    return [items[i : i + size] for i in range(0, len(items), size)]
