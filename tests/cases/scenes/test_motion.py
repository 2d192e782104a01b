"""Motion families: what each promises, drawn many times."""

from __future__ import annotations

import numpy as np
import pytest

from flashbench.cases.scenes import motion, prompts
from flashbench.cases.scenes.motion import FAMILIES, ONE, Motion

MARGIN = 0.15
SEEDS = range(40)


def draw(family: str, seed: int, frames: int = 121) -> tuple[Motion, np.ndarray]:
    rng = np.random.default_rng(seed)
    start = MARGIN + (1 - 2 * MARGIN) * rng.random(2)
    t = np.arange(frames) / (frames - 1)
    return FAMILIES[family](rng, t, start, MARGIN), start


@pytest.mark.parametrize("family", FAMILIES)
def test_paths_are_whole_numbers_that_begin_at_the_start_and_go_somewhere(family: str) -> None:
    for seed in SEEDS:
        m, start = draw(family, seed)
        assert m.path.shape == (121, 2) and m.path.dtype == m.scale.dtype == np.int64 and m.scale.shape == (121,)
        assert np.array_equal(m.path[0], np.rint(start * ONE)) and m.scale[0] == ONE
        if family != "crossing":  # which has nowhere to go from the middle
            assert np.abs(m.path - m.path[0]).max() > 0.12 * ONE


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "exit-and-return"])
def test_paths_stay_inside(family: str) -> None:
    for seed in SEEDS:
        m, _ = draw(family, seed)
        low = 0.7 * MARGIN * ONE - 1
        assert m.path.min() >= low and m.path.max() <= ONE - low


@pytest.mark.parametrize("family", FAMILIES)
def test_paths_span_the_video_whatever_its_length(family: str) -> None:
    for seed in range(8):
        whole, half = draw(family, seed, 121)[0], draw(family, seed, 61)[0]
        assert np.array_equal(whole.path[::2], half.path) and np.array_equal(whole.scale[::2], half.scale)


@pytest.mark.parametrize("family", FAMILIES)
def test_speed_is_bounded(family: str) -> None:
    """No jumps: an object crosses the frame in half a second at the fastest."""
    for seed in SEEDS:
        assert np.abs(np.diff(draw(family, seed)[0].path, axis=0)).max() < ONE / 12


def _direction(m: Motion) -> np.ndarray:
    step = np.diff(m.path, axis=0).astype(float)
    return step[np.linalg.norm(step, axis=1) > 8]


def test_line_is_straight_and_far() -> None:
    for seed in SEEDS:
        m, _ = draw("line", seed)
        d = _direction(m)
        along = (m.path[-1] - m.path[0]) / np.linalg.norm(m.path[-1] - m.path[0])
        assert np.abs(d @ np.array([-along[1], along[0]])).max() <= 1.5 and (d @ along > 0).all()
        assert np.abs(m.path[-1] - m.path[0]).max() >= 0.2 * ONE


def test_zigzag_turns_sharply_a_few_times() -> None:
    for seed in SEEDS:
        bend = np.abs(np.diff(draw("zigzag", seed)[0].path, n=2, axis=0)).max(1) > 40
        assert 2 <= bend.sum() <= 2 * 5


def test_spline_and_circle_are_smooth() -> None:
    for family in ("spline", "circle"):
        for seed in SEEDS:
            d = _direction(draw(family, seed)[0])
            d /= np.linalg.norm(d, axis=1, keepdims=True)
            assert np.median((d[1:] * d[:-1]).sum(1)) > 0.98


def test_circle_goes_round_at_least_three_quarters() -> None:
    for seed in SEEDS:
        path = draw("circle", seed)[0].path.astype(float)
        middle = (path.max(0) + path.min(0)) / 2
        angle = np.unwrap(np.arctan2(*(path - middle).T[::-1]))
        assert abs(angle[-1] - angle[0]) > 0.6 * 2 * np.pi


def test_stop_and_go_rests_between_moves() -> None:
    for seed in SEEDS:
        still = (np.diff(draw("stop-and-go", seed)[0].path, axis=0) == 0).all(1)
        rests = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], still, [0]])))).tolist()[::2]
        assert len(rests) >= 3 and still.mean() > 0.25 and min(rests[1:-1]) >= 8


def test_exit_and_return_is_wholly_outside_for_a_while() -> None:
    for seed in SEEDS:
        x = draw("exit-and-return", seed)[0].path[:, 0] / ONE
        outside = (x < -MARGIN) | (x > 1 + MARGIN)
        assert 8 <= outside.sum() <= 60 and not outside[0] and not outside[-1]
        assert 0.3 < x[-1] < 0.7


def test_approach_changes_size_one_way() -> None:
    ends = []
    for seed in SEEDS:
        scale = draw("approach", seed)[0].scale / ONE
        assert (np.diff(scale) >= 0).all() or (np.diff(scale) <= 0).all()
        ends.append(scale[-1])
    assert all(0.6 <= e <= 0.7 or 1.35 <= e <= 1.55 for e in ends) and min(ends) < 1 < max(ends)


def test_crossing_passes_the_middle_in_the_middle() -> None:
    for seed in SEEDS:
        path = draw("crossing", seed)[0].path / ONE
        assert np.abs(path[60] - 0.5).max() <= 0.04 + 1e-4
        assert (
            np.abs((path[0] + path[-1]) / 2 - path[60]).max() < 0.02
            or path[-1].min() <= MARGIN + 1e-4
            or (path[-1].max() >= 1 - MARGIN - 1e-4)
        )


def test_every_family_has_its_words() -> None:
    assert set(FAMILIES) == set(prompts.SINGULAR)


def test_ease_is_monotone_from_0_to_1() -> None:
    t = np.linspace(0, 1, 101)
    for strength in (0.0, 0.5, 1.0):
        e = motion._ease(t, strength)
        assert e[0] == 0 and e[-1] == pytest.approx(1) and (np.diff(e) >= 0).all()
    assert np.array_equal(motion._ease(t, 0.0), t)
