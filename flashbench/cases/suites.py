"""Suites by name or by folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from flashbench.cases.folder import SUITE_JSON, read_suite
from flashbench.cases.scenes import DEFAULT_CONDITION, sprites, sprites_suite
from flashbench.cases.schema import Condition, Suite
from flashbench.errors import InputError, meant
from flashbench.workers import spread

CLIPS = "clips-v1"  # a folder in the package (scripts/prepare_clips.py)
EMBEDDED = (sprites.NAME, CLIPS)
WORTH_A_FORK = 16  # cases, from which on they are shared out among the cores


def open_suite(
    name_or_path: str | Path,
    cases: int | None = None,
    seed: int = 0,
    condition: Condition | None = None,
    size: int | None = None,
    frames: int | None = None,
) -> Suite:
    """Opens a suite.

    Args:
        name_or_path: `sprites-v1`, rendered on demand; `clips-v1`, real footage; or a suite folder.
        cases: number of cases, the first ones; None for all. The strata of `sprites-v1` come in turn, so that the
            first N are balanced.
        seed, condition, size, frames: other scenes of `sprites-v1` (see `sprites_suite`). A folder was built
            with its own: another value than the folder's is refused (seed 0 stands for the folder's).

    Raises:
        InputError: unknown name, a folder that cannot be read, or a number that the suite does not have.
    """
    if str(name_or_path) == sprites.NAME:
        return sprites_suite(
            cases=sprites.CASES if cases is None else cases,
            size=sprites.SIZE if size is None else size,
            frames=sprites.FRAMES if frames is None else frames,
            seed=seed,
            condition=condition or DEFAULT_CONDITION,
        )
    path = Path(__file__).parent / "clips" if str(name_or_path) == CLIPS else Path(name_or_path)
    if not path.exists() and path.name == str(name_or_path):
        raise InputError(f"suite {str(name_or_path)!r}", "is unknown", _mend(str(name_or_path)))
    suite = read_suite(path)
    built = {"seed": suite.seed, "condition": suite.condition, "size": suite.size, "frames": suite.frames}
    asked = {"seed": seed or None, "condition": condition, "size": size and (size, size), "frames": frames}
    for field, value in asked.items():
        if value is not None and value != built[field]:
            what = f"field {field!r} is {built[field]} in this folder, {value} was asked"
            raise InputError(path / SUITE_JSON, what, "leave the option out, or build another folder")
    if cases is None or cases == len(suite):
        return suite
    if not 1 <= cases <= len(suite):
        raise InputError(path, f"has {len(suite)} cases, {cases} were asked", f"choose 1 to {len(suite)}")
    return dataclasses.replace(suite, case_ids=suite.case_ids[:cases], known_sha256="")


def hashed(suite: Suite, workers: int) -> Suite:
    """The suite with the hashes of its cases; where it does not know them, several processes make them."""
    if suite.hash_case is not None or len(suite) < WORTH_A_FORK:
        return suite

    def of(case_id: str) -> tuple[str, str]:
        return case_id, suite.load_case(case_id).sha256(suite.load_reference(case_id))

    suite.prepare()
    found = dict(spread(of, suite.case_ids, workers))
    return dataclasses.replace(suite, hash_case=found.__getitem__)


def _mend(name: str) -> str:
    return f"{meant(name, EMBEDDED)}give {', '.join(EMBEDDED)} or the path of a suite folder"
