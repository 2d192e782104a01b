"""Graded corruptions of what happens: the scene behind a case is changed and drawn again, so nothing else changes.

Only suites of the procedural world have a scene to change. Frame 0 stays as it is: what is wrong comes in gradually,
over the first tenth of the video.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flashbench.cases.scenes.raster import ONE
from flashbench.cases.scenes.world import Actor, Scene

I64 = npt.NDArray[np.int64]


class Staging(NamedTuple):
    """What a corruption of the scene does. levels: its parameter at strengths 1 to 5, in the unit that `what` names."""

    what: str
    levels: tuple[float, float, float, float, float]
    apply: Callable[[Scene, float, np.random.Generator], Scene]


def _named(scene: Scene, change: Callable[[int, Actor], Actor]) -> Scene:
    """The scene with each named actor changed; `change` is given its number among them."""
    numbers = iter(range(len(scene.actors)))
    actors = tuple(change(next(numbers), a) if a.named else a for a in scene.actors)
    return dataclasses.replace(scene, actors=actors)


def _ramp(frames: int) -> npt.NDArray[np.float64]:
    """0 at frame 0, 1 after a tenth of the video."""
    return np.clip(np.arange(frames) / max(0.1 * (frames - 1), 1), 0, 1)


def _moved(actor: Actor, by: npt.NDArray[np.float64]) -> Actor:
    return dataclasses.replace(actor, path=actor.path + np.rint(by).astype(np.int64))


def path_offset(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Every object beside its path, in a direction of its own."""
    angles = rng.random(len(scene.actors)) * 2 * np.pi
    ramp = _ramp(scene.frames)[:, None] * level / 256 * ONE

    def change(i: int, actor: Actor) -> Actor:
        return _moved(actor, ramp * np.array([np.cos(angles[i]), np.sin(angles[i])]))

    return _named(scene, change)


def path_mirrored(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    """From its path (0) to the path mirrored left to right about its start (1)."""

    def change(i: int, actor: Actor) -> Actor:
        by = np.zeros(actor.path.shape)
        by[:, 0] = -2 * level * (actor.path[:, 0] - actor.path[0, 0])
        return _moved(actor, by)

    return _named(scene, change)


def objects_swapped(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    """From its displacement (0) to the displacement of the next object (1); one object alone goes backward."""
    paths = [a.path - a.path[0] for a in scene.named]

    def change(i: int, actor: Actor) -> Actor:
        other = paths[(i + 1) % len(paths)] if len(paths) > 1 else -paths[0]
        return _moved(actor, level * (other - paths[i]))

    return _named(scene, change)


def object_removed(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    """One object is gone for the last part of the video."""
    gone = int(rng.integers(len(scene.named)))
    opacity = np.where(np.arange(scene.frames) > (1 - level) * (scene.frames - 1), 0, 256)
    return _named(scene, lambda i, a: dataclasses.replace(a, opacity=opacity) if i == gone else a)


def object_faded(scene: Scene, level: float, rng: np.random.Generator) -> Scene:
    """Every object loses this share of its opacity by the last frame."""
    opacity = np.rint(256 * (1 - level * np.linspace(0, 1, scene.frames))).astype(np.int64)
    return _named(scene, lambda i, a: dataclasses.replace(a, opacity=opacity))


STAGINGS: dict[str, Staging] = {
    "path_offset": Staging("beside the path, px@256", (2, 4, 8, 16, 32), path_offset),
    "path_mirrored": Staging("from the path (0) to its mirror image (1)", (0.05, 0.1, 0.25, 0.5, 1.0), path_mirrored),
    "objects_swapped": Staging("from its path (0) to another's (1)", (0.05, 0.1, 0.25, 0.5, 1.0), objects_swapped),
    "object_removed": Staging("one object gone for this last share", (0.1, 0.2, 0.4, 0.6, 0.8), object_removed),
    "object_faded": Staging("opacity lost by the last frame", (0.1, 0.2, 0.4, 0.7, 1.0), object_faded),
}  # fmt: skip
