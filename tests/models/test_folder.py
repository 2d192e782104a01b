"""`videos:FOLDER`: videos made elsewhere, and what can be wrong with them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from flashbench.cases.schema import Suite
from flashbench.errors import InputError
from flashbench.files.png import write_png
from flashbench.files.video import write_video
from flashbench.models.registry import create_model


@pytest.fixture
def folder(suite: Suite, tmp_path: Path) -> Path:
    """One video a case: the references, lossless, the first one as a folder of PNGs."""
    for case_id in suite.case_ids[1:]:
        write_video(tmp_path / "mine" / f"{case_id}.mkv", suite.load_reference(case_id), suite.fps)
    for t, frame in enumerate(suite.load_reference(suite.case_ids[0])):
        write_png(tmp_path / "mine" / suite.case_ids[0] / f"{t:05d}.png", frame)
    return tmp_path / "mine"


def test_videos_are_answers(suite: Suite, folder: Path) -> None:
    model = create_model(f"videos:{folder}", suite)
    for case_id in suite.case_ids:
        video = model.generate(suite.load_case(case_id).asked(), 0)
        assert np.array_equal(video, suite.load_reference(case_id))


def test_the_fingerprint_follows_the_files(suite: Suite, folder: Path) -> None:
    model = create_model(f"videos:{folder}", suite)
    assert (model.name, model.info["folder"]) == ("videos:mine", str(folder))
    before = model.fingerprint
    assert create_model(f"videos:{folder}", suite).fingerprint == before
    (folder / "readme.txt").write_text("not a video")
    assert create_model(f"videos:{folder}", suite).fingerprint == before
    write_png(folder / "1-0000" / "00003.png", np.zeros((48, 48, 3), np.uint8))
    assert create_model(f"videos:{folder}", suite).fingerprint != before


@pytest.mark.parametrize(
    "damage, line",
    [
        (shutil.rmtree, "mine: is missing; give videos:FOLDER with one video a case"),
        (
            lambda d: (d / "3-0000.mkv").unlink(),
            r"mine: has no video for case '3-0000' \(1 of 12 cases have none\); name one video a case by its id",
        ),
        (
            lambda d: shutil.copy(d / "3-0000.mkv", d / "3-0000.webm"),
            r"mine: has more than one video for case '3-0000': 3-0000\.mkv, 3-0000\.webm; leave one of them",
        ),
    ],
)
def test_a_folder_that_does_not_answer_the_suite(
    suite: Suite, folder: Path, damage: Callable[[Path], object], line: str
) -> None:
    damage(folder)
    with pytest.raises(InputError, match=line):
        create_model(f"videos:{folder}", suite)


def zeros(*shape: int) -> npt.NDArray[np.uint8]:
    return np.zeros(shape, np.uint8)


@pytest.mark.parametrize(
    "damage, line",
    [
        (lambda p: write_video(p, zeros(13, 48, 64, 3), 24), "case '3-0000': size is 64x48 px instead of 48x48 px"),
        (lambda p: write_video(p, zeros(12, 48, 48, 3), 24), "case '3-0000': length is 12 frames instead of 13"),
        (lambda p: write_video(p, zeros(13, 48, 48, 3), 16), "case '3-0000': frame rate is 16 a second instead of 24"),
        (lambda p: p.write_bytes(p.read_bytes()[:-3000]), "is truncated"),
        (lambda p: p.write_bytes(b""), "is empty"),
        (lambda p: p.write_text("no video"), "is not a mkv video, or is damaged"),
    ],
)
def test_a_video_that_does_not_answer_its_case(
    suite: Suite, folder: Path, damage: Callable[[Path], object], line: str
) -> None:
    damage(folder / "3-0000.mkv")
    model = create_model(f"videos:{folder}", suite)
    with pytest.raises(InputError, match=line) as error:
        model.generate(suite.load_case("3-0000").asked(), 0)
    assert "3-0000.mkv" in str(error.value) and "\n" not in str(error.value)


def test_a_folder_of_pngs_without_pngs_or_of_two_sizes(suite: Suite, folder: Path) -> None:
    case = suite.load_case("1-0000").asked()
    write_png(folder / "1-0000" / "00004.png", zeros(48, 50, 3))
    with pytest.raises(InputError, match=r"00004\.png: is 50x48 px, but 00000\.png is 48x48 px"):
        create_model(f"videos:{folder}", suite).generate(case, 0)
    for png in (folder / "1-0000").iterdir():
        png.unlink()
    with pytest.raises(InputError, match="1-0000: is a folder without PNGs"):
        create_model(f"videos:{folder}", suite).generate(case, 0)
