"""Names such as `flashmotion-4step` -> pipeline and weights: the bridge to flashbench's registry."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from diffusers import WanTransformer3DModel

from flashbench.cases.schema import Case, Suite
from flashbench.errors import InputError
from flashbench.files.atomic import read_json
from flashmotion import weights
from flashmotion.conditioning import maps_of
from flashmotion.networks.adapters.controlnet import ControlNetAdapter
from flashmotion.networks.codec import STRIDE, PatchCodec
from flashmotion.pipeline import FlashMotionPipeline
from flashmotion.presets import preset
from flashmotion.training.precision import pick


@dataclass(frozen=True)
class Row:
    """One row of the table: which generator and adapter, and how they are sampled. few: the preset's few-step list."""

    generator: str
    adapter: str
    steps: int
    few: bool
    guided: bool
    says: str
    preset: str = "nano"


ROWS: dict[str, Row] = {
    "slow-50step": Row(
        "slow-generator", "slow-adapter", 50, False, True, "SlowGenerator + SlowAdapter (stage 1), the teacher"
    ),
    "slow-4step": Row(
        "slow-generator", "slow-adapter", 4, False, True, "the teacher in 4 steps: failure mode (a) of the paper"
    ),
    "plugged-4step": Row(
        "fast-generator",
        "slow-adapter",
        4,
        True,
        False,
        "SlowAdapter on the FastGenerator, no stage 3: failure mode (b)",
    ),
    "flashmotion-4step": Row("fast-generator", "fast-adapter", 4, True, False, "FastGenerator + FastAdapter (stage 3)"),
}


def load_pipeline(name: str) -> FlashMotionPipeline:
    """The pipeline of a row, from the shipped weights, their hashes checked."""
    row = ROWS[name]
    p = preset(row.preset)
    return FlashMotionPipeline(
        weights.load(WanTransformer3DModel, row.preset, row.generator),
        weights.load(ControlNetAdapter, row.preset, row.adapter),
        weights.load(PatchCodec, row.preset, "codec"),
        row.steps,
        p.sample_shift,
        p.few_steps if row.few else None,
        p.guidance if row.guided else 1.0,
        p.text_length,
    )


class ZooModel:
    """A row of the zoo as a VideoModel."""

    def __init__(self, name: str, suite: Suite) -> None:
        self.name, self.row = name, ROWS[name]
        p = preset(self.row.preset)
        if suite.size != (p.size, p.size) or suite.frames > p.frames or suite.frames % STRIDE != 1:
            asked = f"{suite.frames} frames of {suite.size[1]}x{suite.size[0]} px"
            raise InputError(
                f"model {name!r}",
                f"cannot make {asked}",
                f"ask for {p.size}x{p.size} px and 1 + 4 k frames up to {p.frames}",
            )
        self.pipeline = load_pipeline(name)

    @cached_property
    def manifests(self) -> dict[str, Any]:
        return {
            part: read_json(weights.folder(self.row.preset, part) / "manifest.json")
            for part in (self.row.generator, self.row.adapter, "codec")
        }

    @cached_property
    def fingerprint(self) -> str:
        hashes = {part: m["sha256"] for part, m in self.manifests.items()}
        settings = {
            k: v for k, v in dict(self.pipeline.config).items() if not isinstance(v, list | tuple) or k == "few_steps"
        }
        text = json.dumps([self.name, hashes, settings, str(pick())], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def info(self) -> dict[str, Any]:
        return {
            **asdict(self.row),
            "guidance": self.pipeline.config.guidance,
            "few_steps": self.pipeline.config.few_steps,
            "shift": self.pipeline.config.shift,
            "precision": str(pick()).removeprefix("torch."),
            "licence": "Apache-2.0",
            "parameters": sum(
                q.numel() for n in ("generator", "adapter") for q in getattr(self.pipeline, n).parameters()
            ),
            "weights": {
                part: {k: m.get(k) for k in ("sha256", "command", "steps", "of", "seconds")}
                for part, m in self.manifests.items()
            },
        }

    def generate(self, case: Case, seed: int) -> npt.NDArray[np.uint8]:
        """See VideoModel.generate."""
        noise = int.from_bytes(hashlib.sha256(f"{case.id}/{case.seed}/{seed}".encode()).digest()[:6], "big")
        return self.pipeline(case.first_frame, case.prompt, maps_of(case), noise).frames


def slow_50step(suite: Suite) -> ZooModel:
    return ZooModel("slow-50step", suite)


def slow_4step(suite: Suite) -> ZooModel:
    return ZooModel("slow-4step", suite)


def plugged_4step(suite: Suite) -> ZooModel:
    return ZooModel("plugged-4step", suite)


def flashmotion_4step(suite: Suite) -> ZooModel:
    return ZooModel("flashmotion-4step", suite)
