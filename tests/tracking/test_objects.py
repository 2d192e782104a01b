"""Objects out of points or regions, on motions that are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from flashbench.cases.schema import Case, ObjectTrack
from flashbench.metrics.regions import mask_iou
from flashbench.tracking.objects import PointObjects, RegionObjects
from flashbench.tracking.protocol import ObjectTracker, PointTracks, RegionTracks, Video

T, H, W = 9, 60, 80
VIDEO = np.zeros((T, H, W, 3), np.uint8)


def disc(x: float, y: float, r: float = 9.0) -> npt.NDArray[np.bool_]:
    yy, xx = np.mgrid[:H, :W]
    return np.asarray((xx - x) ** 2 + (yy - y) ** 2 <= r**2)


def track(x: float, y: float, points: npt.NDArray[np.float32] | None = None) -> ObjectTrack:
    boxes = np.tile(np.array([x - 9.5, y - 9.5, x + 9.5, y + 9.5], np.float32), (T, 1))
    centres = np.tile(np.array([x, y], np.float32), (T, 1))
    there = None if points is None else np.ones((len(points), T), np.bool_)
    given = None if points is None else np.repeat(points[:, None], T, axis=1)
    return ObjectTrack("disc", boxes, np.ones(T, np.bool_), disc(x, y)[None], centres, given, there)


@pytest.fixture
def case() -> Case:
    own = np.array([[20, 30], [24, 28], [17, 33]], np.float32)
    return Case("two", "two discs.", VIDEO[0], (track(20, 30, own), track(60, 20)), condition="boxes")


class Moved:
    """A point tracker that knows the motion: p -> s R(a t) (p - c) + c + v t, for the points near c."""

    name, fingerprint = "moved", "moved-1"

    def __init__(self, centres: list[tuple[float, float]], speed: tuple[float, float] = (1.5, -0.5)) -> None:
        self.centres, self.speed, self.hide, self.spoil = np.array(centres), np.array(speed), None, 0.0

    def pose(self, t: int) -> npt.NDArray[np.float64]:
        a, s = 0.1 * t, 1 + 0.03 * t
        return s * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])

    def track_points(self, video: Video, queries: npt.NDArray[np.float32]) -> PointTracks:
        rng = np.random.default_rng(0)
        c = self.centres[((queries[:, None] - self.centres) ** 2).sum(-1).argmin(1)]
        points = np.stack([(queries - c) @ self.pose(t).T + c + self.speed * t for t in range(len(video))], axis=1)
        spoilt = rng.random(len(queries)) < self.spoil
        points[spoilt, 1:] += rng.normal(0, 30, (int(spoilt.sum()), len(video) - 1, 2))
        seen = np.ones(points.shape[:2], np.bool_)
        if self.hide is not None:
            seen = self.hide(queries, seen)
        return PointTracks(points.astype(np.float32), seen)


@pytest.mark.parametrize("spoil", [0.0, 0.25])
def test_points_carry_centre_mask_and_box(case: Case, spoil: float) -> None:
    tracker = Moved([(20, 30), (60, 20)])
    tracker.spoil = spoil
    found = PointObjects(tracker).track(VIDEO, case)
    assert isinstance(PointObjects(tracker), ObjectTracker) and found.visible.all()
    for i, (x, y) in enumerate([(20, 30), (60, 20)]):
        asked = np.array([x, y]) + tracker.speed * np.arange(T)[:, None]
        np.testing.assert_allclose(found.centres[i], asked, atol=0.05 if spoil == 0 else 0.5)
        for t in range(T):
            assert mask_iou(found.masks[i, t][None], disc(*asked[t], 9 * (1 + 0.03 * t))[None])[0] > 0.88
            half = 9.5 * (1 + 0.03 * t)
            box = [*(asked[t] - half), *(asked[t] + half)]
            np.testing.assert_allclose(found.boxes[i, t], box, atol=1.2)
    assert found.points.shape == (2, 3, T, 2)
    np.testing.assert_allclose(found.points[0, :, 0], case.objects[0].points[:, 0])


def test_what_lies_nearest_to_hidden_points_is_hidden(case: Case) -> None:
    tracker = Moved([(20, 30), (60, 20)], speed=(0.0, 0.0))

    def right_half(queries: npt.NDArray[np.float32], seen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        seen[(queries[:, 0] > 60), 4] = False
        return seen

    tracker.hide = right_half
    found = PointObjects(tracker).track(VIDEO, case)
    tracker.hide = None
    whole = PointObjects(tracker).track(VIDEO, case)
    share = found.masks[1, 4].sum() / whole.masks[1, 4].sum()
    assert 0.35 < share < 0.65 and found.visible[1, 4]
    np.testing.assert_allclose(found.centres[1, 4], whole.centres[1, 4], atol=0.1)
    np.testing.assert_allclose(found.boxes[1, 4], whole.boxes[1, 4], atol=0.2)
    assert np.array_equal(found.masks[0], whole.masks[0])


def test_an_object_without_seen_points_is_lost_where_it_was(case: Case) -> None:
    tracker = Moved([(20, 30), (60, 20)])

    def gone(queries: npt.NDArray[np.float32], seen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        seen[queries[:, 0] < 40, 5:] = False
        return seen

    tracker.hide = gone
    found = PointObjects(tracker).track(VIDEO, case)
    assert found.visible[0].tolist() == [True] * 5 + [False] * 4 and found.visible[1].all()
    assert not found.masks[0, 5:].any()
    np.testing.assert_allclose(found.centres[0, 5:], np.repeat(found.centres[0, 4:5], 4, axis=0))


class Regions:
    name, fingerprint = "regions", "regions-1"

    def __init__(self, masks: npt.NDArray[np.bool_]) -> None:
        self.masks = masks

    def track_regions(self, video: Video, masks: npt.NDArray[np.bool_]) -> RegionTracks:
        return RegionTracks(self.masks)


def test_regions_carry_centre_and_box(case: Case) -> None:
    masks = np.zeros((2, T, H, W), np.bool_)
    for t in range(T):
        masks[0, t], masks[1, t] = disc(20 + 2 * t, 30), disc(60, 20 + t)
    masks[1, 6:] = False
    found = RegionObjects(Regions(masks)).track(VIDEO, case)
    np.testing.assert_allclose(found.centres[0], [[20 + 2 * t, 30] for t in range(T)], atol=1e-4)
    np.testing.assert_allclose(found.boxes[0, 3], [26 - 9.5, 30 - 9.5, 26 + 9.5, 30 + 9.5])
    assert found.visible[1].tolist() == [True] * 6 + [False] * 3
    np.testing.assert_allclose(found.centres[1, 6:], np.repeat(found.centres[1, 5:6], 3, axis=0))
    np.testing.assert_allclose(found.points[0, 1, 4], [24 + 8, 28])
    assert found.point_visible[0].all() and not found.point_visible[1, :, 6:].any()


def test_frame_0_is_given(case: Case) -> None:
    found = RegionObjects(Regions(np.zeros((2, T, H, W), np.bool_))).track(VIDEO, case)
    assert (
        np.array_equal(found.masks[0, 0], disc(20, 30)) and found.visible[:, 0].all() and not found.visible[:, 1:].any()
    )


def test_fingerprints_name_the_tracker_and_the_way() -> None:
    moved, regions = Moved([(0, 0)]), Regions(np.zeros((1, 1, 2, 2), np.bool_))
    assert PointObjects(moved).fingerprint.startswith("moved-1+points")
    assert RegionObjects(regions).fingerprint.startswith("regions-1+regions")
