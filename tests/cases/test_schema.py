"""Cases and suites refuse what is not a question, in one line that names the field."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from flashbench.cases.content import reference_sha256, suite_sha256
from flashbench.cases.schema import Case, ObjectTrack, Suite, stratum_of
from flashbench.errors import InputError

T, H, W = 5, 24, 32


def track(name: str = "red apple", **changes: Any) -> ObjectTrack:
    """An apple of 8x6 px that moves by one pixel a frame."""
    start = np.array([3.5, 4.5, 11.5, 10.5], np.float32)
    boxes = start + np.arange(T, dtype=np.float32)[:, None] * np.array([1, 0, 1, 0], np.float32)
    masks = np.zeros((T, H, W), np.bool_)
    for t in range(T):
        masks[t, 5:11, 4 + t : 12 + t] = True
    points = np.array([[6, 7], [9, 8]], np.float32)[:, None] + np.arange(T)[None, :, None] * np.array([1, 0])
    fields: dict[str, Any] = {
        "name": name,
        "boxes": boxes,
        "visible": np.ones(T, np.bool_),
        "masks": masks,
        "centres": (boxes[:, :2] + boxes[:, 2:]) / 2,
        "points": points.astype(np.float32),
        "point_visible": np.ones((2, T), np.bool_),
    }
    return ObjectTrack(**{**fields, **changes})


def case(**changes: Any) -> Case:
    frame = np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)
    fields: dict[str, Any] = {"id": "a-1", "prompt": "A red apple rolls.", "first_frame": frame, "objects": (track(),)}
    return Case(**{**fields, **changes})


def spoilt(array: np.ndarray[Any, Any] | None, at: Any, value: Any) -> np.ndarray[Any, Any]:
    assert array is not None
    out = array.copy()
    out[at] = value
    return out


GOOD = track()
nan, inf = float("nan"), float("inf")


@pytest.mark.parametrize(
    "changes, line",
    [
        ({"name": " "}, "object: name is empty; give the noun"),
        ({"boxes": spoilt(GOOD.boxes, (2, 1), nan)}, "object 'red apple': boxes: NaN or infinity; give finite"),
        ({"boxes": spoilt(GOOD.boxes, (2, 3), inf)}, "boxes: NaN or infinity"),
        ({"boxes": GOOD.boxes[:, [2, 1, 0, 3]]}, "boxes: one has no area; give x1 > x0"),
        ({"boxes": spoilt(GOOD.boxes, (1, 2), GOOD.boxes[1, 0])}, "boxes: one has no area"),
        ({"boxes": GOOD.boxes.astype(np.float64)}, r"boxes: float64 \[5, 4\] instead of float32 \[5, 4\]"),
        ({"boxes": GOOD.boxes[:, :3]}, r"boxes: float32 \[5, 3\]"),
        ({"boxes": GOOD.boxes[:0]}, r"boxes: float32 \[0, 4\]"),
        ({"visible": np.ones(T - 1, np.bool_)}, r"visible: bool \[4\] instead of bool \[5\]"),
        ({"visible": np.ones(T, np.uint8)}, "visible: uint8"),
        ({"masks": np.ones((3, H, W), np.bool_)}, r"masks: \[3, 24, 32\]; give \[5, H, W\], or \[1, H, W\]"),
        ({"masks": np.ones((T, H, W), np.uint8)}, "masks: uint8"),
        ({"centres": np.full((T, 2), nan, np.float32)}, "centres: NaN"),
        ({"centres": np.zeros((T, 3), np.float32)}, "centres: float32"),
        ({"points": spoilt(GOOD.points, (0, 3, 1), nan)}, "points: NaN"),
        ({"points": np.zeros((2, T - 1, 2), np.float32)}, "points: float32"),
        ({"points": None}, "points or point_visible is missing; give both or none"),
        ({"point_visible": np.ones((3, T), np.bool_)}, "point_visible: bool"),
    ],
)
def test_bad_tracks(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        track(**changes)


@pytest.mark.parametrize(
    "changes, line",
    [
        ({"objects": ()}, "case 'a-1': has zero objects; give at least one"),
        ({"id": ""}, "id is not a plain file name"),
        ({"id": "../a"}, "case '../a': id is not a plain file name; use letters"),
        ({"id": ".a"}, "id is not a plain file name"),
        ({"id": "é"}, "id is not a plain file name"),
        ({"prompt": "  "}, "prompt is empty"),
        ({"first_frame": np.zeros((H, W), np.uint8)}, r"first_frame is uint8 \(24, 32\); give uint8 \[H, W, 3\]"),
        ({"first_frame": np.zeros((H, W, 3))}, "first_frame is float64"),
        ({"first_frame": np.zeros((0, W, 3), np.uint8)}, "first_frame is uint8"),
        ({"first_frame": np.zeros((H, W + 1, 3), np.uint8)}, "masks of 'red apple' do not fit the first frame"),
        ({"condition": "words"}, "condition is 'words'; use masks or boxes"),
        ({"fps": 0.0}, "fps is 0.0"),
        ({"fps": nan}, "fps is nan"),
        ({"meta": {"a": nan}}, "meta is not JSON"),
        ({"meta": {1: "a"}}, "meta is not JSON"),
        ({"meta": {"a": (1, 2)}}, "meta is not JSON"),
        ({"meta": {"a": object()}}, "meta is not JSON"),
        (
            {"objects": (track(masks=None, boxes=GOOD.boxes + np.float32(100)),)},
            "boxes of 'red apple': frame 0 lies outside the frame while visible; give pixels of 32x24",
        ),
        (
            {"objects": (track(), track("pear", boxes=spoilt(GOOD.boxes, 3, [-9, -9, -2, -2])))},
            "boxes of 'pear': frame 3 lies outside",
        ),
    ],
)
def test_bad_cases(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line) as error:
        case(**changes)
    assert "\n" not in str(error.value)


def test_objects_of_unequal_length() -> None:
    short = ObjectTrack("pear", GOOD.boxes[:3], GOOD.visible[:3])
    with pytest.raises(InputError, match="object 'pear' has 3 frames, the first object has 5"):
        case(objects=(track(), short))


def test_an_invisible_object_may_be_outside() -> None:
    boxes, visible = GOOD.boxes.copy(), GOOD.visible.copy()
    boxes[3], visible[3] = (100, 100, 110, 110), False
    assert case(objects=(track(boxes=boxes, visible=visible),)).frames == T


@pytest.mark.parametrize("n, name", [(1, "1"), (5, "5"), (6, "6+"), (9, "6+")])
def test_strata(n: int, name: str) -> None:
    assert stratum_of(n) == name
    assert case(objects=tuple(track(f"apple {i}") for i in range(n))).stratum == name


def test_what_a_model_is_asked() -> None:
    asked = case(meta={"weather": "snow"}).asked()
    (o,) = asked.objects
    assert o.masks is not None and len(o.masks) == 1
    assert (o.points, o.point_visible, o.centres, asked.meta) == (None, None, None, {})
    assert np.array_equal(o.path, GOOD.path)
    (o,) = case(condition="masks").asked().objects
    assert o.masks is not None and len(o.masks) == T
    (o,) = case(objects=(track(masks=None),)).asked().objects
    assert o.masks is None


def test_the_path_is_the_centre_where_known() -> None:
    assert np.array_equal(track(centres=GOOD.boxes[:, :2]).path, GOOD.boxes[:, :2])
    assert np.array_equal(track(centres=None).path, (GOOD.boxes[:, :2] + GOOD.boxes[:, 2:]) / 2)
    assert track(centres=None).path.dtype == np.float32


REFERENCE = np.zeros((T, H, W, 3), np.uint8)


def suite(**changes: Any) -> Suite:
    cases = {f"a-{i}": case(id=f"a-{i}") for i in range(3)}
    fields: dict[str, Any] = {
        "name": "toy",
        "seed": 0,
        "size": (H, W),
        "frames": T,
        "fps": 24.0,
        "condition": "boxes",
        "case_ids": tuple(cases),
        "known_sha256": "",
        "load_case": cases.__getitem__,
        "load_reference": lambda case_id: REFERENCE,
    }
    return Suite(**{**fields, **changes})


def test_content_hash_is_computed_on_first_use() -> None:
    loaded: list[str] = []

    def load(case_id: str) -> Case:
        loaded.append(case_id)
        return case(id=case_id)

    s = suite(load_case=load)
    assert loaded == []
    expected = suite_sha256([case(id=f"a-{i}").sha256(REFERENCE) for i in range(3)])
    assert s.content_sha256 == s.content_sha256 == expected
    assert loaded == list(s.case_ids)
    assert list(s.case_hashes) == list(s.case_ids)
    assert suite(known_sha256="f" * 64).content_sha256 == "f" * 64
    assert suite(hash_case=lambda case_id: case_id).content_sha256 == suite_sha256(s.case_ids)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": " "}, "name is empty"),
        ({"size": (0, 4)}, r"size is \(0, 4\)"),
        ({"size": [4, 4]}, r"size is \[4, 4\]"),
        ({"size": (np.int64(4), 4)}, "size is .*whole numbers of px"),
        ({"frames": 0}, "frames is 0"),
        ({"frames": 3.0}, "frames is 3.0"),
        ({"fps": 0.0}, "fps is 0.0"),
        ({"fps": float("nan")}, "fps is nan"),
        ({"fps": "24"}, "fps is '24'"),
        ({"condition": "points"}, "condition is 'points'"),
        ({"pictures": "drawings"}, "pictures is 'drawings'"),
        ({"case_ids": ()}, "has no cases"),
        ({"case_ids": ("a", "a")}, "two cases share an id"),
    ],
)
def test_bad_suites(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        suite(**changes)


def test_every_field_is_in_the_hash() -> None:
    base = case()
    frame = base.first_frame.copy()
    frame[0, 0, 0] ^= 1
    (o,) = base.objects
    assert o.masks is not None
    others = [
        dataclasses.replace(base, **change)
        for change in (
            {"id": "b"},
            {"prompt": "A red apple."},
            {"first_frame": frame},
            {"fps": 25.0},
            {"condition": "masks"},
            {"seed": 1},
            {"meta": {"a": 1}},
            {"objects": (o, o)},
            *(
                {"objects": (dataclasses.replace(o, **field),)}
                for field in (
                    {"name": "pear"},
                    {"boxes": spoilt(o.boxes, (1, 0), 4)},
                    {"visible": spoilt(o.visible, 1, False)},
                    {"masks": spoilt(o.masks, (1, 0, 0), True)},
                    {"masks": o.masks[:1]},
                    {"masks": None},
                    {"centres": spoilt(o.centres, (1, 0), 4)},
                    {"centres": None},
                    {"points": spoilt(o.points, (1, 1, 0), 4)},
                    {"point_visible": spoilt(o.point_visible, (1, 1), False)},
                    {"points": None, "point_visible": None},
                )
            ),
        )
    ]
    hashes = [c.sha256(REFERENCE) for c in (base, *others)]
    hashes.append(base.sha256(REFERENCE + np.uint8(1)))
    assert len(set(hashes)) == len(hashes) == 21
    assert base.sha256(reference_sha256(REFERENCE)) == hashes[0] == case().sha256(REFERENCE)


def test_the_order_of_cases_is_in_the_hash() -> None:
    assert suite_sha256(["a", "b"]) != suite_sha256(["b", "a"])
