"""Arrival and speed along the asked path: videos of known pace, on paths that close, cross, turn back and stop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from flashbench.metrics import pace
from flashbench.metrics.pace import FRACTIONS, arrival_error, arrival_time, speed_ratio

Array = npt.NDArray[np.float64]
Path = Callable[[Array], Array]
FRAMES, FPS = 121, 24.0
U = np.linspace(0, 1, FRAMES)


def line(u: Array) -> Array:
    return np.stack([30 + 150 * u, 40 + 60 * u], axis=-1)


def circle(u: Array) -> Array:
    return 128 + 60 * np.stack([np.cos(2 * np.pi * u), np.sin(2 * np.pi * u)], axis=-1)


def eight(u: Array) -> Array:
    return 128 + 60 * np.stack([np.sin(4 * np.pi * u), np.sin(2 * np.pi * u)], axis=-1)


def there_and_back(u: Array) -> Array:
    return line(1 - np.abs(2 * u - 1))


def zigzag(u: Array) -> Array:
    return np.stack([30 + 180 * u, 100 + 40 * np.abs((6 * u) % 2 - 1)], axis=-1)


def eased(u: Array) -> Array:
    return line(u * u * (3 - 2 * u))


def stop_and_go(u: Array) -> Array:
    return line(np.interp(u, [0, 0.3, 0.5, 1], [0, 0.45, 0.45, 1]))


PATHS = pytest.mark.parametrize("path", [line, circle, eight, there_and_back, zigzag, eased, stop_and_go])


def ratio(track: Array, target: Array) -> float:
    seen = np.ones((1, len(target)), bool)
    return float(speed_ratio(track[None], seen, target[None], seen)[0])


def error(track: Array, target: Array, fps: float = FPS) -> float:
    seen = np.ones((1, len(target)), bool)
    return float(arrival_error(track[None], seen, target[None], seen, fps)[0])


@PATHS
def test_perfect(path: Path) -> None:
    target = path(U)
    assert ratio(target, target) == 1.0
    assert error(target, target) == 0.0


@PATHS
def test_static_is_the_worst(path: Path) -> None:
    """Also on closed paths, whose end is where the still object stands."""
    target = path(U)
    still = np.repeat(target[:1], FRAMES, axis=0)
    assert ratio(still, target) == 0.0
    assert error(still, target) == pytest.approx((FRAMES - 1) / FPS)


@PATHS
@pytest.mark.parametrize("speed", [0.25, 0.5, 0.8])
def test_slow(path: Path, speed: float) -> None:
    assert ratio(path(U * speed), path(U)) == pytest.approx(speed, abs=0.01)


@PATHS
@pytest.mark.parametrize("speed", [1.25, 2.0])
def test_fast_and_then_waiting_at_the_end(path: Path, speed: float) -> None:
    target = path(U)
    track = path(np.minimum(U * speed, 1))
    assert ratio(track, target) == pytest.approx(speed, rel=0.02)
    asked = np.array([_time_of(target, f) for f in FRACTIONS])
    assert error(track, target) == pytest.approx(np.mean(asked - asked / speed), abs=1 / FPS)


@PATHS
def test_stopping_halfway_is_half_the_speed(path: Path) -> None:
    assert ratio(path(np.minimum(U, 0.5)), path(U)) == pytest.approx(0.5, abs=0.01)


@PATHS
def test_jitter_moves_neither_number_far(path: Path) -> None:
    """Jitter of 1 px adds 1.8 px a frame to the path's raw length; progress along the path feels little of it."""
    target = path(U)
    rng = np.random.default_rng(0)
    for speed in (1.0, 0.5):
        track = path(U * speed) + rng.normal(0, 1, (FRAMES, 2))
        assert ratio(track, target) == pytest.approx(speed, abs=0.06)
    assert error(target + rng.normal(0, 1, (FRAMES, 2)), target) < 0.15
    still = target[:1] + rng.normal(0, 1, (FRAMES, 2))
    assert ratio(still, target) < 0.1


def test_known_bad_ways_are_caught() -> None:
    """Raw path length calls a trembling still object fast; the nearest point calls a still circle arrived."""
    rng = np.random.default_rng(1)
    target = circle(U)
    still = target[:1] + rng.normal(0, 1, (FRAMES, 2))

    def length(track: Array) -> float:
        return float(np.linalg.norm(np.diff(track, axis=0), axis=1).sum())

    assert length(still) / length(target) > 0.4
    nearest = np.linalg.norm(still[:, None] - target, axis=-1).argmin(axis=1)
    assert nearest.max() > 0.9 * (FRAMES - 1)
    assert ratio(still, target) < 0.02 and error(still, target) == pytest.approx(5.0)


