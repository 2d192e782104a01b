"""Consistency, flicker and motion: VBench's formulas by loops, frozen videos, and the mistakes around them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flashbench.metrics.consistency import dynamic_degree, flicker, subject_consistency

Array = npt.NDArray[np.float64]


def subject_by_loops(d: Array) -> float:
    def cos(a: Array, b: Array) -> float:
        return float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))

    total = sum((max(0.0, cos(d[0], d[t])) + max(0.0, cos(d[t - 1], d[t]))) / 2 for t in range(1, len(d)))
    return total / (len(d) - 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 9), st.integers(1, 6), st.integers(0, 2**31))
def test_subject_equals_plain_loops(frames: int, width: int, seed: int) -> None:
    d = np.random.default_rng(seed).normal(size=(frames, width))
    value = subject_consistency(d)
    assert value == pytest.approx(subject_by_loops(d), rel=1e-9, abs=1e-12)
    assert 0 <= value <= 1 + 1e-12
    lengths = np.random.default_rng(seed).uniform(0.1, 10, (frames, 1))
    assert subject_consistency(d * lengths) == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_subject_by_hand() -> None:
    """Angles 0, 60, 180 degrees: t=1 gives 0.5, 0.5; t=2 gives max(0, -1) = 0 and max(0, -0.5) = 0."""
    angles = np.radians([0, 60, 180])
    d = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    assert subject_consistency(d) == pytest.approx((0.5 + 0.0) / 2)


def test_subject_is_not_its_known_bad_forms() -> None:
    """Without the clip at 0, and with the first frame compared with itself, the number differs."""
    angles = np.radians([0, 60, 180])
    d = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    unclipped = np.mean([(d[0] @ d[t] + d[t - 1] @ d[t]) / 2 for t in (1, 2)])
    with_itself = (1.0 + 2 * subject_by_loops(d)) / 3
    assert abs(subject_consistency(d) - unclipped) > 0.1
    assert abs(subject_consistency(d) - with_itself) > 0.1


def test_subject_per_video_is_not_per_pooled_frame() -> None:
    """VBench's number depended on the number of GPUs: pooled frames weigh long videos more."""
    rng = np.random.default_rng(0)
    short, long = np.ones((3, 4)), rng.normal(size=(30, 4))
    per_video = (subject_consistency(short) + subject_consistency(long)) / 2
    pooled = (2 * subject_consistency(short) + 29 * subject_consistency(long)) / 31
    assert abs(per_video - pooled) > 0.1


def test_frozen_video_is_perfect_and_does_not_move() -> None:
    """The degenerate optimum: dynamic degree stands beside the others."""
    video = np.repeat(np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8), 6, axis=0)
    assert subject_consistency(np.repeat([[1.0, 2.0, 3.0]], 6, axis=0)) == pytest.approx(1.0)
    assert flicker(video) == 1.0
    assert dynamic_degree(np.ones((4, 6, 2)), np.ones((4, 6), bool), 24) == 0.0


def test_zero_features_are_unlike_everything() -> None:
    assert subject_consistency(np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])) == pytest.approx(0.25)


def test_flicker_by_hand() -> None:
    """Black, white, white: mean change (255 + 0) / 2."""
    video = np.zeros((3, 2, 2, 3), np.uint8)
    video[1:] = 255
    assert flicker(video) == pytest.approx(0.5)
    assert flicker(video[:2]) == 0.0


def test_flicker_equals_the_formula_and_does_not_wrap() -> None:
    video = np.random.default_rng(1).integers(0, 256, (5, 7, 6, 3), np.uint8)
    changes = [np.mean(np.abs(video[t].astype(float) - video[t + 1])) for t in range(4)]
    assert flicker(video) == pytest.approx((255 - np.mean(changes)) / 255, rel=1e-12)
    wrapped = [np.mean(np.abs(video[t] - video[t + 1])) for t in range(4)]  # the mistake: uint8 wraps around
    assert abs(flicker(video) - (255 - np.mean(wrapped)) / 255) > 0.01
    assert flicker(video[::-1]) == pytest.approx(flicker(video), rel=1e-12)


def test_dynamic_degree_of_constant_motion() -> None:
    """3 and 5 px a frame at 24 frames a second: mean 96 px a second."""
    t = np.arange(10.0)
    tracks = np.stack([np.stack([3 * t, 0 * t], -1), np.stack([0 * t, -5 * t], -1)])
    seen = np.ones((2, 10), bool)
    assert dynamic_degree(tracks, seen, 24) == pytest.approx(96.0)
    assert dynamic_degree(tracks, seen, 12) == pytest.approx(48.0)
    assert dynamic_degree(tracks[::-1] + 50, seen, 24) == pytest.approx(96.0)
    assert dynamic_degree(tracks * 2, seen, 24) == pytest.approx(192.0)


def test_dynamic_degree_does_not_jump_over_hidden_frames() -> None:
    t = np.arange(10.0)
    tracks, seen = np.stack([2 * t, 0 * t], -1)[None].copy(), np.ones((1, 10), bool)
    tracks[0, 4], seen[0, 7] = np.nan, False
    tracks[0, 7] = 500.0
    assert dynamic_degree(tracks, seen, 10) == pytest.approx(20.0)


@pytest.mark.filterwarnings("error")
def test_dynamic_degree_without_steps_is_nan() -> None:
    seen = np.tile([True, False], (3, 2))
    assert math.isnan(dynamic_degree(np.zeros((3, 4, 2)), seen, 24))
    some = np.vstack([np.ones((1, 4), bool), np.zeros((2, 4), bool)])
    assert dynamic_degree(np.zeros((3, 4, 2)), some, 24) == 0.0


def test_refusals() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        subject_consistency(np.ones((1, 4)))
    with pytest.raises(ValueError, match="NaN"):
        subject_consistency(np.full((3, 4), np.nan))
    with pytest.raises(ValueError, match="uint8"):
        flicker(np.zeros((3, 4, 4, 3)))
    with pytest.raises(ValueError, match="two"):
        flicker(np.zeros((1, 4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="fps"):
        dynamic_degree(np.zeros((1, 4, 2)), np.ones((1, 4), bool), 0)
