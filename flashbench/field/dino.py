"""DINO ViT-B/16 (Caron et al. 2021) through transformers: VBench's subject consistency."""

from __future__ import annotations

from torch import Tensor

from flashbench.cases.schema import Case
from flashbench.field import frames
from flashbench.field.weights import Located, from_hub, pretrained
from flashbench.metrics import consistency
from flashbench.metrics.catalogue import METRICS, derived
from flashbench.metrics.plugin import Plugin
from flashbench.runs.extractors import Arrays, Lazy, Video

NAME, HUB = "dino", "facebook/dino-vitb16"


class Extractor:
    """`frames` `[1 + F, D]`: class token of frame 0 and the sampled frames, shorter side 224, no crop (VBench)."""

    name = NAME

    def __init__(self, weights: str | None) -> None:
        self._weights = Located(lambda: from_hub(NAME, weights, HUB), "frames24-1")
        self._net = Lazy(self._load)

    def _load(self) -> object:
        from transformers import ViTModel

        return pretrained(ViTModel, NAME, self._weights.path, add_pooling_layer=False)

    @property
    def fingerprint(self) -> str:
        return self._weights.fingerprint

    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        net = self._net()
        side = net.config.image_size  # type: ignore[attr-defined]

        def tokens(x: Tensor) -> Tensor:
            images = frames.normalised(frames.shorter_side(x, side, "bilinear", antialias=False), *frames.IMAGENET)
            return net(images, interpolate_pos_encoding=True).last_hidden_state[:, 0]  # type: ignore[operator, no-any-return]

        return {"frames": frames.in_batches(tokens, frames.sampled(video))}


PLUGIN = Plugin(
    NAME,
    Extractor,
    (
        derived(
            METRICS["background_lite0"],
            "subject_dino",
            NAME,
            "",
            formula="(cos to frame 0 + cos to the one before)/2, clipped at 0, of DINO class tokens of whole frames",
            source="VBench (Huang et al. 2024), subject consistency",
            blind="a frozen video is best; which object changes",
        ),
    ),
    case={"subject_dino": lambda s: consistency.subject_consistency(s.measured[NAME]["frames"])},
    licence="Apache-2.0",
    brings=f"hf download {HUB} --include '*.json' '*.safetensors'",
)
