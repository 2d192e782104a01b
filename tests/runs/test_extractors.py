"""Protocols of the extractors: which frames, and what threads share. The networks run in test_end_to_end."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from flashbench.cases.schema import Case
from flashbench.errors import InputError
from flashbench.metrics.catalogue import METRICS, choose
from flashbench.metrics.protocol import Recalls
from flashbench.runs.extractors import (
    LastVideo,
    Lazy,
    LKExtractor,
    PixelsExtractor,
    Shared,
    check_measurable,
    extractors,
    sampled_frames,
    window_starts,
)
from flashbench.runs.generate import generate
from flashbench.runs.score import score
from flashbench.tracking.protocol import ObjectTracks


@pytest.mark.parametrize(
    ("frames", "starts", "stride"),
    [(121, [1, 45, 90], 2), (49, [1, 17, 33], 1), (97, [1, 33, 66], 2), (17, [1, 1, 1], 1), (24, [1, 4, 8], 1)],
)
def test_windows_reach_from_frame_1_to_the_last(frames: int, starts: list[int], stride: int) -> None:
    assert window_starts(frames) == (starts, stride)
    assert starts[-1] + 15 * stride <= frames - 1
    assert frames - 1 - (starts[-1] + 15 * stride) < 1


def test_videos_too_short_for_windows_are_refused() -> None:
    with pytest.raises(InputError, match="16 frames are too short; give at least 17"):
        window_starts(16)


def test_frames_too_small_for_ssim_are_refused_before_anything_is_made(kit: ModuleType, tmp_path: Path) -> None:
    """Even where psnr alone is asked: one extractor measures both."""
    check_measurable({"pixels"}, 24, (11, 64))
    check_measurable({"lk", "lite0"}, 24, (10, 64))
    with pytest.raises(InputError, match="frames of 64x10 px are too small.*at least 11 px a side, or leave psnr"):
        check_measurable({"pixels"}, 24, (10, 64))
    suite, model = kit.tiny_suite(), kit.Painter()
    run, info = kit.new_run(tmp_path, model, suite)
    generate(run, model, suite, 0)
    small = dataclasses.replace(info, size=(32, 8))
    with pytest.raises(InputError, match="too small"):
        score(run, small, suite, choose(["psnr"]), make=kit.fakes, cache=tmp_path / "cache")


@pytest.mark.parametrize(("frames", "count", "last"), [(121, 24, 116), (24, 23, 23), (49, 24, 47), (2, 1, 1)])
def test_sampled_frames_begin_with_0_and_1(frames: int, count: int, last: int) -> None:
    index = sampled_frames(frames)
    assert index[:2].tolist() == [0, 1]
    assert (len(index) - 1, index[-1]) == (count, last)
    assert last < frames


def test_every_need_of_the_catalogue_is_served_and_named() -> None:
    needed = {name for m in METRICS.values() if m.embedded for name in m.needs}
    made = extractors(needed)
    assert set(made) == needed
    assert all(e.name == name and e.fingerprint for name, e in made.items())
    assert len({e.fingerprint for e in made.values()}) == len(made)


def test_lazy_makes_its_value_once_for_all_threads() -> None:
    made, gate = [], threading.Barrier(4)

    def make() -> int:
        made.append(1)
        return 7

    lazy = Lazy(make)

    def call(_: int) -> int:
        gate.wait()
        return lazy()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(call, range(4))) == [7] * 4
    assert made == [1]


def test_the_last_video_is_remembered_by_each_thread() -> None:
    last: LastVideo[str] = LastVideo()
    a, b = np.zeros((1, 2, 2, 3), np.uint8), np.zeros((1, 2, 2, 3), np.uint8)
    assert last.get(a, lambda: "a") == "a"
    assert last.get(a, lambda: "again") == "a"
    assert last.get(b, lambda: "b") == "b"
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(last.get, b, lambda: "other thread").result() == "other thread"
    assert last.get(b, lambda: "again") == "b"


def test_pixels_leave_frame_0_out(rng: np.random.Generator) -> None:
    reference = rng.integers(0, 256, (5, 16, 16, 3), np.uint8)
    video = reference.copy()
    video[0] = 0
    found = PixelsExtractor().measure(video, None, reference)  # type: ignore[arg-type]
    assert found["psnr"].tolist() == [100.0] * 4
    assert found["ssim"] == pytest.approx(np.ones(4))


def test_a_video_is_tracked_once_and_its_masks_are_not_kept(kit: ModuleType) -> None:
    """`lk` takes all masks, `lite0` those of the sampled frames, which alone are remembered."""
    case, video = kit.tiny_case("c0")
    shared = Shared()
    track, calls = shared.tracker.track, []

    def counted(video: np.ndarray, case: Case) -> ObjectTracks:
        calls.append(case.id)
        return track(video, case)

    shared.tracker.track = counted  # type: ignore[method-assign]
    found = LKExtractor(shared).measure(video, case, video)
    regions = shared.regions(video, case)
    assert len(calls) == 1 and np.array_equal(regions, found["masks"][:, sampled_frames(len(video))])
    other = video.copy()
    assert np.array_equal(shared.regions(other, case), regions) and len(calls) == 2


def test_masks_that_were_tracked_before_are_not_tracked_again(kit: ModuleType) -> None:
    case, video = kit.tiny_case("c0")
    before = LKExtractor(Shared()).measure(video, case, video)
    shared = Shared()
    shared.tracker.track = None  # type: ignore[method-assign, assignment]
    extractor = LKExtractor(shared)
    assert isinstance(extractor, Recalls) and not isinstance(PixelsExtractor(), Recalls)
    extractor.recall(video, before)
    assert np.array_equal(shared.regions(video, case), before["masks"][:, sampled_frames(len(video))])
    with pytest.raises(TypeError):  # of another video nothing is known
        shared.regions(video.copy(), case)
