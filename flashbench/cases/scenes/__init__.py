"""Procedural worlds. `sprites` makes the embedded suite; `world` the scenes behind it, which training uses too."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from flashbench.cases.scenes import sprites, world
from flashbench.cases.schema import Case, Condition, Suite
from flashbench.errors import InputError

DEFAULT_CONDITION: Condition = "masks"
MANY = 100  # cases, from which on hardly a sprite is left out


def sprites_suite(
    cases: int = sprites.CASES,
    size: int = sprites.SIZE,
    frames: int = sprites.FRAMES,
    seed: int = 0,
    condition: Condition = DEFAULT_CONDITION,
    split: str = "test",
) -> Suite:
    """The suite `sprites-v1`, rendered on demand.

    Args:
        cases: any number; strata come in turn, so that a multiple of six gives equal counts.
        size: side of the square frame in px, 32 to 1024.
        frames: length of the videos, at least 9; paths span the whole of it.
        seed: another seed gives other scenes of the same kind.
        condition: what a model is given, see `Case`.
        split: `test` (the benchmark) or `train`: they share no object and no photograph.

    Raises:
        InputError: a number is out of range.
    """
    for field, value, low, high in (
        ("cases", cases, 1, 1_000_000),
        ("size", size, 32, 1024),
        ("frames", frames, 9, 2401),
    ):
        if not low <= value <= high:
            raise InputError(f"suite {sprites.NAME}", f"{field} is {value}", f"choose {low} to {high}")

    @lru_cache(maxsize=2)
    def rendered(case_id: str) -> tuple[Case, npt.NDArray[np.uint8]]:
        return sprites.make_case(case_id, size, frames, seed, condition, split)

    name = sprites.NAME if split == "test" else f"{sprites.NAME}-{split}"
    return Suite(
        name,
        seed,
        (size, size),
        frames,
        24.0,
        condition,
        sprites.case_ids(cases),
        "",
        lambda case_id: rendered(case_id)[0],
        lambda case_id: rendered(case_id)[1],
        pictures="sprites",
        prepare=lambda: world.prepare(split, textures=cases >= MANY),
    )
