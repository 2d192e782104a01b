"""RAFT (Teed and Deng 2020) through torchvision: VBench's dynamic degree as a number."""

from __future__ import annotations

import torch
from torch import Tensor

from flashbench.cases.schema import Case
from flashbench.errors import InputError
from flashbench.field import frames
from flashbench.field.weights import Located, from_hub, one_file, state_dict
from flashbench.metrics.catalogue import METRICS, derived
from flashbench.metrics.plugin import Plugin
from flashbench.metrics.protocol import Arrays, Video
from flashbench.runs.extractors import Lazy, sampled_frames

NAME = "raft"
SIDE = 256  # shorter side, a multiple of 8


class Extractor:
    """`speed` `[F]`: mean flow of the fastest 5 % of pixels, px@256, from sampled frames to the frame after each."""

    name = NAME

    def __init__(self, weights: str | None, large: bool = True) -> None:
        self._large = large
        self._weights = Located(lambda: one_file(NAME, from_hub(NAME, weights, ""), "raft_*.pth"), "frames24-1")
        self._net = Lazy(self._load)

    def _load(self) -> torch.nn.Module:
        from torchvision.models.optical_flow import raft_large, raft_small

        net, path = (raft_large if self._large else raft_small)(weights=None), self._weights.path
        try:
            net.load_state_dict(state_dict(NAME, path))
        except (RuntimeError, InputError) as error:
            what = f"is not a state of torchvision's RAFT ({type(error).__name__})"
            raise InputError(path, what, f"give --weights {NAME}=raft_large_C_T_SKHT_V2-ff5fadd5.pth") from error
        return net.eval().requires_grad_(False).to(frames.device())  # type: ignore[no-any-return]

    @property
    def fingerprint(self) -> str:
        return self._weights.fingerprint

    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        net, every = self._net(), frames.uploaded(video)
        at = torch.from_numpy(sampled_frames(len(video))[1:-1])
        pairs = torch.stack([every[at], every[at + 1]], dim=1)  # (F, 2, 3, H, W)

        def speed(x: Tensor) -> Tensor:
            scale = SIDE / min(x.shape[-2:])
            size = [max(128, round(n * scale / 8) * 8) for n in x.shape[-2:]]
            images = torch.nn.functional.interpolate(
                x.flatten(0, 1).float(), size, mode="bilinear", antialias=True, align_corners=False
            )
            a, b = (images / 127.5 - 1).reshape(*x.shape[:2], *images.shape[1:]).unbind(1)
            flow: Tensor = net(a, b)[-1].norm(dim=1).flatten(1)
            return flow.topk(max(1, flow.shape[1] // 20), dim=1).values.mean(dim=1)

        return {"speed": frames.in_batches(speed, pairs, size=4)}


PLUGIN = Plugin(
    NAME,
    Extractor,
    (
        derived(
            METRICS["dynamic_lk"],
            "dynamic_raft",
            NAME,
            "",
            formula="mean RAFT flow of the fastest 5 % of pixels from sampled frames to the frame after each",
            source="VBench (Huang et al. 2024), dynamic degree, before its threshold",
            unit="px@256/frame",
            blind="whether the motion is the asked one; a moving camera counts",
        ),
    ),
    case={"dynamic_raft": lambda s: float(s.measured[NAME]["speed"].mean())},
    licence="BSD-3-Clause",
    brings="https://download.pytorch.org/models/raft_large_C_T_SKHT_V2-ff5fadd5.pth",
)
