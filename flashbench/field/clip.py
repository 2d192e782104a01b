"""CLIP (Radford et al. 2021) through transformers: text agreement and VBench's background consistency."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from flashbench.cases.schema import Case
from flashbench.field import frames
from flashbench.field.weights import Located, from_hub, pretrained
from flashbench.metrics import consistency, text
from flashbench.metrics.catalogue import METRICS, derived
from flashbench.metrics.plugin import Plugin
from flashbench.metrics.protocol import Arrays, Video
from flashbench.runs.extractors import Lazy

HUBS = {"clip_vit_b32": "openai/clip-vit-base-patch32", "clip_vit_l14": "openai/clip-vit-large-patch14"}


def prepared(images: Tensor, side: int) -> Tensor:
    """CLIP's transform of uint8 `[N, 3, H, W]`: shorter side bicubic, middle square, CLIP's mean and deviation."""
    resized = frames.shorter_side(images, side, "bicubic", antialias=True)
    return frames.normalised(frames.centre(resized, side), *frames.CLIP)


class Extractor:
    """`frames` `[1 + F, D]`: frame 0 and the sampled frames; `text` `[D]`: the prompt, cut at the model's length."""

    def __init__(self, name: str, weights: str | None) -> None:
        self.name = name
        self._weights = Located(lambda: from_hub(name, weights, HUBS[name]), "frames24-1")
        self._parts = Lazy(self._load)

    def _load(self) -> tuple[Any, Any]:
        from transformers import AutoTokenizer, CLIPModel

        path = self._weights.path
        net = pretrained(CLIPModel, self.name, path)
        return net, AutoTokenizer.from_pretrained(path, local_files_only=True)

    @property
    def fingerprint(self) -> str:
        return self._weights.fingerprint

    @torch.inference_mode()
    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        net, tokenizer = self._parts()
        side = net.config.vision_config.image_size
        tokens = tokenizer([case.prompt], truncation=True, return_tensors="pt").to(frames.device())

        def images(x: Tensor) -> Tensor:
            found: Tensor = net.visual_projection(net.vision_model(prepared(x, side)).pooler_output)
            return found

        words = net.text_projection(net.text_model(**tokens).pooler_output)
        return {"frames": frames.in_batches(images, frames.sampled(video)), "text": words[0].float().cpu().numpy()}


def plugin(name: str) -> Plugin:
    """The metrics on one size of CLIP."""
    network = f"CLIP ({HUBS[name]}), CLIP's own transform"
    agreement, background = f"text_{name}", f"background_{name}"
    return Plugin(
        name,
        functools.partial(Extractor, name),
        (
            derived(
                METRICS["text_lit"],
                agreement,
                name,
                "",
                formula=f"CLIPSIM: as text_lit, on {network}",
                source="Wu et al. 2021",
                pictures=None,
                blind="motion, counts and places",
            ),
            derived(
                METRICS["background_lite0"],
                background,
                name,
                "",
                formula=f"as background_lite0, on whole frames, on {network}",
                blind="a frozen video is best; objects are in it",
                wants="",
                source="VBench (Huang et al. 2024)",
            ),
        ),
        case={
            agreement: lambda s: text.cosine_agreement(s.measured[name]["frames"][1:], s.measured[name]["text"]),
            background: lambda s: consistency.subject_consistency(s.measured[name]["frames"]),
        },
        licence="MIT",
        brings=f"hf download {HUBS[name]} --include '*.json' '*.txt' '*.safetensors'",
    )


VIT_B32, VIT_L14 = plugin("clip_vit_b32"), plugin("clip_vit_l14")
