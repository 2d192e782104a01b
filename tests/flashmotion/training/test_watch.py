"""A collapsed run is stopped, in one life or in two."""

from __future__ import annotations

from pathlib import Path

from flashmotion.training.watch import WINDOW, Watch

LIMITS = {"motion": (0.2, 4.0)}


def feed(watch: Watch, value: float, times: int) -> list[str | None]:
    return [watch.check({"motion": value, "other": 9.0}) for _ in range(times)]


def test_a_full_window_out_of_bounds_is_told(tmp_path: Path) -> None:
    found = feed(Watch(LIMITS, tmp_path / "log.csv"), 0.1, WINDOW)
    assert found[:-1] == [None] * (WINDOW - 1)
    assert found[-1] == f"motion is 0.1 over the last {WINDOW} values, healthy is 0.2 to 4"
    assert "motion is 5" in str(feed(Watch(LIMITS, tmp_path / "log.csv"), 5, WINDOW)[-1])


def test_a_bad_moment_is_not(tmp_path: Path) -> None:
    watch = Watch(LIMITS, tmp_path / "log.csv")
    assert set(feed(watch, 1.0, WINDOW) + feed(watch, 0.0, WINDOW // 2) + feed(watch, 1.0, WINDOW)) == {None}
    assert watch.check({"other": 1.0}) is None


def test_a_resumed_run_remembers(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = "".join(f"{k},{'' if k % 2 else 0.1}\n" for k in range(2 * WINDOW - 2))  # every second step has a value
    log.write_text("step,motion\n" + rows)
    watch = Watch(LIMITS, log)
    assert watch.check({"motion": 0.1}) is not None and len(watch.last["motion"]) == WINDOW


def test_nothing_to_watch(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,motion\n1,0.0\n")
    assert feed(Watch({}, tmp_path / "log.csv"), 0.0, 2 * WINDOW) == [None] * 2 * WINDOW
