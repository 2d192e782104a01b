"""How a tracker's error is counted against the truth, and how objects are put into groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flashbench.cases.scenes import sprites_suite
from flashbench.cases.schema import Case, Suite
from flashbench.metrics.protocol import Arrays, Video
from flashbench.runs.session import generate_run
from flashbench.validation import trackers
from flashbench.validation.trackers import Seen, grouped, seen_of, summary


@pytest.fixture(scope="module")
def suite() -> Suite:
    return sprites_suite(6, 64, 17)


class Perfect:
    """A tracker that knows the truth, moved by so many px, and loses the objects on the last frame."""

    name = "lk"

    def __init__(self, off: float) -> None:
        self.off, self.fingerprint = off, f"perfect {off}"

    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        visible = np.stack([o.visible for o in case.objects])
        visible[:, -1] = False
        return {
            "centres": np.stack([o.path for o in case.objects]) + np.float32([self.off, 0]),
            "visible": visible,
            "masks": np.stack([o.masks for o in case.objects]),  # type: ignore[arg-type]
        }


def test_an_exact_tracker_has_no_error_and_a_moved_one_its_shift(suite: Suite) -> None:
    case = suite.load_case(suite.case_ids[3])
    none = np.zeros((1, 1, 1, 3), np.uint8)
    for off in (0.0, 1.5):
        found = Perfect(off).measure(none, case, none)
        for n, o in enumerate(case.objects):
            seen = seen_of(case, found, n)
            assert len(seen.error) == o.visible[1:].sum() == len(seen.lost)  # frame 0 and hidden frames do not count
            assert seen.error == pytest.approx(off * 4, abs=1e-4)  # 64 px of height are 256
            assert seen.overlap.min() == 1 and seen.lost.sum() == o.visible[-1]
            assert o.masks is not None and seen.side == pytest.approx(4 * np.sqrt(o.masks[0].sum()))


def seen(error: list[float], in_view: list[float], side: float = 40.0, lost: int = 0) -> Seen:
    n = len(error)
    return Seen(np.array(error), np.arange(n) < lost, np.full(n, 0.5), np.array(in_view), side)


def test_the_summary_pools_frames() -> None:
    s = summary([seen([1, 1, 9], [1, 1, 1], lost=1), seen([5], [1])])
    assert (s.objects, s.frames, s.median, s.mean) == (2, 4, 3.0, 4.0)
    assert (s.off, s.lost, s.overlap) == (0.5, 0.25, 0.5)  # one lost, another 9 px off


def test_groups() -> None:
    groups = grouped([("line", seen([1, 2], [1, 0.2], 20)), ("circle", seen([3], [0.6], 100))])
    assert list(groups) == [
        "motion: circle", "motion: line", "size: below 32 px", "size: 48 and more px", "in view: below 50 %",
        "in view: 50 % to 95 %", "in view: 95 % and more", "all",
    ]  # fmt: skip
    errors = {name: np.concatenate([s.error for s in held]).tolist() for name, held in groups.items()}
    assert errors["motion: line"] == errors["size: below 32 px"] == [1, 2]
    assert errors["in view: below 50 %"] == [2] and errors["in view: 50 % to 95 %"] == [3]
    assert errors["in view: 95 % and more"] == [1] and errors["all"] == [1, 2, 3]


def test_tables_of_runs(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    opened = generate_run("reference", "sprites-v1", 2, 0, root / "reference").suite
    generate_run("blur@4", "sprites-v1", 2, 0, root / "blur@4")
    found = trackers.tables(root, opened, Perfect(0.5), tmp_path / "cache", "blur", (1.5, 2, 4, 8, 16))
    sharp, blurred = found.values()
    assert list(found) == ["The tracker `lk` against the truth", "The tracker `lk` on frames with blur"]
    assert sharp[-1].startswith("| all | ") and "| 2.00 | 2.00 | " in sharp[-1]
    assert [line.split(" | ")[0] for line in blurred[2:]] == ["| as they are", "| blur 8"]


def test_a_suite_without_motion_families_has_no_tables(tmp_path: Path, suite: Suite) -> None:
    import dataclasses

    bare = dataclasses.replace(suite, load_case=lambda i: dataclasses.replace(suite.load_case(i), meta={}))
    assert trackers.tables(tmp_path, bare, Perfect(0), tmp_path, "blur", (1, 2, 3, 4, 5)) == {}
    case = suite.load_case(suite.case_ids[0])
    asked = case.asked()
    with pytest.raises(ValueError, match="has no masks or no points"):
        seen_of(asked, Perfect(0).measure(np.zeros((1, 1, 1, 3), np.uint8), case, np.zeros((1, 1, 1, 3), np.uint8)), 0)
