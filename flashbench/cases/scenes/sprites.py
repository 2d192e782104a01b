"""The embedded suite `sprites-v1`: scenes of the procedural world as cases with exact truth."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from flashbench.cases.scenes.world import FPS, Rendered, Scene, follow, render, sample_scene
from flashbench.cases.schema import STRATA, Case, Condition, ObjectTrack

NAME = "sprites-v1"
CASES, SIZE, FRAMES = 48, 64, 121
POINTS = 16


def case_rng(name: str, case_id: str, seed: int) -> np.random.Generator:
    """The generator of one case: seeded by a hash of (suite, case id, seed)."""
    digest = hashlib.sha256(f"{name}/{case_id}/{seed}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


def case_ids(cases: int) -> tuple[str, ...]:
    """Ids that say the stratum, strata in turn: `1-0000`, `2-0000`, ..., `6+` written as `6`."""
    return tuple(f"{1 + i % len(STRATA)}-{i // len(STRATA):04d}" for i in range(cases))


def scene_of(case_id: str, frames: int, seed: int, split: str) -> Scene:
    """The scene behind a case id."""
    rng = case_rng(f"{NAME}-{split}", case_id, seed)
    stratum = int(case_id.partition("-")[0])
    objects = stratum if stratum < 6 else int(rng.integers(6, 9))
    return sample_scene(rng, objects, split, frames)


def _query_points(mask: npt.NDArray[np.bool_], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """POINTS pixels of a frame-0 mask, its inner part preferred, spread by farthest-point choice: [P, 2] (x, y)."""
    inner = mask.copy()
    inner[1:] &= mask[:-1]
    inner[:-1] &= mask[1:]
    inner[:, 1:] &= mask[:, :-1]
    inner[:, :-1] &= mask[:, 1:]
    ys, xs = np.nonzero(inner if inner.sum() >= 4 else mask)
    pixels = np.stack([xs, ys], axis=1)
    chosen = [int(rng.integers(len(pixels)))]
    far = ((pixels - pixels[chosen[0]]) ** 2).sum(1)
    while len(chosen) < min(POINTS, len(pixels)):
        chosen.append(int(far.argmax()))
        far = np.minimum(far, ((pixels - pixels[chosen[-1]]) ** 2).sum(1))
    picked = np.asarray(pixels[chosen], np.float64)
    return picked[np.arange(POINTS) % len(picked)]


def _track(name: str, i: int, r: Rendered, rng: np.random.Generator) -> ObjectTrack:
    mask = r.masks[i]
    points = follow(_query_points(mask[0], rng), r.place[i])
    cells = np.rint(points).astype(np.int64)
    height, width = mask.shape[1:]
    inside = (cells[..., 0] >= 0) & (cells[..., 0] < width) & (cells[..., 1] >= 0) & (cells[..., 1] < height)
    frame = np.arange(mask.shape[0])
    seen = inside & mask[frame, np.clip(cells[..., 1], 0, height - 1), np.clip(cells[..., 0], 0, width - 1)]
    return ObjectTrack(name, r.boxes[i], r.visible[i], mask, r.centres[i], points, seen)


def make_case(
    case_id: str, size: int, frames: int, seed: int, condition: Condition, split: str
) -> tuple[Case, npt.NDArray[np.uint8]]:
    """Renders one case.

    Returns:
        The case with its truth, and its reference video uint8 [T, S, S, 3].
    """
    scene = scene_of(case_id, frames, seed, split)
    r = render(scene, size)
    rng = case_rng(f"{NAME}-{split}-points", case_id, seed)
    objects = tuple(_track(a.sprite.name, i, r, rng) for i, a in enumerate(scene.named))
    meta = {
        "families": [a.family for a in scene.named],
        "weather": scene.weather,
        "background": scene.background.name,
        "camera": "moving" if scene.pan != (0, 0) else "still",
        "mover": len(scene.named) < len(scene.actors),
        "split": split,
    }
    noise = int.from_bytes(hashlib.sha256(f"{case_id}/{seed}".encode()).digest()[:4], "big")
    return Case(case_id, scene.prompt, r.video[0], objects, float(FPS), condition, noise, meta), r.video
