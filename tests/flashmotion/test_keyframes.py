"""What a person draws: boxes between keyframes, the object inside the first box, and one line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flashbench.cases.schema import Case
from flashbench.errors import InputError
from flashbench.files.png import write_png
from flashmotion.conditioning import maps_of
from flashmotion.keyframes import carried, case_from_keyframes

FRAMES = 21


@pytest.fixture
def image() -> np.ndarray:
    """Grey with a red disc of 8 px radius round (20, 24)."""
    ys, xs = np.mgrid[:48, :64]
    out = np.full((48, 64, 3), 120, np.uint8) + (xs[..., None] % 3).astype(np.uint8)
    out[(xs - 20) ** 2 + (ys - 24) ** 2 <= 64] = (230, 20, 20)
    return out


BALL = {"name": "ball", "keyframes": [{"frame": 0, "box": [10, 14, 30, 34]}, {"frame": 20, "box": [30, 14, 50, 34]}]}


def read(image: np.ndarray, tmp_path: Path, value: Any, raw: str | None = None) -> Case:
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(value) if raw is None else raw)
    return case_from_keyframes(image, "A ball rolls.", path, FRAMES)


def test_a_case(image: np.ndarray, tmp_path: Path) -> None:
    case = read(image, tmp_path, {"objects": [BALL]})
    assert case.frames == FRAMES and case.condition == "boxes" and case.prompt == "A ball rolls." and case.fps == 24
    assert np.array_equal(case.first_frame, image) and [o.name for o in case.objects] == ["ball"]
    ball = case.objects[0]
    assert ball.visible.all() and ball.boxes.dtype == np.float32
    assert np.allclose(ball.boxes[10], [20, 14, 40, 34]) and np.allclose(
        ball.boxes[[0, 20]], [[10, 14, 30, 34], [30, 14, 50, 34]]
    )
    assert maps_of(case).shape == (FRAMES, 48, 64, 3)


def test_the_last_box_holds_to_the_end(image: np.ndarray, tmp_path: Path) -> None:
    keys = [{"frame": 0, "box": [10, 14, 30, 34]}, {"frame": 4, "box": [18, 14, 38, 34]}]
    boxes = read(image, tmp_path, {"objects": [{"name": "ball", "keyframes": keys}]}).objects[0].boxes
    assert np.allclose(boxes[:5, 0], [10, 12, 14, 16, 18]) and np.allclose(boxes[4:], boxes[4])


def test_the_object_is_found_in_its_box(image: np.ndarray, tmp_path: Path) -> None:
    masks = read(image, tmp_path, {"objects": [BALL]}).objects[0].masks
    assert masks is not None and masks.shape == (1, 48, 64)
    red = image[..., 0] > 200
    assert (masks[0] & red).sum() / (masks[0] | red).sum() > 0.9


@pytest.mark.parametrize("box", [[10, 14, 12, 16], [40, 5, 60, 25]])
def test_where_nothing_is_found_the_box_itself_is_the_object(box: list[int], image: np.ndarray, tmp_path: Path) -> None:
    one = {"name": "thing", "keyframes": [{"frame": 0, "box": box}]}
    masks = read(image, tmp_path, {"objects": [one]}).objects[0].masks
    assert masks is not None
    ys, xs = np.nonzero(masks[0])
    assert masks[0].sum() >= 4 and xs.min() >= box[0] - 1 and xs.max() <= box[2] + 1
    assert ys.min() >= box[1] - 1 and ys.max() <= box[3] + 1


def test_a_mask_may_be_given(image: np.ndarray, tmp_path: Path) -> None:
    mask = np.zeros((48, 64, 3), np.uint8)
    mask[20:25, 12:20] = 255
    write_png(tmp_path / "ball.png", mask)
    masks = read(image, tmp_path, {"objects": [{**BALL, "mask": "ball.png"}]}).objects[0].masks
    assert masks is not None and np.array_equal(masks[0], mask[..., 0] > 0)


def test_leaving_the_frame_makes_it_invisible(image: np.ndarray, tmp_path: Path) -> None:
    keys = [{"frame": 0, "box": [10, 14, 30, 34]}, {"frame": 20, "box": [90, 14, 110, 34]}]
    ball = read(image, tmp_path, {"objects": [{"name": "ball", "keyframes": keys}]}).objects[0]
    assert np.array_equal(ball.visible, ball.boxes[:, 0] < 63.5) and not ball.visible[-1] and ball.visible[0]
    assert not maps_of(read(image, tmp_path, {"objects": [{"name": "ball", "keyframes": keys}]}))[-1].any()


def keyed(*keys: Any, **more: Any) -> dict[str, Any]:
    return {"objects": [{"name": "ball", "keyframes": list(keys), **more}]}


GOOD = {"frame": 0, "box": [10, 14, 30, 34]}
BAD: dict[str, tuple[Any, list[str]]] = {
    "a list": ([BALL], ["objects"]),
    "no objects": ({"things": []}, ["objects"]),
    "zero objects": ({"objects": []}, ["objects", "empty"]),
    "objects is a number": ({"objects": 3}, ["objects"]),
    "an object is a text": ({"objects": ["ball"]}, ["objects[0].name"]),
    "no name": ({"objects": [{"keyframes": [GOOD]}]}, ["objects[0].name"]),
    "an empty name": ({"objects": [{"name": " ", "keyframes": [GOOD]}]}, ["objects[0].name"]),
    "no keyframes": ({"objects": [{"name": "ball"}]}, ["objects[0].keyframes"]),
    "zero keyframes": (keyed(), ["objects[0].keyframes", "empty"]),
    "the second object": ({"objects": [BALL, {"name": "x", "keyframes": 3}]}, ["objects[1].keyframes"]),
    "a keyframe is a number": (keyed(7), ["objects[0].keyframes"]),
    "no box": (keyed({"frame": 0}), ["objects[0].keyframes", "box"]),
    "no frame": (keyed({"box": [1, 2, 3, 4]}), ["objects[0].keyframes", "frame"]),
    "three numbers": (keyed({"frame": 0, "box": [1, 2, 3]}), ["objects[0].keyframes"]),
    "uneven boxes": (keyed(GOOD, {"frame": 3, "box": [1, 2, 3]}), ["objects[0].keyframes"]),
    "a box of words": (keyed({"frame": 0, "box": ["a", "b", "c", "d"]}), ["objects[0].keyframes"]),
    "a box of nothing": (keyed({"frame": 0, "box": None}), ["objects[0].keyframes"]),
    "the first frame is not 0": (keyed({"frame": 1, "box": [10, 14, 30, 34]}), ["objects[0].keyframes", "frame 0"]),
    "frames fall": (keyed(GOOD, {"frame": 9, "box": [1, 2, 3, 4]}, {"frame": 5, "box": [1, 2, 3, 4]}), ["rising"]),
    "a frame twice": (keyed(GOOD, GOOD), ["objects[0].keyframes", "rising"]),
    "a frame past the end": (keyed(GOOD, {"frame": 21, "box": [1, 2, 3, 4]}), ["objects[0].keyframes", "20"]),
    "an infinite frame": (keyed(GOOD, {"frame": float("inf"), "box": [1, 2, 3, 4]}), ["objects[0].keyframes"]),
    "NaN": (keyed({"frame": 0, "box": [float("nan"), 2, 3, 4]}), ["objects[0].keyframes", "finite"]),
    "infinity": (keyed({"frame": 0, "box": [1, 2, 3, float("inf")]}), ["objects[0].keyframes", "finite"]),
    "a huge number": (keyed({"frame": 0, "box": [1, 2, 3, 10**400]}), ["objects[0].keyframes"]),
    "no area": (keyed({"frame": 0, "box": [30, 14, 10, 34]}), ["boxes.json", "objects[0].keyframes", "no area"]),
    "outside on frame 0": (keyed({"frame": 0, "box": [70, 14, 90, 34]}), ["objects[0]", "outside", "64x48"]),
    "a mask that is not there": (keyed(GOOD, mask="none.png"), ["none.png"]),
    "a mask that is a number": (keyed(GOOD, mask=5), ["objects[0].mask"]),
    "an empty mask": (keyed(GOOD, mask="empty.png"), ["objects[0].mask"]),
    "a mask of another size": (keyed(GOOD, mask="small.png"), ["objects[0].mask", "32x32", "64x48"]),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_line(what: str, image: np.ndarray, tmp_path: Path) -> None:
    write_png(tmp_path / "small.png", np.full((32, 32, 3), 255, np.uint8))
    write_png(tmp_path / "empty.png", np.zeros((48, 64, 3), np.uint8))
    value, words = BAD[what]
    with pytest.raises(InputError) as caught:
        read(image, tmp_path, value)
    text = str(caught.value)
    assert "\n" not in text and all(w in text for w in words), text


@pytest.mark.parametrize("raw", ["", "{", "\x00", '{"objects": [}'])
def test_no_json(raw: str, image: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="boxes.json: is not JSON"):
        read(image, tmp_path, None, raw)


def test_no_file(image: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing.json: is missing"):
        case_from_keyframes(image, "x", tmp_path / "nothing.json", FRAMES)


def test_a_mask_is_moved_and_stretched_with_its_box() -> None:
    """A square of 8 px goes 10 px to the right and becomes twice as wide; then it leaves the frame."""
    mask = np.zeros((32, 64), np.bool_)
    mask[10:18, 6:14] = True
    track = np.array(
        [[5.5, 9.5, 13.5, 17.5], [15.5, 9.5, 23.5, 17.5], [15.5, 9.5, 31.5, 17.5], [80, 10, 88, 18]], np.float32
    )
    out = carried(mask, track, np.array([True, True, True, False]))
    assert np.array_equal(out[0], mask) and np.array_equal(out[1], np.roll(mask, 10, axis=1))
    expected = np.zeros_like(mask)
    expected[10:18, 16:32] = True
    assert np.array_equal(out[2], expected) and not out[3].any()


def test_a_case_for_a_model_that_takes_masks(image: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({"objects": [BALL]}))
    case = case_from_keyframes(image, "A ball rolls.", path, FRAMES, condition="masks")
    masks = case.objects[0].masks
    assert case.condition == "masks" and masks is not None and masks.shape == (FRAMES, 48, 64)
    assert np.array_equal(masks[20], np.roll(masks[0], 20, axis=1))
    maps = maps_of(case)
    assert np.array_equal(maps.any(-1), masks) and len(np.unique(maps[masks], axis=0)) == 1
