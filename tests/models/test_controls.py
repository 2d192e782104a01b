"""Controls do what their names say: cut-outs hit their boxes, shuffled ones follow somebody else's."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from flashbench.cases.case_files import boxes_of
from flashbench.cases.schema import Case, ObjectTrack, Suite
from flashbench.errors import InputError
from flashbench.models.controls import Cutout, Reference, Shuffled, Static

T, H, W = 6, 48, 64


def box_iou(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    sides = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None)
    both = sides.prod(axis=1)
    return np.asarray(both / ((a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - both))


def square_case(boxes: npt.NDArray[np.float32], visible: npt.NDArray[np.bool_] | None = None) -> Case:
    """A white object on black, filling its frame-0 box of whole pixels."""
    x0, y0, x1, y1 = (boxes[0] + 0.5).astype(int)
    frame = np.zeros((H, W, 3), np.uint8)
    frame[y0:y1, x0:x1] = 255
    seen = np.ones(len(boxes), np.bool_) if visible is None else visible
    track = ObjectTrack("white square", boxes, seen, frame[None, ..., 0] > 0)
    return Case("x", "A white square.", frame, (track,))


def toy(case: Case) -> Suite:
    other = dataclasses.replace(case, id="y")
    cases = {"x": case, "y": other}
    return Suite("toy", 0, case.size, case.frames, 24.0, "boxes", ("x", "y"), "", cases.__getitem__, lambda i: None)  # type: ignore[arg-type, return-value]


def straight(dx: float, dy: float, grow: float = 1.0, t: int = T) -> npt.NDArray[np.float32]:
    """A box of 16x12 px from (8, 10) that moves and grows about its centre."""
    s = np.arange(t)[:, None] / (t - 1)
    centre = np.array([15.5, 15.5]) + s * np.array([dx, dy])
    half = np.array([8, 6]) * grow**s
    return np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)


@pytest.mark.parametrize("dx, dy, grow", [(20, 10, 1), (15.3, 7.7, 1), (10, 5, 1.6), (10.4, 5.1, 0.5), (0, 0, 1)])
def test_cutouts_hit_their_boxes(dx: float, dy: float, grow: float) -> None:
    boxes = straight(dx, dy, grow)
    case = square_case(boxes)
    video = Cutout(toy(case)).generate(case.asked(), 0)
    masks = video[..., 0] >= 128
    assert box_iou(boxes_of(masks), boxes).min() > 0.85
    # Subpixel: the antialiased mass lies where the box does, and is as large.
    mass = video[1:, ..., 0] / 255.0
    centre = (
        np.stack([(mass * i).sum((1, 2)) for i in (np.arange(W), np.arange(H)[:, None])], 1) / mass.sum((1, 2))[:, None]
    )
    assert np.abs(centre - case.objects[0].path[1:]).max() < 0.04
    assert mass.sum((1, 2)) == pytest.approx((boxes[1:, 2:] - boxes[1:, :2]).prod(axis=1), rel=0.03)


def test_cutouts_of_the_world_hit_their_boxes(suite: Suite) -> None:
    """Alone on its frame, each object of the first stratum comes out where it was asked."""
    for case_id in suite.case_ids[::6]:
        case = suite.load_case(case_id).asked()
        flat = case.first_frame.copy()
        mask = case.objects[0].masks[0]  # type: ignore[index]
        flat[:] = 0
        flat[mask] = 255
        video = Cutout(suite).generate(dataclasses.replace(case, first_frame=flat), 0)
        inside = (case.objects[0].boxes[:, :2] > -0.5).all(1) & (case.objects[0].boxes[:, 2:] < 47.5).all(1)
        found = video[..., 0] >= 128
        keep = inside & case.objects[0].visible
        assert np.median(box_iou(boxes_of(found)[keep], case.objects[0].boxes[keep])) > 0.8


def test_whole_pixels_move_exactly_and_the_hole_is_filled() -> None:
    boxes = straight(20, 10)
    boxes[1:] = boxes[:1] + np.array([24, 12, 24, 12], np.float32)
    case = square_case(boxes)
    video = Cutout(toy(case)).generate(case.asked(), 0)
    expected = np.zeros((H, W, 3), np.uint8)
    expected[10 + 12 : 22 + 12, 8 + 24 : 24 + 24] = 255
    assert all(np.array_equal(frame, expected) for frame in video[1:])


def test_invisible_cutouts_are_not_drawn_and_those_outside_do_not_fail() -> None:
    boxes = straight(20, 10)
    boxes[3:] += 500
    visible = np.arange(T) < 2
    case = square_case(boxes, visible)
    video = Cutout(toy(case)).generate(case.asked(), 0)
    assert video[1].max() == 255 and video[2:].max() == 0


def test_later_objects_are_drawn_over_earlier_ones() -> None:
    frame = np.zeros((H, W, 3), np.uint8)
    boxes = np.tile(np.array([3.5, 3.5, 13.5, 13.5], np.float32), (T, 1))
    tracks = []
    for i, left in enumerate((4, 34)):
        frame[4:14, left : left + 10, i] = 255
        mask = np.zeros((1, H, W), np.bool_)
        mask[0, 4:14, left : left + 10] = True
        own = boxes.copy()
        own[0, [0, 2]] += left - 4
        own[1:, [0, 2]] += 10
        tracks.append(ObjectTrack(f"square {i}", own, np.ones(T, np.bool_), mask))
    case = Case("x", "Two squares.", frame, tuple(tracks))
    video = Cutout(toy(case)).generate(case, 0)
    assert video[1, 8, 18].tolist() == [0, 255, 0]


def test_cutout_without_masks_cuts_along_the_box() -> None:
    case = square_case(straight(20, 10))
    bare = dataclasses.replace(case, objects=(dataclasses.replace(case.objects[0], masks=None),))
    assert np.array_equal(Cutout(toy(case)).generate(bare, 0), Cutout(toy(case)).generate(case, 0))


def test_static_and_reference(suite: Suite) -> None:
    case = suite.load_case("3-0001")
    assert np.array_equal(Reference(suite).generate(case.asked(), 5), suite.load_reference(case.id))
    video = Static(suite).generate(case.asked(), 5)
    assert np.array_equal(video, np.broadcast_to(case.first_frame, video.shape))


def test_models_need_no_truth(suite: Suite) -> None:
    """Cutout and static answer the same whatever the truth beyond the question is."""
    full = dataclasses.replace(suite.load_case("2-0000"), condition="boxes")
    case = full.asked()
    assert all(o.masks is not None and len(o.masks) == 1 and o.points is None for o in case.objects)
    assert np.array_equal(Cutout(suite).generate(case, 0), Cutout(suite).generate(full, 0))


def test_shuffled_follows_another_case_of_the_stratum(suite: Suite) -> None:
    model = Shuffled(suite)
    donors = {i: model.donor(suite.load_case(i)) for i in suite.case_ids}
    assert all(i != j and i[0] == j[0] for i, j in donors.items())


def test_shuffled_takes_another_stratum_if_it_must(suite: Suite) -> None:
    few = dataclasses.replace(suite, case_ids=suite.case_ids[:3])
    model = Shuffled(few)
    assert [model.donor(few.load_case(i)) for i in few.case_ids] == ["2-0000", "3-0000", "1-0000"]
    case = few.load_case("3-0000")
    assert model.generate(case.asked(), 0).shape == (13, 48, 48, 3)
    one = dataclasses.replace(suite, case_ids=suite.case_ids[:1])
    with pytest.raises(InputError, match="model 'shuffled': has no other case to take paths from; use at least two"):
        Shuffled(one)


def test_shuffled_starts_in_its_own_place_and_takes_the_displacement() -> None:
    mine, other = square_case(straight(20, 10)), square_case(straight(-6, 18, 1.5))
    cases = {"x": mine, "y": dataclasses.replace(other, id="y")}
    suite = Suite("toy", 0, (H, W), T, 24.0, "boxes", ("x", "y"), "", cases.__getitem__, lambda i: None)  # type: ignore[arg-type, return-value]
    video = Shuffled(suite).generate(mine.asked(), 0)
    found = boxes_of(video[..., 0] >= 128)
    expected = mine.objects[0].boxes[:1] + np.tile(other.objects[0].path - other.objects[0].path[0], 2)
    assert box_iou(found, expected.astype(np.float32)).min() > 0.85


def test_shuffled_depends_on_the_suite(suite: Suite) -> None:
    few = dataclasses.replace(suite, case_ids=suite.case_ids[:6])
    assert Shuffled(suite).fingerprint != Shuffled(few).fingerprint
