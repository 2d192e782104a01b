from __future__ import annotations

import numpy as np
import pytest

from flashbench.tracking.similarity import (
    Pose,
    at_rest,
    complex_of,
    fit_similarity,
    inverse,
    join,
    matrix_of,
    parts_of,
    points_of,
    undone,
)


def turned(angle, size):
    c, s = size * np.cos(angle), size * np.sin(angle)
    return np.array([[c, -s], [s, c]])


def test_matrices_as_complex_numbers(rng):
    matrices, points = np.eye(2) + 0.3 * rng.normal(size=(7, 2, 2)), rng.normal(size=(7, 2))
    turn, stretch = parts_of(matrices)
    np.testing.assert_allclose(matrix_of(turn, stretch), matrices, atol=1e-12)
    np.testing.assert_allclose(inverse(matrices) @ matrices, np.tile(np.eye(2), (7, 1, 1)), atol=1e-9)
    p, carried = complex_of(points), complex_of((matrices @ points[..., None])[..., 0])
    np.testing.assert_allclose(turn * p + stretch * p.conj(), carried, atol=1e-12)
    np.testing.assert_allclose(undone(turn, stretch, carried), p, atol=1e-9)
    np.testing.assert_array_equal(points_of(p), points)


def test_a_similarity_has_no_stretch_and_its_size_and_angle_are_the_turns():
    (turn,), (stretch,) = parts_of(turned(0.2, 1.3)[None])
    assert (abs(turn), np.angle(turn)) == pytest.approx((1.3, 0.2)) and stretch == pytest.approx(0)
    (turn,), (stretch,) = parts_of(np.diag([1.2, 0.8])[None])
    assert turn == pytest.approx(1) and stretch == pytest.approx(0.2)


def test_poses_carry(rng):
    pose = Pose(np.eye(2) + 0.2 * rng.normal(size=(3, 2, 2)), rng.normal(size=(3, 2)))
    points = rng.normal(size=(3, 5, 2))
    back = inverse(pose.matrix).transpose(0, 2, 1)
    np.testing.assert_allclose((pose.carry(points) - pose.position[:, None]) @ back, points, atol=1e-9)
    step = Pose(np.stack([turned(0.1, 1.1)] * 3), np.ones((3, 2)))
    np.testing.assert_allclose(step.after(pose).carry(points), step.carry(pose.carry(points)), atol=1e-9)
    both = join(pose, at_rest(np.zeros((2, 2))))
    assert len(both.position) == 5
    np.testing.assert_array_equal(both.take(np.array([1])).matrix[0], pose.matrix[1])
    np.testing.assert_array_equal(pose.where(np.array([True, False, True]), step).position[1], 1)


@pytest.mark.parametrize("wrong", [0, 6])
def test_fit_finds_the_similarity(rng, wrong):
    source = rng.uniform(-30, 30, (2, 20, 2))
    matrix, shift = np.stack([turned(0.15, 1.1), turned(-0.1, 0.95)]), np.array([[3.0, -2], [-4, 1]])
    target = Pose(matrix, shift).carry(source)
    target[:, :wrong] += rng.uniform(20, 40, (2, wrong, 2))
    found, share = fit_similarity(source, target, np.ones((2, 20), bool), 2.0, rounds=10)
    np.testing.assert_allclose(found.matrix, matrix, atol=5e-3)
    np.testing.assert_allclose(found.position, shift, atol=0.1)
    np.testing.assert_allclose(share, 1 - wrong / 20)


def test_fit_of_few_points():
    source = np.array([[[0.0, 0], [10, 0], [0, 10]]] * 3)
    target = source + [[[2.0, 3]]]
    known = np.array([[True, True, False], [True, False, False], [False, False, False]])
    found, share = fit_similarity(source, target, known, 1.0)
    np.testing.assert_allclose(found.matrix, np.tile(np.eye(2), (3, 1, 1)))
    np.testing.assert_allclose(found.position, [[2, 3], [2, 3], [0, 0]], atol=1e-9)
    np.testing.assert_allclose(share, [1, 1, 0])