def test_delay_is_measured_in_seconds() -> None:
    target = line(U)
    late = line(np.maximum(U - 0.05, 0))  # 6 frames
    assert error(late, target) == pytest.approx(6 / FPS, abs=1e-3)
    assert error(late, target, fps=12) == pytest.approx(6 / 12, abs=1e-3)


def test_missing_the_last_tenth_is_not_slowness() -> None:
    assert ratio(line(np.minimum(U, 0.93)), line(U)) == pytest.approx(1.0)
    assert error(line(np.minimum(U, 0.93)), line(U)) == pytest.approx(0.0, abs=1e-9)


def test_few_fast_frames_are_matched_between_frames() -> None:
    """16 px a frame: progress is resolved far below a frame's step."""
    u = np.linspace(0, 1, 11)
    assert ratio(line(u * 0.53), line(u)) == pytest.approx(0.53, abs=0.002)


def test_trembling_through_an_asked_wait_is_still() -> None:
    """The object is asked to wait for half of the time: trembling beyond the place of the wait is no progress."""
    target = line(np.maximum(2 * U - 1, 0))
    still = target[:1] + np.random.default_rng(3).normal(0, 0.5, (FRAMES, 2))
    assert ratio(still, target) == 0.0


def test_wrong_way_never_arrives() -> None:
    assert ratio(line(-U), line(U)) == 0.0
    assert error(line(-U), line(U)) == pytest.approx(5.0)


def test_parallel_path_keeps_its_pace() -> None:
    """Distance from the path is the business of other metrics."""
    beside = line(U) + (-6.0, 15.0)
    assert ratio(beside, line(U)) == pytest.approx(1.0, abs=0.01)


def _time_of(track: Array, fraction: float) -> float:
    """Seconds until a path has walked a fraction of its length, by raw arc length."""
    walked = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(track, axis=0), axis=1))])
    return float(np.interp(fraction * walked[-1], walked, np.arange(len(track)))) / FPS


def test_arrival_times() -> None:
    target, seen = line(U)[None], np.ones((1, FRAMES), bool)
    half = line(U / 2)[None]
    assert arrival_time(target, seen, target, seen, FPS, [0, 0.5, 1.0])[0] == pytest.approx([0, 2.5, 5.0])
    times = arrival_time(half, seen, target, seen, FPS, [0.1, 0.25, 0.5, 0.6])[0]
    assert times[:3] == pytest.approx([1.0, 2.5, 5.0], abs=0.02)
    assert times[3] == np.inf


def test_never_is_worse_than_late() -> None:
    """A video that reaches the end on the last frame beats one that falls just short of each fraction."""
    target = line(U)
    last_moment = line(np.where(U < 1 - 4 / FRAMES, 0.0, 1.0))
    assert error(last_moment, target) < error(line(U * 0.09), target)


def test_lost_frames_are_bridged_and_outliers_outvoted() -> None:
    target = eight(U)
    track, seen = target.copy(), np.ones(FRAMES, bool)
    track[20:30], seen[40:50] = np.nan, False
    track[40:50] = 0.0
    everywhere = np.ones((1, FRAMES), bool)
    track[70] = target[10]
    assert speed_ratio(track[None], seen[None], target[None], everywhere)[0] == pytest.approx(1.0, abs=1e-9)
    assert arrival_error(track[None], seen[None], target[None], everywhere, FPS)[0] < 0.05


def test_lost_for_good_never_arrives() -> None:
    target = line(U)
    seen = U < 0.5
    everywhere = np.ones((1, FRAMES), bool)
    assert speed_ratio(target[None], seen[None], target[None], everywhere)[0] == pytest.approx(0.5, abs=0.01)
    nothing = np.zeros((1, FRAMES), bool)
    assert speed_ratio(target[None], nothing, target[None], everywhere)[0] == 0.0
    assert arrival_error(target[None], nothing, target[None], everywhere, FPS)[0] == pytest.approx(5.0)


