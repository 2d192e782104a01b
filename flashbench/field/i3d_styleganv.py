"""I3D as most papers of the field use it: the TorchScript detector that StyleGAN-V made known, with its own resize."""

from __future__ import annotations

import torch

from flashbench.cases.schema import Case
from flashbench.field import frames
from flashbench.field.pretrained import ScriptedExtractor
from flashbench.metrics.catalogue import METRICS, derived
from flashbench.metrics.plugin import Plugin
from flashbench.metrics.protocol import Arrays, Video
from flashbench.metrics.values import FRECHET

NAME = "i3d_styleganv"
PUBLISHED = "bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2"
HUB = "flateon/FVD-I3D-torchscript@1c2d61711c52571ad617a1063e6fa691b212e184"


class Extractor(ScriptedExtractor):
    """`features` `[3, 400]`: logits of the windows of `fvd_i3d`, resized and scaled inside the detector."""

    name, published, pattern, protocol = NAME, PUBLISHED, "*.pt", "windows3x16-1"
    hub, files = HUB, ("*.pt",)

    @torch.inference_mode()
    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        clips = frames.windows(video).transpose(1, 2)  # (3, C, 16, H, W), as the detector takes them
        out = self.net()(clips, rescale=True, resize=True, return_features=True)
        return {"features": out.float().cpu().numpy()}


PLUGIN = Plugin(
    NAME,
    Extractor,
    (derived(METRICS["fvd_i3d"], "fvd_i3d_styleganv", NAME, "StyleGAN-V's TorchScript detector"),),
    sets={"fvd_i3d_styleganv": FRECHET},
    licence="none stated",
    brings="https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
)
