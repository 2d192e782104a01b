"""Layouts of bare point tracks: MoveBench (Wan-Move), ATI, Tora. Paths come back, and what is wrong is named."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from flashbench.cases.scenes import sprites_suite
from flashbench.cases.schema import Suite
from flashbench.errors import InputError
from flashbench.layouts import ati, movebench, tora
from flashbench.layouts.clips import Form, suite_of

BOXES = Form(condition="boxes")
EXACT = {movebench: 1e-4, ati: 1e-4, tora: 0.5 * 64 / 256 + 1e-3}


@pytest.fixture(scope="module")
def suite() -> Suite:
    return sprites_suite(3, 64, 21)


@pytest.mark.parametrize("layout", EXACT)
def test_a_round_trip(suite: Suite, tmp_path: Path, layout: ModuleType) -> None:
    layout.write(suite, tmp_path / "theirs")
    found = suite_of(layout.read(tmp_path / "theirs"), BOXES)
    assert sorted(found.case_ids) == sorted(suite.case_ids) and found.frames == 21 and found.fps == 24
    for i in suite.case_ids:
        ours, theirs = found.load_case(i), suite.load_case(i)
        assert ours.prompt == theirs.prompt and len(ours.objects) == len(theirs.objects)
        for a, b in zip(ours.objects, theirs.objects, strict=True):
            on = (b.path > 0).all(axis=1) & (b.path < 63).all(axis=1)
            assert a.points is not None and np.abs(a.points[0] - b.path)[on].max() <= EXACT[layout]
            assert layout is tora or np.array_equal(a.visible & on, b.visible & on)


def test_what_wan_move_and_ati_load(suite: Suite, tmp_path: Path) -> None:
    """Shapes and types as their own code reads them, without ours."""
    movebench.write(suite, tmp_path / "en")
    tracks = np.load(tmp_path / "en/track/multi/2-0000_tracks.npy")
    seen = np.load(tmp_path / "en/track/multi/2-0000_visibility.npy")
    assert (
        tracks.shape == (1, 21, 2, 2) and tracks.dtype == np.float32 and seen.shape == (1, 21, 2) and seen.dtype == bool
    )
    assert (tmp_path / "en/single_track.txt").read_text() == f"1-0000,{suite.load_case('1-0000').prompt}\n"
    ati.write(suite, tmp_path / "ati")
    held = torch.load(tmp_path / "ati/tracks/2-0000.pth", weights_only=True)
    array = np.load(io.BytesIO(held))["array"]
    assert array.shape == (2, 121, 1, 3) and set(np.unique(array[..., 2])) <= {0.0, 8.0}
    assert (array[:, 20:] == array[:, 20:21]).all()  # held at the last point
    assert array[0, 5, 0, :2] / 8 == pytest.approx(suite.load_case("2-0000").objects[0].path[5])


def test_tora_thins_and_fills(tmp_path: Path) -> None:
    assert tora._spread(np.array([[0.0, 0.0], [10.0, 20.0]]), 5)[:, 1] == pytest.approx([0, 5, 10, 15, 20])
    assert tora._spread(np.arange(202.0).reshape(101, 2), 5)[:, 0] == pytest.approx([0, 50, 100, 150, 200])


Damage = Callable[[Path], object]
WRONG: list[tuple[ModuleType, Damage, str]] = [
    (movebench, lambda r: (r / "videos/1-0000.mp4").unlink(), "has no reference video"),
    (
        movebench,
        lambda r: (r / "track/single/1-0000_tracks.npy").write_bytes(b"x"),
        "1-0000_tracks.npy: cannot be read",
    ),
    (movebench, lambda r: np.save(r / "track/single/1-0000_tracks.npy", np.zeros((1, 21, 3, 2))), "do not fit"),
    (movebench, lambda r: (r / "single_track.txt").write_text("1-0000\n"), "line 1 has no comma"),
    (ati, lambda r: (r / "test.yaml").write_text("a: 1"), "is no list of"),
    (ati, lambda r: (r / "test.yaml").write_text("[}"), "test.yaml: cannot be read"),
    (ati, lambda r: (r / "tracks/1-0000.pth").write_bytes(b"x"), "1-0000.pth: is no track file"),
    (ati, lambda r: torch.save(b"abc", r / "tracks/1-0000.pth"), "is no track file"),
    (tora, lambda r: (r / "trajs/1-0000/00.txt").write_text("1,2,3\n"), "holds no lines x,y"),
    (tora, lambda r: (r / "trajs/1-0000/00.txt").write_text("a,b\n"), "cannot be read"),
    (tora, lambda r: (r / "trajs/1-0000/00.txt").unlink(), "holds no track"),
    (tora, lambda r: (r / "prompts.txt").write_text("1-0000\n"), "line 1 has no comma"),
]


@pytest.mark.parametrize(("layout", "damage", "says"), WRONG)
def test_damage_is_named(suite: Suite, tmp_path: Path, layout: ModuleType, damage: Damage, says: str) -> None:
    layout.write(suite, tmp_path / "theirs")
    damage(tmp_path / "theirs")
    with pytest.raises(InputError, match=says):
        suite_of(layout.read(tmp_path / "theirs"), BOXES).load_case("1-0000")
