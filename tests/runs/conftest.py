"""A tiny suite in memory, models that answer it, and extractors that need no network."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from flashbench.cases.schema import Case, ObjectTrack, Suite
from flashbench.metrics.catalogue import METRICS
from flashbench.metrics.protocol import Arrays, Extractor
from flashbench.runs.layout import RunFolder, RunInfo, describe, open_run

FRAMES, SIDE, BOX = 24, 32, 8
Video = npt.NDArray[np.uint8]


def tiny_case(case_id: str, objects: int = 1, condition: str = "boxes") -> tuple[Case, Video]:
    """Squares of 8 px that walk to the right, 0.5 px a frame, over a grey gradient; and their video."""
    video = np.repeat(np.tile(np.arange(SIDE, dtype=np.uint8), (SIDE, 1))[None, ..., None] + 60, FRAMES, axis=0)
    video, tracks = np.repeat(video, 3, axis=3), []
    for k in range(objects):
        left = 2 + np.arange(FRAMES) // 2
        top = np.full(FRAMES, 1 + 10 * k)
        masks = np.zeros((FRAMES, SIDE, SIDE), bool)
        for t in range(FRAMES):
            masks[t, top[t] : top[t] + BOX, left[t] : left[t] + BOX] = True
        video[masks] = (250 - 60 * k, 30 + 60 * k, sum(map(ord, case_id)) * 9 % 200)
        corner = np.stack([left, top], axis=1).astype(np.float32)
        boxes = np.concatenate([corner - 0.5, corner + BOX - 0.5], axis=1).astype(np.float32)
        centres = corner + (BOX - 1) / 2
        points = np.stack([corner + d for d in (1, BOX - 2)]).astype(np.float32)
        seen = np.ones((2, FRAMES), bool)
        tracks.append(ObjectTrack(f"square {k}", boxes, np.ones(FRAMES, bool), masks, centres, points, seen))
    case = Case(case_id, "A square walks to the right.", video[0], tuple(tracks), 24.0, condition)  # type: ignore[arg-type]
    return case, video


def tiny_suite(cases: int = 4, condition: str = "boxes", name: str = "tiny") -> Suite:
    """Cases `c0`, `c1`, ... with one and two objects in turn."""
    held = {f"c{i}": tiny_case(f"c{i}", 1 + i % 2, condition) for i in range(cases)}
    return Suite(
        name, 0, (SIDE, SIDE), FRAMES, 24.0, condition, tuple(held), "",  # type: ignore[arg-type]
        lambda i: held[i][0], lambda i: held[i][1], pictures="sprites",
    )  # fmt: skip


@dataclass
class Painter:
    """A model that repeats the first frame, darker by `shade`; it raises on the cases in `breaks`."""

    name: str = "painter"
    fingerprint: str = "f" * 64
    shade: int = 0
    breaks: tuple[str, ...] = ()
    info: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)

    def generate(self, case: Case, seed: int) -> Video:
        self.asked.append((case.id, seed))
        if case.id in self.breaks:
            raise RuntimeError("no answer")
        return np.repeat(case.first_frame[None] - np.uint8(self.shade), case.frames, axis=0)


@dataclass
class Fake:
    """An extractor whose arrays follow from the video alone; counts what it measures."""

    name: str
    fingerprint: str = "fake-1"
    measured: list[str] = field(default_factory=list)

    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        self.measured.append(case.id)
        if self.name == "i3d":
            return {"features": video.reshape(3, -1)[:, :40].astype(np.float32) + len(case.objects)}
        if self.name == "lk":
            return fake_tracks(video, case)
        raise KeyError(self.name)


def fake_tracks(video: Video, case: Case) -> Arrays:
    """What a tracker finds that sees only whether the video moves: the truth, or frame 0 for ever; lost in black."""
    still, black = bool((video == video[0]).all()), not video.any()
    keep = np.zeros(case.frames, int) if still else np.arange(case.frames)
    objects = case.objects
    points = np.stack([o.points for o in objects])  # type: ignore[arg-type]
    return {
        "centres": np.stack([o.path[keep] for o in objects]),
        "visible": np.stack([o.visible & (not black) for o in objects]),
        "masks": np.stack([o.masks[keep] for o in objects]),  # type: ignore[index]
        "boxes": np.stack([o.boxes[keep] for o in objects]),
        "points": points[:, :, keep],
        "point_visible": np.ones(points.shape[:3], bool),
    }


def fakes(names: Iterable[str]) -> dict[str, Extractor]:
    """`pixels` as it is, `i3d` and `lk` faked."""
    from flashbench.runs.extractors import PixelsExtractor

    made: dict[str, Extractor] = {"pixels": PixelsExtractor(), "i3d": Fake("i3d"), "lk": Fake("lk")}
    return {name: e for name, e in made.items() if name in set(names)}


CHEAP = tuple(m for m in METRICS.values() if set(m.needs) <= {"pixels", "i3d", "lk"})  # what `fakes` can serve


def new_run(root: Path, model: Painter, suite: Suite, seed: int = 0) -> tuple[RunFolder, RunInfo]:
    info = describe(model, suite, "tiny", len(suite), seed)
    return open_run(root, info), info


@pytest.fixture(scope="session")
def kit() -> ModuleType:
    """This module: suites, models and extractors for tests."""
    return sys.modules[__name__]
