"""Corrupted references as models, so that they are generated, scored and compared like any other: `blur@3`."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from flashbench.cases.scenes import sprites
from flashbench.cases.scenes.world import render
from flashbench.cases.schema import Case, Suite
from flashbench.errors import InputError, meant
from flashbench.models.corruptions import CORRUPTIONS, STRENGTHS, Corruption
from flashbench.models.protocol import ModelFactory, VideoModel
from flashbench.models.staging import STAGINGS, Staging

VERSION = 1  # part of the fingerprints: raise it when a corruption makes other pixels
SEPARATOR = "@"
DAMAGES: dict[str, Corruption | Staging] = {**CORRUPTIONS, **STAGINGS}


def _rng(*parts: object) -> np.random.Generator:
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


class Corrupted:
    """A corruption of the reference video at one strength. The draw depends on corruption, case and seed alone."""

    def __init__(self, suite: Suite, corruption: str, strength: int) -> None:
        self.suite, self.corruption, self.strength = suite, corruption, strength
        held = DAMAGES[corruption]
        self.level = held.levels[strength - 1]
        self.name = f"{corruption}{SEPARATOR}{strength}"
        self.fingerprint = hashlib.sha256(f"corrupted {self.name} {self.level} {VERSION}".encode()).hexdigest()
        self.info: dict[str, Any] = {"kind": "corruption", "what": held.what, "level": self.level}
        if corruption in STAGINGS and suite.name != sprites.NAME:
            what = f"changes scenes, which suite {suite.name!r} does not have"
            raise InputError(f"corruption {corruption!r}", what, f"use {sprites.NAME}, or {', '.join(CORRUPTIONS)}")

    def generate(self, case: Case, seed: int) -> npt.NDArray[np.uint8]:
        """The damaged reference, uint8 `[T, H, W, 3]`; frame 0 is the given one."""
        rng = _rng(self.corruption, case.id, seed)  # not of the strength: the same draw, only stronger
        if self.corruption in CORRUPTIONS:
            return CORRUPTIONS[self.corruption].apply(self.suite.load_reference(case.id), self.level, rng)
        scene = sprites.scene_of(case.id, self.suite.frames, self.suite.seed, "test")
        changed = STAGINGS[self.corruption].apply(scene, self.level, rng)
        return render(changed, self.suite.size[0]).video


class OtherSeed:
    """The reference video of the same case id in the suite of another seed: a good video of something else."""

    name = "other_seed"
    fingerprint = hashlib.sha256(b"other_seed 1").hexdigest()
    info: dict[str, Any] = {"kind": "cheat", "what": "the reference of the next seed's case"}

    def __init__(self, suite: Suite) -> None:
        if suite.name != sprites.NAME:
            raise InputError("cheat 'other_seed'", f"suite {suite.name!r} has no other seed", f"use {sprites.NAME}")
        self.suite = suite

    def generate(self, case: Case, seed: int) -> npt.NDArray[np.uint8]:
        """Frame 0 is the given one, uint8 `[T, H, W, 3]`."""
        scene = sprites.scene_of(case.id, self.suite.frames, self.suite.seed + 1, "test")
        video = render(scene, self.suite.size[0]).video
        video[0] = case.first_frame
        return video


def _late(suite: Suite) -> Corrupted:
    model = Corrupted(suite, "time_shift", 5)
    return _as_cheat(model, "half_second_late", suite.fps / 2)


def _slow(suite: Suite) -> Corrupted:
    return _as_cheat(Corrupted(suite, "slow_motion", 5), "half_speed", 2.0)


def _as_cheat(model: Corrupted, name: str, level: float) -> Corrupted:
    model.name, model.level, model.info = name, level, {**model.info, "kind": "cheat", "level": level}
    model.fingerprint = hashlib.sha256(f"cheat {name} {level} {VERSION}".encode()).hexdigest()
    return model


# What must not win: another video, half a second late, half speed. The controls `static` and `shuffled` are cheats too.
CHEATS: dict[str, ModelFactory] = {"other_seed": OtherSeed, "half_second_late": _late, "half_speed": _slow}


def is_corruption(name: str) -> bool:
    """Whether a model's name is one of this room's."""
    return name in CHEATS or SEPARATOR in name


def create_corruption(name: str, suite: Suite) -> VideoModel:
    """The model `NAME@STRENGTH`, or a cheat."""
    return CHEATS[name](suite) if name in CHEATS else corrupted(suite, name)


def corrupted(suite: Suite, name: str) -> Corrupted:
    """The corruption `NAME@STRENGTH`.

    Raises:
        InputError: an unknown corruption, a strength that is not 1 to 5, a suite without scenes.
    """
    corruption, _, strength = name.partition(SEPARATOR)
    if corruption not in DAMAGES:
        mend = f"{meant(corruption, DAMAGES)}known: {', '.join(DAMAGES)}"
        raise InputError(f"corruption {corruption!r}", "is unknown", mend)
    if strength not in {str(s) for s in STRENGTHS}:
        raise InputError(f"corruption {name!r}", f"strength is {strength!r}", "write NAME@1 to NAME@5")
    return Corrupted(suite, corruption, int(strength))
