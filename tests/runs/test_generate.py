"""Generating: what is kept, what is skipped, what fails and what stops."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from flashbench.errors import InputError
from flashbench.files.video import read_video
from flashbench.runs.generate import generate
from flashbench.runs.layout import case_seed


def test_every_case_has_a_lossless_video_and_its_time(kit: ModuleType, tmp_path: Path) -> None:
    suite, model = kit.tiny_suite(), kit.Painter(shade=7)
    run, _ = kit.new_run(tmp_path, model, suite)
    steps: list[tuple[str, int, int]] = []
    assert generate(run, model, suite, 0, lambda *step: steps.append(step)) == []
    for case_id in suite.case_ids:
        frames = suite.load_case(case_id).first_frame - 7
        assert np.array_equal(read_video(run.video(case_id)), np.repeat(frames[None], kit.FRAMES, axis=0))
        assert json.loads(run.timing(case_id).read_text())["seconds"] > 0
    assert steps[0] == ("generate", 0, 4)
    assert steps[-1] == ("generate", 4, 4)


def test_models_see_what_is_asked_and_a_seed_of_the_case(kit: ModuleType, tmp_path: Path) -> None:
    suite, seen = kit.tiny_suite(), []

    class Curious(kit.Painter):  # type: ignore[name-defined,misc]
        def generate(self, case, seed):  # type: ignore[no-untyped-def]
            seen.append(case)
            return super().generate(case, seed)

    model = Curious()
    run, _ = kit.new_run(tmp_path, model, suite, 5)
    generate(run, model, suite, 5)
    assert all(o.centres is None and o.points is None and len(o.masks) == 1 for case in seen for o in case.objects)
    assert model.asked == [(i, case_seed("tiny", i, 5)) for i in suite.case_ids]


def test_what_exists_is_not_made_again(kit: ModuleType, tmp_path: Path) -> None:
    suite, model = kit.tiny_suite(), kit.Painter()
    run, _ = kit.new_run(tmp_path, model, suite)
    generate(run, model, suite, 0)
    generate(run, model, suite, 0)
    assert len(model.asked) == 4


def test_a_lost_video_is_made_again_and_keeps_its_first_time(kit: ModuleType, tmp_path: Path) -> None:
    suite, model = kit.tiny_suite(), kit.Painter()
    run, _ = kit.new_run(tmp_path, model, suite)
    generate(run, model, suite, 0)
    first = json.loads(run.timing("c2").read_text())
    run.video("c2").unlink()
    generate(run, model, suite, 0)
    assert json.loads(run.timing("c2").read_text()) == first
    assert run.video("c2").is_file()


def test_a_damaged_timing_is_no_failure_of_the_model(kit: ModuleType, tmp_path: Path) -> None:
    suite, model = kit.tiny_suite(), kit.Painter()
    run, _ = kit.new_run(tmp_path, model, suite)
    generate(run, model, suite, 0)
    run.video("c2").unlink()
    run.timing("c2").write_text("[]")
    with pytest.raises(InputError, match=r"timings/c2\.json: field seconds is missing"):
        generate(run, model, suite, 0)
    assert not run.failure("c2").exists()


def test_a_failed_case_is_told_and_tried_again(kit: ModuleType, tmp_path: Path) -> None:
    suite, model = kit.tiny_suite(), kit.Painter(breaks=("c1",))
    run, _ = kit.new_run(tmp_path, model, suite)
    assert generate(run, model, suite, 0) == ["c1"]
    told = json.loads(run.failure("c1").read_text())
    assert told["error"] == "RuntimeError: no answer"
    assert "in generate" in told["traceback"]
    assert not run.answered("c1")
    model.breaks = ()
    assert generate(run, model, suite, 0) == []
    assert run.answered("c1")
    assert not run.failure("c1").exists()
    assert [i for i, _ in model.asked] == ["c0", "c1", "c2", "c3", "c1"]


@pytest.mark.parametrize("wrong", [np.zeros((3, 32, 32, 3), np.uint8), np.zeros((24, 32, 32, 3)), None])
def test_an_answer_of_another_kind_stops_with_one_line(kit: ModuleType, tmp_path: Path, wrong: object) -> None:
    class Wrong(kit.Painter):  # type: ignore[name-defined,misc]
        def generate(self, case, seed):  # type: ignore[no-untyped-def]
            return wrong

    run, _ = kit.new_run(tmp_path, Wrong(), kit.tiny_suite())
    with pytest.raises(InputError, match="painter.*c0.*length and size"):
        generate(run, Wrong(), kit.tiny_suite(), 0)
    assert not (run.root / "videos").exists()


def test_bad_input_and_a_full_disk_are_no_failures_of_the_model(kit: ModuleType, tmp_path: Path) -> None:
    for error in (InputError("clip.mp4", "is empty", "give another"), OSError(errno.ENOSPC, "full")):

        class Stops(kit.Painter):  # type: ignore[name-defined,misc]
            error: Exception

            def generate(self, case, seed):  # type: ignore[no-untyped-def]
                if case.id == "c1":
                    raise self.error
                return super().generate(case, seed)

        model = Stops()
        model.error = error
        run, _ = kit.new_run(tmp_path / type(error).__name__, model, kit.tiny_suite())
        with pytest.raises(type(error)):
            generate(run, model, kit.tiny_suite(), 0)
        assert run.answered("c0")
        assert not run.failure("c1").exists()
