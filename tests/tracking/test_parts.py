"""The parts of the tracker, each alone: cut-outs, search, blobs, depth, background."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from flashbench.tracking import occlusion, redetect
from flashbench.tracking.follow import Settings
from flashbench.tracking.matched import build_blobs, grid, look, peak
from flashbench.tracking.similarity import Pose, at_rest
from flashbench.tracking.template import Prior, align, build, compare, local_shifts, near, read
from flashbench.tracking.views import View, Views

SIZE = (128, 128)


def smooth(rng, size, sigma):
    noise = cv2.GaussianBlur(rng.normal(size=(*size, 3)), (0, 0), sigma)
    return np.clip(0.5 + 0.2 * noise / noise.std(), 0, 1).astype(np.float32)


@pytest.fixture
def patch(rng):
    """A frame, the soft mask of a disc on it, and a function that moves the disc's pixels by a matrix and a shift."""
    frame, ground = smooth(rng, SIZE, 5.0), smooth(rng, SIZE, 12.0)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    mask = np.clip(30 - np.hypot(x - 60, y - 64) + 0.5, 0, 1).astype(np.float32)

    def moved(matrix, shift):
        matrix, middle = np.asarray(matrix, float), np.array([60.0, 64])
        warp = np.concatenate([matrix, (middle + shift - matrix @ middle)[:, None]], axis=1)
        disc = cv2.warpAffine(mask, warp, SIZE[::-1])[..., None]
        return (disc * cv2.warpAffine(frame, warp, SIZE[::-1], flags=cv2.INTER_CUBIC) + (1 - disc) * ground).astype(
            np.float32
        )

    return moved(np.eye(2), np.zeros(2)), mask, moved


def expect(pose):
    one = np.ones(len(pose.position))
    return Prior(pose, 10 * one, 0.2 * one, 0.3 * one, 0.1)


def test_reading_is_bilinear():
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    at = np.array([[[1.5, 1.0], [0.25, 0.5], [-3.0, 0.0], [3.0, 9.0]]])
    np.testing.assert_allclose(read(image, at), [[5.5, 2.25, 0.0, 11.0]], atol=1e-4)


@pytest.mark.parametrize("hidden", [False, True])
def test_alignment_finds_the_pose(patch, hidden):
    first, mask, moved = patch
    matrix = np.array([[1.08, -0.12], [0.1, 0.98]])
    later = moved(matrix, np.array([5.0, -4.0]))
    if hidden:  # something passes in front of a third of it
        later[:, 72:] = 0.9
    cut = build(first, [mask], 4.0, 240)
    start, one = at_rest(cut.middle), np.zeros(1, np.int64)
    seen = np.ones(cut.weight.shape)
    fit = align(later, cut, one, start, seen, expect(start), 0.03, (0.3,) * 8 + (0.15,) * 8)
    truth = Pose(matrix[None], (matrix @ (cut.middle[0] - [60, 64]) + [65, 60])[None])
    np.testing.assert_allclose(fit.pose.position, truth.position, atol=0.5 if hidden else 0.25)
    np.testing.assert_allclose(fit.pose.matrix[0], matrix, atol=0.03 if hidden else 0.015)
    assert (fit.match.mean() > 0.9) != hidden


def test_alignment_stays_where_nothing_moves(patch):
    first, mask, _ = patch
    cut = build(first, [mask], 4.0, 240)
    rest = at_rest(cut.middle)
    fit = align(first, cut, np.zeros(1, np.int64), rest, np.ones(cut.weight.shape), expect(rest), 0.06, (0.15,) * 4)
    np.testing.assert_array_equal(fit.pose.position, rest.position)
    np.testing.assert_array_equal(fit.pose.matrix, rest.matrix)


