"""TAP-Vid, survival and EPE against plain loops written from their definitions, and against known mistakes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flashbench.metrics import tracks as kernels
from flashbench.metrics.tracks import DIAGONAL_256, epe, frame_errors, survival, tapvid, to_256

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Question = tuple[Array, Bools, Array, Bools, npt.NDArray[np.int64]]


def question(seed: int = 0, n: int = 6, t: int = 12) -> Question:
    """Tracks whose errors reach across every threshold, with occlusions on both sides and late queries."""
    rng = np.random.default_rng(seed)
    target = rng.uniform(0, 255, (n, 1, 2)) + np.cumsum(rng.normal(0, 3, (n, t, 2)), axis=1)
    error = rng.normal(size=(n, t, 2)) * rng.choice([0.3, 1, 3, 9, 40], (n, t, 1))
    target_visible = rng.random((n, t)) < 0.75
    visible = target_visible ^ (rng.random((n, t)) < 0.2)
    query = rng.integers(0, t - 1, n)
    return target + error, visible, target, target_visible, query


def tapvid_by_loops(
    tracks: Array,
    visible: Bools,
    target: Array,
    target_visible: Bools,
    query: npt.NDArray[np.int64],
    counts: Callable[[int, int], bool] = lambda t, q: t > q,
    jaccard_counts_far_as_both: bool = True,
    near: Callable[[float, float], bool] = lambda distance, k: distance < k,
) -> dict[str, float]:
    """The definitions, one point and one frame at a time. The options are mistakes that others made."""
    out: dict[str, float] = {}
    right = frames = 0
    for n in range(len(tracks)):
        for t in range(tracks.shape[1]):
            if counts(t, int(query[n])):
                frames += 1
                right += bool(visible[n, t]) == bool(target_visible[n, t])
    out["oa"] = right / frames
    for k in (1, 2, 4, 8, 16):
        within = positives = true_positives = false_positives = 0
        for n in range(len(tracks)):
            for t in range(tracks.shape[1]):
                if not counts(t, int(query[n])):
                    continue
                is_near = near(math.dist(tracks[n, t], target[n, t]), k)
                positives += bool(target_visible[n, t])
                within += bool(target_visible[n, t]) and is_near
                true_positives += bool(target_visible[n, t]) and bool(visible[n, t]) and is_near
                if visible[n, t]:
                    wrong = not target_visible[n, t] or (jaccard_counts_far_as_both and not is_near)
                    false_positives += wrong
        out[f"delta_{k}"] = within / positives
        out[f"jaccard_{k}"] = true_positives / (positives + false_positives)
    out["delta_avg"] = sum(out[f"delta_{k}"] for k in (1, 2, 4, 8, 16)) / 5
    out["aj"] = sum(out[f"jaccard_{k}"] for k in (1, 2, 4, 8, 16)) / 5
    return out


@pytest.mark.parametrize("seed", range(8))
def test_tapvid_equals_plain_loops(seed: int) -> None:
    asked = question(seed)
    assert dict(tapvid(*asked)) == pytest.approx(tapvid_by_loops(*asked), rel=1e-12)


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param({"counts": lambda t, q: t != q}, id="'strided' frames: those before the query count"),
        pytest.param({"counts": lambda t, q: t >= q}, id="the query frame counts"),
        pytest.param({"jaccard_counts_far_as_both": False}, id="a far point is no false positive"),
    ],
)
def test_tapvid_known_bad_ways_are_caught(mistake: dict[str, Any]) -> None:
    asked = question(1)
    assert dict(tapvid(*asked)) != pytest.approx(tapvid_by_loops(*asked, **mistake), rel=1e-3)


def test_tapvid_by_hand() -> None:
    """One point, query on frame 0. Errors on frames 1..4: 0, 3, 0 unseen though visible, 0 seen though hidden."""
    target = np.zeros((1, 5, 2))
    tracks = target.copy()
    tracks[0, 2, 0] = 3.0
    visible = np.array([[True, True, True, False, True]])
    target_visible = np.array([[True, True, True, True, False]])
    scores = tapvid(tracks, visible, target, target_visible, np.array([0]))
    assert scores.oa == pytest.approx(2 / 4)
    assert [scores[f"delta_{k}"] for k in (1, 2, 4, 8, 16)] == pytest.approx([2 / 3, 2 / 3, 1, 1, 1])
    assert [scores[f"jaccard_{k}"] for k in (1, 2, 4)] == pytest.approx([1 / (3 + 2), 1 / (3 + 2), 2 / (3 + 1)])
    assert scores.delta_avg == pytest.approx((2 / 3 * 2 + 3) / 5)


def test_tapvid_thresholds_are_strict() -> None:
    target = np.zeros((1, 2, 2))
    seen = np.ones((1, 2), bool)
    tracks = target.copy()
    tracks[0, 1] = (0.0, 4.0)
    scores = tapvid(tracks, seen, target, seen, np.array([0]))
    assert (scores.delta_4, scores.delta_8) == (0.0, 1.0)
    assert tapvid_by_loops(tracks, seen, target, seen, np.array([0]), near=lambda d, k: d <= k)["delta_4"] == 1.0


def test_tapvid_identity_is_one() -> None:
    _, _, target, visible, query = question(2)
    assert set(dict(tapvid(target, visible, target, visible, query)).values()) == {1.0}


def test_tapvid_ignores_predictions_up_to_the_query_and_targets_that_are_hidden() -> None:
    tracks, visible, target, target_visible, query = question(3)
    expected = dict(tapvid(tracks, visible, target, target_visible, query))
    for n, q in enumerate(query):
        tracks[n, : q + 1], visible[n, : q + 1] = np.nan, False
    target[~target_visible] = np.nan
    assert dict(tapvid(tracks, visible, target, target_visible, query)) == pytest.approx(expected, rel=1e-12)


def test_tapvid_nan_prediction_is_a_miss() -> None:
    _, _, target, visible, query = question(4)
    lost = np.full_like(target, np.nan)
    scores = tapvid(lost, visible, target, visible, query)
    assert (scores.delta_avg, scores.aj, scores.oa) == (0.0, 0.0, 1.0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(2, 8))
def test_tapvid_properties(seed: int, n: int, t: int) -> None:
    """In 0..1, growing with the threshold, Jaccard under delta, blind to the order of points and to a common shift."""
    asked = question(seed, n, t)
    scores = tapvid(*asked)
    deltas = [scores[f"delta_{k}"] for k in kernels.THRESHOLDS]
    jaccards = [scores[f"jaccard_{k}"] for k in kernels.THRESHOLDS]
    known = [v for v in scores.values() if not math.isnan(v)]
    assert all(0 <= v <= 1 for v in known)
    if not math.isnan(scores.delta_avg):
        assert deltas == sorted(deltas) and jaccards == sorted(jaccards)
        assert all(j <= d for j, d in zip(jaccards, deltas, strict=True))
    order = np.random.default_rng(seed).permutation(n)
    shuffled = tapvid(*(part[order] for part in asked))
    shifted = tapvid(asked[0] + 32, asked[1], asked[2] + 32, asked[3], asked[4])
    for other in (shuffled, shifted):
        assert list(other.values()) == pytest.approx(list(scores.values()), rel=1e-9, nan_ok=True)


@pytest.mark.filterwarnings("error")
def test_tapvid_nothing_to_count_is_nan_without_a_warning() -> None:
    target = np.zeros((1, 3, 2))
    hidden, seen = np.zeros((1, 3), bool), np.ones((1, 3), bool)
    scores = tapvid(target, hidden, target, hidden, np.array([0]))
    assert math.isnan(scores.delta_avg) and math.isnan(scores.aj) and scores.oa == 1.0
    assert tapvid(target, seen, target, hidden, np.array([0])).aj == 0.0
    assert all(math.isnan(v) for v in tapvid(target, seen, target, seen, np.array([2])).values())


def test_scores_are_a_mapping() -> None:
    scores = tapvid(*question())
    assert list(scores)[:3] == ["delta_avg", "aj", "oa"] and len(scores) == 13
    assert scores["jaccard_16"] == scores.jaccard_16
    with pytest.raises(KeyError):
        scores["keys"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"tracks": np.zeros((2, 4, 2))}, "target tracks"),  # zip() would cut the longer one
        ({"tracks": np.zeros((2, 5, 3))}, r"\[N, T, 2\]"),
        ({"tracks": np.zeros((0, 5, 2))}, r"\[N, T, 2\]"),
        ({"visible": np.ones((2, 5))}, "bool"),  # a confidence, or `occluded` as 0/1
        ({"visible": np.ones((2, 4), bool)}, "visibility"),
        ({"target_tracks": np.full((2, 5, 2), np.nan)}, "NaN"),
        ({"query_frames": np.array([0, 5])}, "query_frames"),
        ({"query_frames": np.array([0, -1])}, "query_frames"),
        ({"query_frames": np.array([0.0, 1.0])}, "int"),
        ({"query_frames": np.array([0])}, "query_frames"),
    ],
)
def test_tapvid_refusals(change: dict[str, Any], word: str) -> None:
    asked: dict[str, Any] = {
        "tracks": np.zeros((2, 5, 2)),
        "visible": np.ones((2, 5), bool),
        "target_tracks": np.zeros((2, 5, 2)),
        "target_visible": np.ones((2, 5), bool),
        "query_frames": np.array([0, 1]),
    }
    if change.get("tracks") is not None and change["tracks"].shape == (2, 4, 2):
        change = {**change, "visible": np.ones((2, 4), bool)}
    with pytest.raises(ValueError, match=word):
        tapvid(**{**asked, **change})


def test_survival_by_hand() -> None:
    """Two points over frames 1..4. One is lost at frame 3 for good; the other is far off only while hidden."""
    target = np.zeros((2, 5, 2))
    tracks, seen = target.copy(), np.ones((2, 5), bool)
    tracks[0, 3, 0] = 50.1
    tracks[1, 2, 0], seen[1, 2] = 900.0, False
    assert survival(tracks, target, seen) == pytest.approx((2 + 4) / 8)
    tracks[0, 3, 0] = 50.0
    assert survival(tracks, target, seen) == 1.0
    tracks[1, 1] = np.nan
    assert survival(tracks, target, seen) == pytest.approx(4 / 8)
    assert survival(tracks, target, seen, query_frames=np.array([0, 1])) == 1.0


def test_survival_equals_plain_loops() -> None:
    tracks, _, target, visible, query = question(5, 20, 30)
    alive = counted = 0
    for n in range(len(tracks)):
        dead = False
        for t in range(int(query[n]) + 1, tracks.shape[1]):
            dead = dead or (bool(visible[n, t]) and math.dist(tracks[n, t], target[n, t]) > 50)
            counted, alive = counted + 1, alive + (not dead)
    assert alive < counted
    assert survival(tracks, target, visible, query) == pytest.approx(alive / counted)


def epe_by_loops(tracks: Array, visible: Bools, target: Array, target_visible: Bools, cap: float) -> list[list[float]]:
    """Errors that count, per track."""
    out = []
    for n in range(len(tracks)):
        row = []
        for t in range(1, tracks.shape[1]):
            if target_visible[n, t]:
                distance = math.dist(tracks[n, t], target[n, t]) if np.isfinite(tracks[n, t]).all() else math.inf
                row.append(min(distance, cap) if visible[n, t] else cap)
        out.append(row)
    return out


def test_epe_equals_plain_loops() -> None:
    tracks, visible, target, target_visible, _ = question(6, 5, 25)
    tracks[0, 3:6] = np.nan
    rows = epe_by_loops(tracks, visible, target, target_visible, 20.0)
    result = epe(tracks, visible, target, target_visible, 20.0)
    assert result.mean == pytest.approx([np.mean(r) for r in rows])
    assert result.median == pytest.approx([np.median(r) for r in rows])


def test_epe_of_a_constant_offset() -> None:
    target = np.random.default_rng(0).uniform(0, 255, (3, 10, 2))
    seen = np.ones((3, 10), bool)
    result = epe(target + (3.0, 4.0), seen, target, seen, DIAGONAL_256)
    for part in result:
        assert part == pytest.approx([5.0, 5.0, 5.0])


def test_epe_leaves_frame_0_out() -> None:
    target, seen = np.zeros((1, 5, 2)), np.ones((1, 5), bool)
    tracks = target.copy()
    tracks[0, 0] = 100.0
    assert epe(tracks, seen, target, seen, 362.0).mean == pytest.approx([0.0])


def test_epe_losing_the_object_is_the_worst() -> None:
    """An object that is destroyed must not lower its error: unseen and NaN both cost the cap."""
    target, seen = np.zeros((1, 5, 2)), np.ones((1, 5), bool)
    near = target + 1.0
    partly = np.array([[True, True, True, False, False]])
    lost = near.copy()
    lost[0, 3:] = np.nan
    assert epe(near, partly, target, seen, 100.0).mean == pytest.approx([(2 * math.sqrt(2) + 200) / 4])
    assert epe(lost, seen, target, seen, 100.0).mean == pytest.approx([(2 * math.sqrt(2) + 200) / 4])
    only_seen = np.nanmean(np.where(partly, np.linalg.norm(near - target, axis=-1), np.nan)[:, 1:])  # the mistake
    assert epe(near, partly, target, seen, 100.0).mean[0] > 10 * only_seen


def test_epe_one_lost_track_cannot_set_the_mean() -> None:
    target, seen = np.zeros((2, 11, 2)), np.ones((2, 11), bool)
    tracks = target.copy()
    tracks[1, 10] = 1e9
    result = epe(tracks, seen, target, seen, DIAGONAL_256)
    assert result.mean[1] == pytest.approx(DIAGONAL_256 / 10)
    assert result.median[1] == 0.0


def test_epe_thirds_show_drift() -> None:
    """T = 121: frames 1..40, 41..80, 81..120."""
    t = np.arange(121.0)
    target, seen = np.zeros((1, 121, 2)), np.ones((1, 121), bool)
    tracks = np.stack([t, np.zeros(121)], axis=-1)[None]
    result = epe(tracks, seen, target, seen, 1000.0)
    assert [result.early[0], result.middle[0], result.late[0]] == pytest.approx([20.5, 60.5, 100.5])
    assert result.mean[0] == pytest.approx(60.5)
    short = epe(tracks[:, :12], seen[:, :12], target[:, :12], seen[:, :12], 1000.0)  # 1..4, 5..8, 9..11
    assert [short.early[0], short.middle[0], short.late[0]] == pytest.approx([2.5, 6.5, 10.0])


@pytest.mark.filterwarnings("error")
def test_epe_nothing_to_count_is_nan_without_a_warning() -> None:
    target, seen = np.zeros((2, 7, 2)), np.ones((2, 7), bool)
    seen[0] = False
    target[0] = np.nan
    seen[1, 5:] = False
    result = epe(np.zeros((2, 7, 2)), np.ones((2, 7), bool), target, seen, 10.0)
    assert np.isnan([part[0] for part in result]).all()
    assert np.isnan(result.late[1]) and result.mean[1] == 0.0


def test_epe_scales_with_its_unit_and_forgets_order() -> None:
    tracks, visible, target, target_visible, _ = question(7)
    base = epe(tracks, visible, target, target_visible, 100.0)
    double = epe(2 * tracks, visible, 2 * target, target_visible, 200.0)
    assert double.mean == pytest.approx(2 * base.mean)
    alone = [epe(*(part[i : i + 1] for part in (tracks, visible, target, target_visible)), 100.0) for i in range(6)]
    assert np.concatenate([one.mean for one in alone]) == pytest.approx(base.mean)


def test_frame_errors_mark_what_does_not_count() -> None:
    tracks, visible, target, target_visible, _ = question(8)
    errors = frame_errors(tracks, visible, target, target_visible, 50.0)
    counted = target_visible.copy()
    counted[:, 0] = False
    assert np.array_equal(np.isfinite(errors), counted)
    assert np.nanmax(errors) <= 50.0
    with pytest.raises(ValueError, match="cap"):
        frame_errors(tracks, visible, target, target_visible, float("nan"))


def test_to_256() -> None:
    """The frame's edges go to the edges of the 256 frame, its centre to the centre; distances scale by 256 / side."""
    edges = np.array([[-0.5, -0.5], [127.5, 63.5], [63.5, 31.5]])
    assert to_256(edges, (64, 128)) == pytest.approx(np.array([[-0.5, -0.5], [255.5, 255.5], [127.5, 127.5]]))
    points = np.random.default_rng(0).uniform(0, 60, (3, 4, 2))
    assert to_256(points, (256, 256)) == pytest.approx(points)
    steps = np.diff(to_256(points, (128, 64)), axis=1)
    assert steps == pytest.approx(np.diff(points, axis=1) * (4.0, 2.0))
    for bad in (np.zeros((3, 4)), np.float64(1.0)):
        with pytest.raises(ValueError, match="expected"):
            to_256(bad, (64, 64))
    with pytest.raises(ValueError, match="size"):
        to_256(points, (0, 64))
