"""FID's own Inception, as the TorchScript detector that StyleGAN2-ADA published."""

from __future__ import annotations

from flashbench.cases.schema import Case
from flashbench.field import frames
from flashbench.field.pretrained import ScriptedExtractor
from flashbench.metrics.catalogue import METRICS, derived
from flashbench.metrics.plugin import Plugin
from flashbench.metrics.protocol import Arrays, Video
from flashbench.metrics.values import FRECHET

NAME = "inception"
PUBLISHED = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"


class Extractor(ScriptedExtractor):
    """`features` `[F, 2048]` of the sampled frames after frame 0; the detector resizes and scales by itself."""

    name, published, pattern, protocol = NAME, PUBLISHED, "inception-2015-12-05.pt", "frames24-1"

    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        net = self.net()
        return {"features": frames.in_batches(lambda x: net(x, return_features=True), frames.sampled(video)[1:])}


PLUGIN = Plugin(
    NAME,
    Extractor,
    (derived(METRICS["fid_lite0"], "fid_inception", NAME, "Inception (2015-12-05), 2048 features"),),
    sets={"fid_inception": FRECHET},
    licence="Apache-2.0",
    brings="https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
)