def test_single_points_move_beside_their_object(patch):
    first, mask, moved = patch
    cut, one = build(first, [mask], 4.0, 240), np.zeros(1, np.int64)
    fit = compare(moved(np.eye(2), np.array([1.0, -0.5])), cut, one, at_rest(cut.middle), 0.15)
    points = np.array([[[0.0, 0.0], [10, 5]]])
    shifts = local_shifts(near(cut, points, 8.0, 1e-4), cut, one, fit, np.ones(cut.weight.shape))
    np.testing.assert_allclose(shifts, [[[1, -0.5], [1, -0.5]]], atol=0.3)


def test_samples_stay_below_their_number_and_weigh_pixels(patch):
    first, mask, _ = patch
    few, many = (build(first, [mask, 0 * mask], 4.0, n) for n in (100, 400))
    assert 50 < few.samples.shape[1] <= 100 and many.samples.shape[1] <= 400
    np.testing.assert_allclose(many.total[0], (mask > 0.5).sum() / 16, rtol=0.15)
    assert few.total[1] == many.total[1] == 0


def view_of(frame, ground):
    small = cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA)
    behind = cv2.resize(ground, (32, 32), interpolation=cv2.INTER_AREA)
    alike = 1 / (1 + ((small - behind) ** 2).sum(-1) / 0.15**2) ** 2
    change = cv2.GaussianBlur(small, (0, 0), 1.0) - cv2.GaussianBlur(behind, (0, 0), 1.0)
    return View(
        frame, (frame[..., 1] * 255).astype(np.uint8), small, alike, cv2.GaussianBlur(behind, (0, 0), 1.0), change
    )


@pytest.fixture
def red_disc():
    """First view and mask of a disc of radius 22 at (40, 40) on a bluish ground; a function that puts it elsewhere."""
    ground = np.broadcast_to(np.float32([0.3, 0.4, 0.6]), (*SIZE, 3)).copy()
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]

    def at(px, py, strength=1.0):
        disc = np.clip(22 - np.hypot(x - px, y - py) + 0.5, 0, 1)[..., None].astype(np.float32) * strength
        colour = np.where((y > py)[..., None], np.float32([0.9, 0.2, 0.2]), np.float32([0.9, 0.8, 0.2]))
        return view_of((disc * colour + (1 - disc) * ground).astype(np.float32), ground)

    mask = np.clip(22 - np.hypot(x - 40, y - 40) + 0.5, 0, 1).astype(np.float32)
    return at(40, 40), mask, at


def test_search_finds_an_object_elsewhere(red_disc):
    first, mask, at = red_disc
    cut, s = build(first.fine, [mask], 4.0, 240), Settings()
    finder = redetect.build_finder(cut.samples[0], cut.weight[0], cut.colours[0], (32, 32), s.turns, s.sizes)
    found = redetect.search(finder, at(90, 70), None, s.match, 3)
    np.testing.assert_allclose(found.position[0], [90, 70], atol=4)
    assert found.matrix[0, 0, 1] == 0  # the yellow half is the upper one
    nothing = redetect.search(finder, at(400, 400), None, s.match, 3)
    assert len(nothing.position) == 0
    cover = np.ones((32, 32), np.float32)
    cover[:, 16:] = 0  # what is behind something else is not looked at
    assert not len(redetect.search(finder, at(110, 70), cover, s.match, 3).position)


@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_blobs_are_seen_however_faded(red_disc, strength):
    first, mask, at = red_disc
    cut = build(first.fine, [mask], 4.0, 240)
    blobs = build_blobs(first, [mask], cut)
    places = grid(np.array([88.0, 72.0]), 3, 1)
    pose = at_rest(places)
    sight = look(blobs, at(90, 70, strength), np.zeros(len(places), np.int64), pose, None, SIZE)
    best = int(sight.likeness.argmax())
    np.testing.assert_allclose(places[best], [90, 70], atol=3)
    assert sight.likeness[best] > 0.95
    np.testing.assert_allclose(sight.strength[best], strength, rtol=0.15)
    away = look(blobs, at(20, 110, strength), np.zeros(len(places), np.int64), pose, None, SIZE)
    assert away.likeness.max() < 0.3


