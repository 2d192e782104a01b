"""DAVIS' layout: indexed masks come back exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flashbench.cases.scenes import sprites_suite
from flashbench.cases.schema import Suite
from flashbench.errors import InputError
from flashbench.layouts import davis
from flashbench.layouts.clips import Form, suite_of


@pytest.fixture(scope="module")
def suite() -> Suite:
    return sprites_suite(3, 64, 13)


@pytest.fixture
def root(suite: Suite, tmp_path: Path) -> Path:
    davis.write(suite, tmp_path / "DAVIS")
    return tmp_path / "DAVIS"


def test_a_round_trip(suite: Suite, root: Path) -> None:
    found = suite_of(davis.read(root))
    assert found.case_ids == suite.case_ids and found.fps == 24 and found.size == (64, 64)
    for i in suite.case_ids:
        ours, theirs = found.load_case(i), suite.load_case(i)
        assert ours.prompt == theirs.prompt and len(ours.objects) == len(theirs.objects)
        for a, b in zip(ours.objects, theirs.objects, strict=True):
            assert a.masks is not None and np.array_equal(a.masks, b.masks) and np.array_equal(a.visible, b.visible)
        assert np.abs(found.load_reference(i).astype(int) - suite.load_reference(i)).mean() < 6  # JPEG


def test_without_prompts_the_name_stands_in(root: Path) -> None:
    (root / "prompts.csv").unlink()
    assert suite_of(davis.read(root)).load_case("2-0000").prompt == "A video of 2 0000."


def test_another_size_and_length(root: Path) -> None:
    found = suite_of(davis.read(root), Form(size=(32, 32), frames=5))
    case = found.load_case("1-0000")
    assert case.frames == 5 and case.size == (32, 32)
    assert case.objects[0].masks is not None and case.objects[0].masks.any(axis=(1, 2)).all()
    with pytest.raises(InputError, match="has 13 frames, 14 are asked"):
        suite_of(davis.read(root), Form(frames=14)).load_case("1-0000")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda r: (r / "JPEGImages/480p/1-0000/00004.jpg").unlink(), "00004.jpg: is missing or no picture"),
        (lambda r: (r / "Annotations/480p/1-0000/00004.png").write_bytes(b"x"), "00004.png: cannot be read"),
        (lambda r: (r / "prompts.csv").write_text("a\nb\n"), "no column clip, or no rows"),
    ],
)
def test_damage_is_named(root: Path, damage, says: str) -> None:  # type: ignore[no-untyped-def]
    damage(root)
    with pytest.raises(InputError, match=says):
        suite_of(davis.read(root)).load_case("1-0000")


def test_not_davis(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="JPEGImages/480p: is missing"):
        davis.read(tmp_path)
