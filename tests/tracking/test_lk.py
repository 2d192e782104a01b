from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from flashbench.cases.schema import Case, ObjectTrack
from flashbench.tracking.follow import Settings
from flashbench.tracking.lk import LKTracker
from flashbench.tracking.protocol import ObjectTracker

TRACK = LKTracker().track


def errors(found, case):
    """Distance of centres [N, T], px at the 256 scale."""
    truth = np.stack([o.path for o in case.objects])
    return np.linalg.norm(found.centres - truth, axis=-1) * 256 / max(case.size)


def overlap(a, b):
    return (a & b).sum((-2, -1)) / np.maximum((a | b).sum((-2, -1)), 1)


def straight(start, end, frames):
    return np.linspace(start, end, frames)


@pytest.fixture(scope="module")
def crossing(scene, thing):
    """One thing passes in front of another, larger things first."""
    back = thing(straight((10, 24), (38, 24), 41), 7.0, 1)
    front = thing(straight((38, 22), (10, 26), 41), 8.0, 2)
    return scene([back, front])


@pytest.mark.parametrize("case_id", ["1-0000", "3-0003", "4-0004"])
def test_finds_rendered_objects(suite, case_id):
    case = suite.load_case(case_id)
    found = TRACK(suite.load_reference(case_id), case)
    truth = np.stack([o.masks for o in case.objects])
    seen = np.stack([o.visible for o in case.objects])[:, 1:]
    away = errors(found, case)[:, 1:][seen]
    assert np.median(away) < 0.6
    assert (away > 8).mean() < 0.05  # a single pixel in view counts here; points below count only where they are seen
    assert (~found.visible[:, 1:][seen]).mean() < 0.03
    assert overlap(found.masks, truth)[:, 1:][seen].mean() > 0.8
    points, shown = np.stack([o.points for o in case.objects]), np.stack([o.point_visible for o in case.objects])
    off = np.linalg.norm(found.points - points, axis=-1)[..., 1:][shown[..., 1:]] * 4
    assert np.median(off) < 0.6 and (off > 8).mean() < 0.03
    assert (found.point_visible == shown)[..., 1:].mean() > 0.93


def test_shapes_and_types(suite):
    case, video = suite.load_case("2-0000"), suite.load_reference("2-0000")[:12]
    found = TRACK(video, case)
    assert isinstance(LKTracker(), ObjectTracker)
    shapes = [(2, 12, 2), (2, 12), (2, 12, 64, 64), (2, 12, 4), (2, 16, 12, 2), (2, 16, 12)]
    kinds = [np.float32, np.bool_, np.bool_, np.float32, np.float32, np.bool_]
    assert [a.shape for a in found] == shapes
    assert [a.dtype for a in found] == kinds
    assert (found.masks[:, 0] == np.stack([o.masks[0] for o in case.objects])).all()
    np.testing.assert_allclose(found.centres[:, 0], [o.path[0] for o in case.objects], atol=1e-5)
    np.testing.assert_allclose(found.points[:, :, 0], [o.points[:, 0] for o in case.objects], atol=1e-5)


def test_still_video_gives_no_motion(suite):
    case = suite.load_case("4-0004")
    found = TRACK(np.repeat(suite.load_reference("4-0004")[:1], 40, axis=0), case)
    np.testing.assert_allclose(found.centres, np.repeat(found.centres[:, :1], 40, axis=1), atol=1e-4)
    np.testing.assert_allclose(found.points, np.repeat(found.points[:, :, :1], 40, axis=2), atol=1e-4)
    assert found.visible.all()
    assert overlap(found.masks, found.masks[:, :1]).min() > 0.85
    asked = np.stack([o.path[-1] for o in case.objects])
    assert 4 * np.linalg.norm(found.centres[:, -1] - asked, axis=-1).mean() > 20  # and not where it was asked to be


@pytest.mark.parametrize("step", [(0.25, 0.0), (0.37, -0.21), (-0.6, 0.5), (1.7, 1.1)])
def test_known_shifts_below_a_pixel(scene, thing, step):
    frames = 11
    path = np.array([24.0, 24.0]) + np.outer(np.arange(frames) - 5, step)
    case, video = scene([thing(path, 7.0, 3)])
    away = errors(TRACK(video, case), case)
    assert away.max() < 0.6  # 0.11 px of the video


