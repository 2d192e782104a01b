"""Small synthetic scenes with exactly known motion, and cases of the embedded suite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import pytest

from flashbench.cases.scenes import sprites_suite
from flashbench.cases.schema import Case, ObjectTrack, Suite

FINE = 384  # scenes are drawn at about this size, at least twice their own, and brought down by area


@dataclass(frozen=True)
class Thing:
    """A round patch of its own texture on a path: `path` [T, 2] px, `turn` [T] rad, `size` [T], later ones in front."""

    path: np.ndarray
    radius: float
    seed: int
    turn: np.ndarray | float = 0.0
    size: np.ndarray | float = 1.0
    contrast: float = 60.0


@lru_cache(maxsize=16)
def _texture(seed: int, side: int, grain: float, contrast: float) -> np.ndarray:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(side, side, 3)), (0, 0), grain)
    return np.clip(127 + contrast * noise / noise.std(), 0, 255).astype(np.float32)


def _draw(things: list[Thing], side: int, ground: np.ndarray, t: int) -> tuple[np.ndarray, list[np.ndarray]]:
    big = len(ground)
    fine = big // side
    frame, masks = ground.copy(), [np.zeros((big, big), np.float32) for _ in things]
    for k, thing in enumerate(things):
        tex = _texture(thing.seed, big, 10.0, thing.contrast)
        turn, size = np.broadcast_to(thing.turn, len(thing.path))[t], np.broadcast_to(thing.size, len(thing.path))[t]
        c, s = np.cos(turn) * size, np.sin(turn) * size
        centre = (thing.path[t] + 0.5) * fine - 0.5
        matrix = np.array([[c, -s], [s, c]])
        warp = np.concatenate([matrix, (centre - matrix @ np.full(2, big / 2 - 0.5))[:, None]], axis=1)
        moved = cv2.warpAffine(tex, warp, (big, big), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        y, x = np.mgrid[:big, :big]
        disc = (np.hypot(x - centre[0], y - centre[1]) < thing.radius * size * fine).astype(np.float32)
        frame = np.where(disc[..., None] > 0, moved, frame)
        for under in masks[:k]:
            under *= 1 - disc
        masks[k] = disc
    down = [cv2.resize(m, (side, side), interpolation=cv2.INTER_AREA) >= 0.5 for m in masks]
    return np.rint(cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA)).astype(np.uint8), down


def _scene(things: list[Thing], side: int = 48, ground_seed: int = 99) -> tuple[Case, np.ndarray]:
    ground = _texture(ground_seed, side * max(2, FINE // side), 40.0, 25.0)
    drawn = [_draw(things, side, ground, t) for t in range(len(things[0].path))]
    video = np.stack([d[0] for d in drawn])
    tracks = []
    for k, thing in enumerate(things):
        masks = np.stack([d[1][k] for d in drawn])
        reach = thing.radius * np.broadcast_to(thing.size, len(thing.path))[:, None]
        boxes = np.concatenate([thing.path - reach, thing.path + reach], axis=1).astype(np.float32)
        visible = masks.any((1, 2))
        tracks.append(ObjectTrack(f"thing {k}", boxes, visible, masks, thing.path.astype(np.float32)))
    return Case("scene", "Things move.", video[0], tuple(tracks)), video


@pytest.fixture(scope="session")
def scene() -> Callable[..., tuple[Case, np.ndarray]]:
    """`scene(things, side)` draws things; gives the case with its truth and the video."""
    return _scene


@pytest.fixture(scope="session")
def thing() -> type[Thing]:
    return Thing


@pytest.fixture(scope="session")
def suite() -> Suite:
    """The embedded suite."""
    return sprites_suite(48)
