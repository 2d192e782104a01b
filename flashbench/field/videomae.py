"""VideoMAE (Tong et al. 2022) through transformers: the content-debiased FVD of Ge et al. 2024 (cd-fvd)."""

from __future__ import annotations

from torch import Tensor

from flashbench.cases.schema import Case
from flashbench.field import frames
from flashbench.field.pretrained import PretrainedExtractor
from flashbench.metrics.catalogue import METRICS, derived
from flashbench.metrics.plugin import Plugin
from flashbench.metrics.protocol import Arrays, Video
from flashbench.metrics.values import FRECHET

NAME, HUB = "videomae", "MCG-NJU/videomae-base-finetuned-ssv2"


class Extractor(PretrainedExtractor):
    """`features` `[3, D]`: mean token of the windows of `fvd_i3d`, squashed to 0..1 and no more (as cd-fvd does)."""

    name, hub, model, protocol = NAME, HUB, "VideoMAEModel", "windows3x16-1"

    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        net = self.net()
        side = net.config.image_size

        def pooled(clips: Tensor) -> Tensor:
            images = frames.squashed(clips.flatten(0, 1), side) / 255
            found: Tensor = net(images.reshape(*clips.shape[:2], *images.shape[1:])).last_hidden_state.mean(1)
            return found

        return {"features": frames.in_batches(pooled, frames.windows(video), size=1)}


PLUGIN = Plugin(
    NAME,
    Extractor,
    (
        derived(
            METRICS["fvd_i3d"],
            "fvd_videomae",
            NAME,
            "VideoMAE: mean of its tokens",
            source="Ge et al. 2024 (cd-fvd), whose network is VideoMAE-v2 ViT-g: numbers of other sizes differ",
        ),
    ),
    sets={"fvd_videomae": FRECHET},
    licence="CC-BY-NC-4.0",
    brings=f"hf download {HUB} --include '*.json' '*.safetensors'",
)