def test_known_turn_size_and_box(scene, thing):
    t = np.linspace(0, 1, 25)
    path = np.stack([18 + 10 * t, 26 - 6 * t], axis=1)
    case, video = scene([thing(path, 8.0, 4, turn=0.28 * np.sin(6 * t), size=1 + 0.4 * t)])
    found = TRACK(video, case)
    assert errors(found, case).max() < 1.0
    np.testing.assert_allclose(found.boxes[0], case.objects[0].boxes, atol=0.8)
    assert overlap(found.masks[0], case.objects[0].masks).min() > 0.85
    # Points turn with the object: 0.7 radii from its centre, in px of the video.
    start = found.points[0, :, 0] - path[0]
    turn, size = 0.28 * np.sin(6 * t[-1]), 1.4
    c, s = size * np.cos(turn), size * np.sin(turn)
    truth = start @ np.array([[c, s], [-s, c]]) + path[-1]
    assert np.median(np.linalg.norm(found.points[0, :, -1] - truth, axis=1)) < 0.3


def test_crossing_is_modal_and_recovers(crossing):
    case, video = crossing
    found = TRACK(video, case)
    away = errors(found, case)
    assert np.median(away) < 0.6
    assert away[:, -5:].max() < 1.5
    assert not (found.masks[0] & found.masks[1]).any()
    assert not found.visible[0, 20]  # wholly behind the other
    middle = [12, 14, 16, 24, 26, 28]
    truth = np.stack([o.masks for o in case.objects])
    assert overlap(found.masks, truth)[:, middle].mean() > 0.75


def test_leaves_and_comes_back_elsewhere(scene, thing):
    x = np.concatenate([np.linspace(30, 62, 14), np.full(6, 62.0), np.linspace(62, 26, 14)])
    y = np.concatenate([np.full(14, 34.0), np.linspace(34, 12, 6), np.full(14, 12.0)])
    case, video = scene([thing(np.stack([x, y], axis=1), 7.0, 5)])
    found = TRACK(video, case)
    assert not found.visible[0, 15:20].any() and not found.masks[0, 15:20].any()
    assert found.visible[0, -6:].all()
    assert errors(found, case)[0, -6:].max() < 1.5


def test_frame_to_frame_flow_alone_is_worse(crossing):
    """The known-bad tracker: Lucas-Kanade from frame to frame, median of the points, nothing held against frame 0."""
    case, video = crossing
    gray = [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in video]
    plain = np.zeros((2, len(video), 2))
    for n, o in enumerate(case.objects):
        at = np.argwhere(o.masks[0])[:, None, ::-1].astype(np.float32)
        for t, (a, b) in enumerate(zip(gray[:-1], gray[1:], strict=True), 1):
            after, ok, _ = cv2.calcOpticalFlowPyrLK(a, b, at, None, winSize=(9, 9), maxLevel=2)
            plain[n, t] = plain[n, t - 1] + np.median((after - at)[ok.ravel() > 0, 0], axis=0)
            at = after
        plain[n] += o.path[0]
    good = errors(TRACK(video, case), case)[:, -1]
    bad = np.linalg.norm(plain - np.stack([o.path for o in case.objects]), axis=-1)[:, -1] * 256 / 48
    assert good.max() < 1.5
    assert bad.max() > 10


def test_order_of_objects_does_not_matter(suite):
    case, video = suite.load_case("4-0004"), suite.load_reference("4-0004")[:70]
    order = [2, 0, 3, 1]
    mixed = dataclasses.replace(case, objects=tuple(case.objects[i] for i in order))
    straight_, other = TRACK(video, case), TRACK(video, mixed)
    np.testing.assert_allclose(straight_.centres[order], other.centres, atol=1e-2)
    assert (straight_.visible[order] == other.visible).mean() > 0.99
    assert (straight_.masks[order] == other.masks).mean() > 0.999


