"""I3D as most papers of the field use it: the TorchScript detector that StyleGAN-V made known, with its own resize."""

from __future__ import annotations

from typing import Any

import torch

from flashbench.cases.schema import Case
from flashbench.field import frames
from flashbench.field.weights import Located, check_sha256, from_hub, one_file, scripted
from flashbench.metrics.catalogue import METRICS, derived
from flashbench.metrics.plugin import Plugin
from flashbench.metrics.values import FRECHET
from flashbench.runs.extractors import Arrays, Lazy, Video

NAME = "i3d_styleganv"
PUBLISHED = "bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2"
HUB = "flateon/FVD-I3D-torchscript@1c2d61711c52571ad617a1063e6fa691b212e184"


class Extractor:
    """`features` `[3, 400]`: logits of the windows of `fvd_i3d`, resized and scaled inside the detector."""

    name = NAME

    def __init__(self, weights: str | None, published: str | None = PUBLISHED) -> None:
        def find() -> Any:
            path = one_file(NAME, from_hub(NAME, weights, HUB, ("*.pt",)), "*.pt")
            return path if published is None else check_sha256(NAME, path, published)

        self._weights = Located(find, "windows3x16-1")
        self._net = Lazy(lambda: scripted(NAME, self._weights.path))

    @property
    def fingerprint(self) -> str:
        return self._weights.fingerprint

    @torch.inference_mode()
    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        clips = frames.windows(video).transpose(1, 2)  # (3, C, 16, H, W), as the detector takes them
        out = self._net()(clips, rescale=True, resize=True, return_features=True)
        return {"features": out.float().cpu().numpy()}


PLUGIN = Plugin(
    NAME,
    Extractor,
    (derived(METRICS["fvd_i3d"], "fvd_i3d_styleganv", NAME, "StyleGAN-V's TorchScript detector"),),
    sets={"fvd_i3d_styleganv": FRECHET},
    licence="none stated",
    brings="https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
)
