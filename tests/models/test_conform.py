"""Answers of another form: which frame goes where, what is refused, and that it is said."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from flashbench.cases.schema import Case, Suite
from flashbench.errors import InputError
from flashbench.files.video import write_video
from flashbench.models.conform import Conformed, conform
from flashbench.models.folder import FolderModel
from flashbench.models.protocol import VideoModel


def counted(frames: int, height: int, width: int) -> np.ndarray:
    """A video whose frame k is grey of value k."""
    return np.broadcast_to(np.arange(frames, dtype=np.uint8)[:, None, None, None], (frames, height, width, 3)).copy()


@pytest.fixture
def case(suite: Suite) -> Case:
    return suite.load_case(suite.case_ids[0]).asked()


def test_what_fits_is_left_as_it_is(case: Case) -> None:
    video = np.random.default_rng(0).integers(0, 256, (case.frames, *case.size, 3), np.uint8)
    assert np.array_equal(conform(video, case.fps, case, "x"), video)


def test_the_nearest_frame_in_time(case: Case) -> None:
    """Two thirds of the rate: frames 0, 1, 1, 2, 3, 3, ... and not one that the model did not make."""
    made = conform(counted(case.frames, *case.size), case.fps * 2 / 3, case, "x")
    expected = np.floor(np.arange(case.frames) * 2 / 3 + 0.5)
    assert np.array_equal(made[:, 0, 0, 0], expected) and made.shape == (case.frames, *case.size, 3)
    fast = conform(counted(2 * case.frames, *case.size), 2 * case.fps, case, "x")
    assert np.array_equal(fast[:, 0, 0, 0], 2 * np.arange(case.frames))


def test_81_frames_at_16_for_121_at_24(suite: Suite) -> None:
    """What Wan makes, asked for what this benchmark asks: every frame is one that it made, the last is its last."""
    from dataclasses import replace

    short = suite.load_case(suite.case_ids[0]).asked()
    track = replace(
        short.objects[0], boxes=short.objects[0].boxes[:1].repeat(121, 0), visible=np.ones(121, bool), masks=None
    )
    case = replace(short, objects=(track,), fps=24.0, condition="boxes")
    made = conform(counted(81, 48, 83), 16.0, case, "x")  # 480 x 832, a tenth of it
    assert made.shape == (121, *case.size, 3)
    assert made[:5, 0, 0, 0].tolist() == [0, 1, 1, 2, 3] and made[-1, 0, 0, 0] == 80
    with pytest.raises(InputError, match="make a longer video"):
        conform(counted(80, 48, 83), 16.0, case, "x")


def test_the_middle_of_a_wider_picture(case: Case) -> None:
    height, width = case.size
    video = np.zeros((case.frames, 2 * height, 4 * width, 3), np.uint8)
    video[:, :, width : 3 * width] = 200  # the middle half is what is kept
    made = conform(video, case.fps, case, "x")
    assert made.shape == (case.frames, height, width, 3) and (made == 200).all()


def test_too_short_is_refused(case: Case) -> None:
    with pytest.raises(InputError, match=r"lasts .* s, .* s are asked; make a longer video"):
        conform(counted(case.frames - 1, *case.size), case.fps, case, "x")
    assert len(conform(counted(case.frames - 1, *case.size), case.fps * 0.95, case, "x")) == case.frames


def test_a_folder_of_videos_has_its_own_rate(suite: Suite, tmp_path: Path) -> None:
    for i in suite.case_ids:
        write_video(
            tmp_path / f"{i}.mkv", counted(2 * suite.frames, 2 * suite.size[0], 2 * suite.size[1]), 2 * suite.fps
        )
    plain = FolderModel(tmp_path, suite)
    model, case = Conformed(plain), suite.load_case(suite.case_ids[0]).asked()
    with pytest.raises(InputError, match="size is"):
        plain.generate(case, 0)
    assert np.array_equal(model.generate(case, 0)[:, 0, 0, 0], 2 * np.arange(suite.frames))
    assert isinstance(model, VideoModel) and model.info["conformed"] == 1 and model.name == plain.name
    assert model.fingerprint != plain.fingerprint


def test_a_model_states_its_rate(case: Case) -> None:
    info = {"fps": 2 * case.fps}
    model = SimpleNamespace(name="m", fingerprint="f", info=info, generate=lambda c, s: counted(2 * c.frames, *c.size))
    assert np.array_equal(Conformed(model).generate(case, 0)[:, 0, 0, 0], 2 * np.arange(case.frames))
    model.generate = lambda c, s: "no video"
    assert Conformed(model).generate(case, 0) == "no video"  # which checked_video refuses