def test_is_told_nothing_after_frame_0(suite):
    case, video = suite.load_case("3-0003"), suite.load_reference("3-0003")[:60]

    def blind(o: ObjectTrack) -> ObjectTrack:
        points = np.repeat(o.points[:, :1], case.frames, axis=1)
        return dataclasses.replace(
            o,
            masks=o.masks[:1],
            boxes=np.repeat(o.boxes[:1], case.frames, axis=0),
            centres=np.repeat(o.centres[:1], case.frames, axis=0),
            points=points,
            point_visible=np.ones(points.shape[:2], bool),
        )

    told = TRACK(video, case)
    untold = TRACK(video, dataclasses.replace(case, objects=tuple(blind(o) for o in case.objects)))
    for a, b in zip(told, untold, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("spoil", ["blur", "dim", "noise"])
def test_worse_pictures_are_still_followed(suite, spoil):
    case, video = suite.load_case("2-0001"), suite.load_reference("2-0001").copy()
    rng = np.random.default_rng(0)
    for t in range(1, len(video)):
        if spoil == "blur":
            video[t] = cv2.GaussianBlur(video[t], (0, 0), 1.2)
        elif spoil == "dim":
            video[t] = video[t] * (1 - 0.4 * t / len(video))
        else:
            video[t] = np.clip(video[t] + rng.normal(0, 15, video[t].shape), 0, 255)
    found = TRACK(video, case)
    seen = np.stack([o.visible for o in case.objects])[:, 1:]
    away = errors(found, case)[:, 1:][seen]
    assert np.median(away) < 2.5
    assert (away > 8).mean() < 0.15
    assert found.visible[:, 1:][seen].mean() > 0.9


def test_an_object_that_vanishes_is_lost(scene, thing):
    case, video = scene(
        [thing(straight((12, 24), (36, 24), 31), 7.0, 6), thing(straight((36, 8), (12, 8), 31), 5.0, 7)]
    )
    _, empty = scene([thing(straight((36, 8), (12, 8), 31), 5.0, 7)])
    video = np.concatenate([video[:10], empty[10:]])
    found = TRACK(video, case)
    assert found.visible[0, :10].all() and not found.visible[0, 14:].any()
    assert not found.masks[0, 14:].any()
    assert found.visible[1].all() and errors(found, case)[1].max() < 1.5


def _one(mask, video, **more):
    y, x = np.nonzero(mask) if mask.any() else (np.array([5]), np.array([5]))
    box = np.array([x.min() - 0.5, y.min() - 0.5, x.max() + 0.5, y.max() + 0.5], np.float32)
    boxes = np.repeat(box[None], len(video), axis=0)
    track = ObjectTrack("thing", boxes, np.ones(len(video), bool), mask[None], **more)
    return Case("one", "A thing.", video[0], (track,))


@pytest.mark.parametrize("kind", ["pixel", "empty", "all", "line", "corner"])
@pytest.mark.parametrize("texture", [False, True])
def test_poor_masks_do_not_crash(kind, texture):
    rng = np.random.default_rng(0)
    video = np.full((6, 40, 56, 3), 90, np.uint8)
    if texture:
        video = rng.integers(0, 256, video.shape).astype(np.uint8)
    mask = np.zeros((40, 56), bool)
    where = {
        "pixel": np.s_[20, 20],
        "all": np.s_[:],
        "line": np.s_[20, 5:50],
        "corner": np.s_[:2, :2],
        "empty": np.s_[:0],
    }
    mask[where[kind]] = True
    found = TRACK(video, _one(mask, video))
    assert all(np.isfinite(a).all() for a in found)
    assert found.points.shape == (1, 16, 6, 2)
    if kind == "empty":
        assert not found.visible.any() and not np.asarray(found.masks).any()
    elif not texture:
        np.testing.assert_allclose(found.centres[0], np.repeat(found.centres[0, :1], 6, axis=0), atol=1e-3)


def test_one_frame_and_no_masks_and_large_frames(scene, thing):
    case, video = scene([thing(straight((20, 20), (28, 28), 5), 7.0, 8)])
    assert TRACK(video[:1], case).centres.shape == (1, 1, 2)
    boxed = dataclasses.replace(case, objects=(dataclasses.replace(case.objects[0], masks=None),))
    assert errors(TRACK(video, boxed), case).max() < 3
    case, video = scene([thing(straight((110, 150), (160, 120), 6), 40.0, 9)], side=288)
    found = TRACK(video, case)
    assert errors(found, case).max() < 0.6
    assert overlap(found.masks[0], case.objects[0].masks).min() > 0.95


def test_other_videos_are_refused(suite):
    case, video = suite.load_case("1-0000"), suite.load_reference("1-0000")[:4]
    for wrong in (video.astype(np.float32), video[:, :32], video[:0], video[..., :2]):
        with pytest.raises(ValueError, match="expected uint8"):
            TRACK(wrong, case)


def test_fingerprint_tells_settings():
    assert LKTracker().fingerprint == LKTracker().fingerprint
    assert LKTracker(Settings(samples=100)).fingerprint != LKTracker().fingerprint
    assert len(LKTracker().fingerprint) == 64


def test_same_on_any_number_of_threads():
    program = (
        "import cv2, hashlib, numpy as np; cv2.setNumThreads({n})\n"
        "from flashbench.cases.scenes import sprites_suite\n"
        "from flashbench.tracking.lk import LKTracker\n"
        "s = sprites_suite(12); case = s.load_case('5-0001')\n"
        "found = LKTracker().track(s.load_reference('5-0001')[:25], case)\n"
        "print(hashlib.sha256(b''.join(np.asarray(a).tobytes() for a in found)).hexdigest())"
    )
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    hashes = [
        subprocess.run(
            [sys.executable, "-c", program.format(n=n)],
            env=os.environ | dict.fromkeys(names, str(n)),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for n in (1, 4)
    ]
    assert hashes[0] == hashes[1] and len(hashes[0]) > 60
