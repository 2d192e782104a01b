"""Names such as `flashmotion-4step` -> pipeline and weights: the bridge to flashbench's registry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Case, Suite
from flashbench.errors import InputError
from flashmotion import weights
from flashmotion.conditioning import maps_of
from flashmotion.networks import attention
from flashmotion.networks.adapters import ADAPTERS
from flashmotion.networks.codec import STRIDE, PatchCodec
from flashmotion.networks.residual import ResidualGenerator
from flashmotion.pipeline import FlashMotionPipeline
from flashmotion.precision import pick
from flashmotion.presets import preset
from flashmotion.rows import ROWS


def load_pipeline(name: str) -> FlashMotionPipeline:
    """The pipeline of a row, from the shipped weights, their hashes checked."""
    row = ROWS[name]
    p = preset(row.preset)
    return FlashMotionPipeline(
        weights.load(ResidualGenerator, row.preset, row.generator),
        weights.load(ADAPTERS[row.kind], row.preset, row.adapter),
        weights.load(PatchCodec, row.preset, "codec"),
        row.steps,
        p.sample_shift,
        (row.times or p.few_steps) if row.few else None,
        p.guidance if row.guided else 1.0,
        p.text_length,
    )


def _attention() -> str:
    """Which arithmetic attention uses on this machine."""
    return "rows" if attention.suits(pick()) else "torch"


class ZooModel:
    """A row of the zoo as a VideoModel."""

    def __init__(self, name: str, suite: Suite) -> None:
        self.name, self.row, self.asked_with = name, ROWS[name], suite.condition
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
            part: weights.manifest(self.row.preset, part) for part in (self.row.generator, self.row.adapter, "codec")
        }

    @cached_property
    def fingerprint(self) -> str:
        hashes = {part: m["sha256"] for part, m in self.manifests.items()}
        settings = {
            k: v for k, v in dict(self.pipeline.config).items() if not isinstance(v, list | tuple) or k == "few_steps"
        }
        text = json.dumps([self.name, hashes, settings, str(pick()), _attention()], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def info(self) -> dict[str, Any]:
        return {
            **asdict(self.row),
            **self._conditions(),
            "guidance": self.pipeline.config.guidance,
            "few_steps": self.pipeline.config.few_steps,
            "shift": self.pipeline.config.shift,
            "precision": str(pick()).removeprefix("torch."),
            "attention": _attention(),
            "licence": "Apache-2.0",
            "parameters": sum(
                q.numel() for n in ("generator", "adapter") for q in getattr(self.pipeline, n).parameters()
            ),
            "weights": {
                part: {k: m.get(k) for k in ("sha256", "command", "steps", "of", "seconds")}
                for part, m in self.manifests.items()
            },
        }

    def _conditions(self) -> dict[str, str]:
        """Which condition the weights know and which they are given: other people's data often has boxes alone."""
        known, given = preset(self.row.preset).condition, self.asked_with
        said = {"trained_with": known, "asked_with": given}
        return said if known == given else {**said, "note": f"{self.name} was trained with {known}, not with {given}"}

    def generate(self, case: Case, seed: int) -> npt.NDArray[np.uint8]:
        """See VideoModel.generate."""
        noise = int.from_bytes(hashlib.sha256(f"{case.id}/{case.seed}/{seed}".encode()).digest()[:6], "big")
        return self.pipeline(case.first_frame, case.prompt, maps_of(case), noise).frames


def __getattr__(name: str) -> Callable[[Suite], ZooModel]:
    """The factory of a row, `zoo.slow_50step` for `slow-50step`: what the entry points in setup.cfg name."""
    row = name.replace("_", "-")
    if row not in ROWS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return partial(ZooModel, row)