def test_hidden_target_frames_do_not_count() -> None:
    """What the tracker says while the target is behind something is ignored; nothing is asked after it has left."""
    target = circle(U * U * (3 - 2 * U))
    track = target.copy()
    target_seen = ((U < 0.3) | (U > 0.6)) & (U < 0.8)
    track[~target_seen] = 0.0
    everywhere = np.ones((1, FRAMES), bool)
    unknown = np.where(target_seen[:, None], target, np.nan)
    for path in (target, unknown):
        assert speed_ratio(track[None], everywhere, path[None], target_seen[None])[0] == pytest.approx(1.0)
        errors = arrival_error(track[None], everywhere, path[None], target_seen[None], FPS)
        assert errors[0] == pytest.approx(0, abs=1e-6)
    asked = arrival_time(target[None], everywhere, target[None], target_seen[None], FPS, [0.5])[0, 0]
    assert asked == pytest.approx(_time_of(target[: np.flatnonzero(target_seen)[-1] + 1], 0.5), abs=1e-3)


def test_objects_are_scored_one_by_one() -> None:
    target = np.stack([line(U), circle(U), eight(U)])
    track = np.stack([line(U / 2), circle(U), eight(U * 0.8)])
    seen = np.ones((3, FRAMES), bool)
    assert speed_ratio(track, seen, target, seen) == pytest.approx([0.5, 1.0, 0.8], abs=0.01)
    alone = [arrival_error(track[i : i + 1], seen[:1], target[i : i + 1], seen[:1], FPS)[0] for i in range(3)]
    assert arrival_error(track, seen, target, seen, FPS).tolist() == alone


@pytest.mark.filterwarnings("error")
def test_short_paths_have_no_pace() -> None:
    short = np.stack([100 + 5 * U, np.full(FRAMES, 80.0)], axis=-1)[None]
    seen = np.ones((1, FRAMES), bool)
    for target_seen in (seen, ~seen):
        assert np.isnan(speed_ratio(short, seen, short, target_seen)).all()
        assert np.isnan(arrival_error(short, seen, short, target_seen, FPS)).all()
        assert np.isnan(arrival_time(short, seen, short, target_seen, FPS)).all()


def test_shared_walks_change_nothing() -> None:
    rng = np.random.default_rng(4)
    target = np.stack([line(U), line(U**2), np.full((FRAMES, 2), 80.0)])  # the last has no pace
    track, seen = target + rng.normal(0, 3, target.shape), rng.random((3, FRAMES)) < 0.8
    asked = np.ones((3, FRAMES), bool)
    walked = pace.walks(track, seen, target, asked)
    assert [w is None for w in walked] == [False, False, True]
    for function, rest in ((arrival_error, (FPS,)), (speed_ratio, ())):
        alone = function(track, seen, target, asked, *rest)  # type: ignore[operator]
        assert np.isfinite(alone[:2]).all() and np.isnan(alone[2])
        np.testing.assert_array_equal(function(track, seen, target, asked, *rest, walked=walked), alone)  # type: ignore[operator]


def test_matching_is_the_least_sum_of_distances() -> None:
    """Against an enumeration of every allowed matching."""
    rng = np.random.default_rng(2)

    def all_matchings(rows: int, last: int, m: int, reach: list[int]) -> list[list[int]]:
        if not reach:
            return [[]]
        steps = range(last, min(last + reach[0], m - 1) + 1)
        return [[node, *rest] for node in steps for rest in all_matchings(rows - 1, node, m, reach[1:])]

    for _ in range(30):
        distances = rng.random((4, 6))
        reach = rng.integers(1, 8, 4)
        best = min(sum(distances[i, n] for i, n in enumerate(c)) for c in all_matchings(4, 0, 6, reach.tolist()))
        nodes = pace._match(distances, reach)
        assert distances[np.arange(4), nodes].sum() == pytest.approx(best)
        assert (np.diff(nodes, prepend=0) >= 0).all() and (np.diff(nodes, prepend=0) <= reach).all()


def test_refusals() -> None:
    target, seen = line(U)[None], np.ones((1, FRAMES), bool)
    with pytest.raises(ValueError, match="fps"):
        arrival_error(target, seen, target, seen, 0.0)
    with pytest.raises(ValueError, match="fractions"):
        arrival_time(target, seen, target, seen, FPS, [0.5, 1.5])
    with pytest.raises(ValueError, match="target tracks"):
        speed_ratio(target[:, :50], seen[:, :50], target, seen)
