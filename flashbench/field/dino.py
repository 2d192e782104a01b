"""DINO ViT-B/16 (Caron et al. 2021) through transformers: VBench's subject consistency."""

from __future__ import annotations

from torch import Tensor

from flashbench.cases.schema import Case
from flashbench.field import frames
from flashbench.field.pretrained import PretrainedExtractor
from flashbench.metrics import consistency
from flashbench.metrics.catalogue import METRICS, derived
from flashbench.metrics.plugin import Plugin
from flashbench.metrics.protocol import Arrays, Video

NAME, HUB = "dino", "facebook/dino-vitb16"


class Extractor(PretrainedExtractor):
    """`frames` `[1 + F, D]`: class token of frame 0 and the sampled frames, shorter side 224, no crop (VBench)."""

    name, hub, model, protocol = NAME, HUB, "ViTModel", "frames24-1"
    options = {"add_pooling_layer": False}

    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        net = self.net()
        side = net.config.image_size

        def tokens(x: Tensor) -> Tensor:
            images = frames.normalised(frames.shorter_side(x, side, "bilinear", antialias=False), *frames.IMAGENET)
            found: Tensor = net(images, interpolate_pos_encoding=True).last_hidden_state[:, 0]
            return found

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
            wants="",
        ),
    ),
    case={"subject_dino": lambda s: consistency.subject_consistency(s.measured[NAME]["frames"])},
    licence="Apache-2.0",
    brings=f"hf download {HUB} --include '*.json' '*.safetensors'",
)
