"""A user's clip becomes a case: what was marked is followed, what was lost is said, and suites grow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from flashbench import annotate
from flashbench.cases.folder import read_suite
from flashbench.cases.scenes import sprites_suite
from flashbench.cases.schema import Case, Suite
from flashbench.errors import InputError
from flashbench.files.png import write_png
from flashbench.files.video import write_video
from flashbench.tracking.lk import LKTracker


@pytest.fixture(scope="module")
def suite() -> Suite:
    return sprites_suite(2, 96, 21)


@pytest.fixture(scope="module")
def annotated(suite: Suite) -> tuple[Case, Case, np.ndarray]:
    """A case with its truth, the one that was annotated out of its video and frame-0 masks, and the video."""
    truth, video = suite.load_case("2-0000"), suite.load_reference("2-0000")
    marked = [annotate.Marked(o.name, o.masks[0]) for o in truth.objects]  # type: ignore[index]
    case = annotate.case_of("mine", truth.prompt, video, 24.0, marked, LKTracker(), "masks")
    return truth, case, video


def test_objects_are_followed(annotated: tuple[Case, Case, np.ndarray]) -> None:
    truth, case, video = annotated
    assert [o.name for o in case.objects] == [o.name for o in truth.objects] and case.frames == 21
    for ours, theirs in zip(case.objects, truth.objects, strict=True):
        both = ours.visible & theirs.visible
        assert both.mean() > 0.8 and ours.visible[0]
        assert np.median(np.linalg.norm(ours.path - theirs.path, axis=1)[both]) < 2
        assert ours.masks is not None and np.array_equal(ours.masks[0], theirs.masks[0])  # type: ignore[index]
    assert case.meta["annotated_by"] == "lk" and set(case.meta["found_share"]) == {o.name for o in case.objects}


def test_the_sheet_shows_it(annotated: tuple[Case, Case, np.ndarray], tmp_path: Path) -> None:
    _, case, video = annotated
    annotate.sheet(case, video, tmp_path / "sheet.png")
    from flashbench.files.png import read_png

    assert read_png(tmp_path / "sheet.png").shape == (2 * 96 * 3, 4 * 96 * 3, 3)


def test_a_suite_is_made_and_grows(annotated: tuple[Case, Case, np.ndarray], tmp_path: Path) -> None:
    import dataclasses

    _, case, video = annotated
    annotate.add_case(case, video, tmp_path / "own", "own")
    annotate.add_case(dataclasses.replace(case, id="second"), video, tmp_path / "own", "other name")
    held = read_suite(tmp_path / "own")
    assert held.name == "own" and held.case_ids == ("mine", "second") and held.condition == "masks"
    assert np.array_equal(held.load_reference("second"), video)
    with pytest.raises(InputError, match="has a case 'mine' already"):
        annotate.add_case(case, video, tmp_path / "own", "own")
    with pytest.raises(InputError, match="holds 21 frames of 96x96 px at 24 a second, condition masks"):
        annotate.add_case(dataclasses.replace(case, id="third", condition="boxes"), video, tmp_path / "own", "own")


def test_what_is_lost_is_said(annotated: tuple[Case, Case, np.ndarray]) -> None:
    import dataclasses

    _, case, _ = annotated
    half = np.arange(21) < 10
    lost = dataclasses.replace(case.objects[0], visible=half)
    spoilt = dataclasses.replace(case, objects=(lost, *case.objects[1:]))
    assert annotate.poorly_found(spoilt)[0].startswith(f"{lost.name}: found on 48% of the frames")


def test_marks(suite: Suite, tmp_path: Path) -> None:
    case = suite.load_case("1-0000")
    frame, box = case.first_frame, case.objects[0].boxes[0]
    (tmp_path / "boxes.json").write_text(json.dumps([{"name": "ball", "box": box.tolist()}]))
    (ball,) = annotate.from_boxes(tmp_path / "boxes.json", frame)
    truth = case.objects[0].masks[0]  # type: ignore[index]
    assert ball.name == "ball" and ball.mask is not None and (ball.mask & truth).sum() / (ball.mask | truth).sum() > 0.7
    (tmp_path / "masks").mkdir()
    write_png(tmp_path / "masks" / "red_ball.png", np.repeat(truth[..., None], 3, axis=2).astype(np.uint8) * 255)
    (marked,) = annotate.from_masks(tmp_path / "masks", frame)
    assert marked.name == "red ball" and np.array_equal(marked.mask, truth)


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ("[]", "holds no objects"),
        ('[{"name": "x"}]', "entry 0 cannot be read"),
        ('[{"name": "x", "box": [1, 2]}]', "entry 0 cannot be read"),
        ('{"name": "x"}', "holds no objects"),
        ('[{"name": "", "box": [1, 2, 9, 9]}]', "entry 0 has no name, or no finite numbers"),
        ('[{"name": "x", "box": [1, 2, 9, NaN]}]', "entry 0 has no name, or no finite numbers"),
        ('[{"name": "x", "box": [9, 2, 1, 9]}]', "give a box inside frame 0"),
        ('[{"name": "x", "box": [900, 2, 910, 9]}]', "give a box inside frame 0"),
    ],
)
def test_bad_boxes(suite: Suite, tmp_path: Path, held: str, says: str) -> None:
    (tmp_path / "boxes.json").write_text(held)
    with pytest.raises(InputError, match=says):
        annotate.from_boxes(tmp_path / "boxes.json", suite.load_case("1-0000").first_frame)


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ('[{"name": "x", "box": [1, 2, 9, 9]}]', "entry 0 cannot be read .'points'."),
        ('[{"name": "x", "points": [1, 2, 3]}]', "entry 0 cannot be read"),
        ('[{"name": "x", "points": []}]', "give points inside frame 0"),
        ('[{"name": "x", "points": [[5, 5], [96, 5]]}]', "give points inside frame 0"),
    ],
)
def test_bad_points(suite: Suite, tmp_path: Path, held: str, says: str) -> None:
    (tmp_path / "points.json").write_text(held)
    with pytest.raises(InputError, match=says):
        annotate.from_points(tmp_path / "points.json", suite.load_case("1-0000").first_frame)


def test_points_are_followed_and_nothing_more_is_said(suite: Suite, tmp_path: Path) -> None:
    truth, video = suite.load_case("1-0000"), suite.load_reference("1-0000")
    (theirs,) = truth.objects
    assert theirs.points is not None and theirs.point_visible is not None
    on = theirs.points[theirs.point_visible[:, 0], 0]
    (tmp_path / "points.json").write_text(json.dumps([{"name": "ball", "points": on.tolist()}]))
    marked = annotate.from_points(tmp_path / "points.json", video[0])
    case = annotate.case_of("mine", truth.prompt, video, 24.0, marked, LKTracker(), "boxes")
    (ours,) = case.objects
    assert ours.bare and ours.points is not None and np.array_equal(ours.points[:, 0], on)
    assert ours.visible.mean() > 0.8 and np.median(np.linalg.norm(ours.path - theirs.path, axis=1)[ours.visible]) < 5
    annotate.add_case(case, video, tmp_path / "own", "own")
    assert read_suite(tmp_path / "own").load_case("mine").objects[0].bare
    annotate.sheet(case, video, tmp_path / "sheet.png")
    with pytest.raises(InputError, match="masks are asked, object 'ball' has points alone; take boxes"):
        annotate.case_of("mine", truth.prompt, video, 24.0, marked, LKTracker(), "masks")


def test_bad_masks(suite: Suite, tmp_path: Path) -> None:
    frame = suite.load_case("1-0000").first_frame
    with pytest.raises(InputError, match="holds no PNG"):
        annotate.from_masks(tmp_path, frame)
    write_png(tmp_path / "a.png", np.zeros((96, 96, 3), np.uint8))
    with pytest.raises(InputError, match="is black all over"):
        annotate.from_masks(tmp_path, frame)
    write_png(tmp_path / "a.png", np.full((8, 8, 3), 255, np.uint8))
    with pytest.raises(InputError, match="is 8x8 px; paint the object white on 96x96 px"):
        annotate.from_masks(tmp_path, frame)


def test_loading_a_clip(suite: Suite, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mkv", suite.load_reference("1-0000"), 24.0)
    video, fps = annotate.load_clip(tmp_path / "clip.mkv", 9, (32, 48))
    assert video.shape == (9, 32, 48, 3) and fps == 24
    with pytest.raises(InputError, match="has 21 frames, 22 are asked"):
        annotate.load_clip(tmp_path / "clip.mkv", 22, None)