def test_peak_of_a_parabola():
    y, x = np.mgrid[-1:2, -1:2]
    np.testing.assert_allclose(peak(1 - (x - 0.3) ** 2 - (y + 0.2) ** 2), [0.3, -0.2], atol=1e-9)
    np.testing.assert_array_equal(peak(np.zeros((3, 3))), [0, 0])


@pytest.mark.parametrize("front", [0, 1])
def test_who_is_in_front_shows_its_colours(rng, front):
    ground = smooth(rng, SIZE, 12.0)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    discs = [np.hypot(x - px, y - 40) < 16 for px in (30, 98)]
    colours = np.float32([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1]])
    first = ground.copy()
    for disc, colour in zip(discs, colours, strict=True):
        first[disc] = colour
    masks = [d.astype(np.float32) for d in discs]
    cut = build(first, masks, 4.0, 240)
    later, order = ground.copy(), [1 - front, front]
    for n in order:
        later[np.hypot(x - (58, 68)[n], y - 80) < 16] = colours[n]
    pose = Pose(at_rest(cut.middle).matrix, np.array([[58.0, 80], [68, 80]]))
    found = occlusion.evidence(masks, cut, first, later, pose, 0.3)
    assert found[front, 1 - front] > 5 and found[1 - front, front] == -found[front, 1 - front]
    sure = occlusion.in_front(np.stack([0 * found, np.clip(found, -5, 5), 0 * found]), 0.95, 20.0)
    assert (sure[:, front, 1 - front] > 0.9).all()
    whole = np.stack([np.hypot(x - px, y - 80) < 16 for px in (58, 68)])
    modal = occlusion.modal(whole, sure[1])
    assert (modal[front] == whole[front]).all() and not (modal[0] & modal[1]).any()
    cover = occlusion.covers(masks, cut, pose, sure[1], np.ones(2, bool))
    assert cover[front] is None or cover[front].min() > 0.85
    assert cover[1 - front][40, (58, 68)[front] // 2] < 0.1
    alone = occlusion.covers(masks, cut, pose, sure[1], np.ones(2, bool), np.array([front]))
    assert alone[1 - front] is None and (alone[front] is None) == (cover[front] is None)


def test_views_take_out_drift_light_and_movers(rng):
    big = (smooth(rng, (96, 160), 3.0) * 255).astype(np.uint8)
    frames = []
    for t in range(30):
        warp = np.array([[1, 0, 0.3 * t - 30], [0, 1, -0.2 * t - 10]])
        frame = cv2.warpAffine(big, warp, (64, 64), flags=cv2.INTER_LINEAR)
        frame[20:32, 5 + 2 * t : 17 + 2 * t] = (250, 30, 30)
        frames.append(np.clip(frame * (1 - 0.01 * t), 0, 255).astype(np.uint8))
    mask = np.zeros((1, 64, 64), bool)
    mask[0, 20:32, 5:17] = True
    views = Views(np.stack(frames), mask, 256, 0.15)
    np.testing.assert_allclose(views.drift[-1], [0.3 * 29, -0.2 * 29], atol=0.4)
    np.testing.assert_allclose(views.light[-1], 0.71, atol=0.03)
    view = views.at(15)
    assert view.fine.shape == (256, 256, 3) and view.ground.shape == (64, 64)
    assert view.ground[20:32, 35:47].mean() < 0.1  # where the mover is
    assert np.median(view.ground) > 0.8


def test_an_object_that_rests_is_not_background(rng):
    ground = (smooth(rng, (64, 64), 8.0) * 255).astype(np.uint8)
    ground[20:32, 20:32] = (250, 30, 30)
    mask = np.zeros((1, 64, 64), bool)
    mask[0, 20:32, 20:32] = True
    view = Views(np.repeat(ground[None], 12, axis=0), mask, 256, 0.15).at(6)
    assert view.ground[22:30, 22:30].max() < 0.2
    assert np.linalg.norm(view.change[26, 26]) > 0.3
