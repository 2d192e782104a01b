"""V-JEPA 2 with its attentive probe, through transformers: JEDi (Luo et al. 2024) on the later network."""

from __future__ import annotations

from torch import Tensor

from flashbench.cases.schema import Case
from flashbench.field import frames
from flashbench.field.pretrained import PretrainedExtractor
from flashbench.metrics.catalogue import METRICS, derived
from flashbench.metrics.plugin import Plugin
from flashbench.metrics.protocol import Arrays, Video
from flashbench.metrics.values import Kernel, mmd_metric

NAME, HUB = "vjepa2", "facebook/vjepa2-vitl-fpc16-256-ssv2"


class Extractor(PretrainedExtractor):
    """`features` `[3, D]`: the probe's pooled token of the windows of `fvd_i3d`, squashed, ImageNet's mean."""

    name, hub, model, protocol = NAME, HUB, "VJEPA2ForVideoClassification", "windows3x16-1"

    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        net = self.net()
        side = net.config.crop_size

        def pooled(clips: Tensor) -> Tensor:
            images = frames.squashed(clips.flatten(0, 1), side)
            x = frames.normalised(images, *frames.IMAGENET).reshape(*clips.shape[:2], *images.shape[1:])
            found: Tensor = net.pooler(net.vjepa2(x, skip_predictor=True).last_hidden_state)
            return found

        return {"features": frames.in_batches(pooled, frames.windows(video), size=1)}


PLUGIN = Plugin(
    NAME,
    Extractor,
    (
        derived(
            METRICS["mmd_i3d"],
            "jedi_vjepa2",
            NAME,
            "",
            formula="100 MMD^2 with kernel (x'y/D)^2 on V-JEPA 2's probe token; windows and U-statistic as mmd_i3d",
            source="JEDi (Luo et al. 2024), whose network is V-JEPA ViT-H and whose estimate is the biased one",
        ),
    ),
    sets={"jedi_vjepa2": mmd_metric(Kernel(degree=2, coef0=0.0, scale=100.0))},
    licence="MIT",
    brings=f"hf download {HUB} --include '*.json' '*.safetensors'",
)
