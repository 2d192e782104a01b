"""The run folder: what it says, whom it lets in, and seeds that do not depend on the order of cases."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import ModuleType

import pytest

from flashbench.errors import InputError
from flashbench.runs import layout


def info(kit: ModuleType, **changes: object) -> layout.RunInfo:
    made = layout.describe(kit.Painter(), kit.tiny_suite(), "tiny", 4, 0)
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def test_description_comes_back_as_it_was_written(kit: ModuleType, tmp_path: Path) -> None:
    made = info(kit, model_info={"steps": 4})
    run = layout.open_run(tmp_path / "run", made)
    assert layout.read_run(run.root) == made
    assert layout.open_run(tmp_path / "run", made) == run
    held = json.loads(run.description.read_text())
    assert held["suite_sha256"] == kit.tiny_suite().content_sha256
    assert held["not_for_leaderboard"] is None


def test_fewer_cases_than_the_suite_are_marked(kit: ModuleType, tmp_path: Path) -> None:
    run = layout.open_run(tmp_path / "run", info(kit, suite_cases=48))
    assert json.loads(run.description.read_text())["not_for_leaderboard"] == "4 of the suite's 48 cases"


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("model", "other", "model is painter, asked for other"),
        ("model_fingerprint", "0" * 64, "model_fingerprint is ffffffffffffffff..., asked for 0000000000000000..."),
        ("suite", "other", "suite is tiny"),
        ("suite_sha256", "0" * 64, "suite_sha256"),
        ("seed", 1, "seed is 0, asked for 1"),
        ("case_ids", ("c0",), "the set of cases is 4 cases from c0 to c3, asked for 1 cases from c0 to c0"),
    ],
)
def test_another_run_is_refused_and_nothing_is_touched(
    kit: ModuleType, tmp_path: Path, field: str, value: object, named: str
) -> None:
    run = layout.open_run(tmp_path / "run", info(kit))
    before = run.description.read_bytes()
    with pytest.raises(InputError, match="choose another folder with -o") as caught:
        layout.open_run(run.root, info(kit, **{field: value}))
    assert named in str(caught.value)
    assert str(run.description) in str(caught.value)
    assert run.description.read_bytes() == before


def test_facts_about_the_model_may_change(kit: ModuleType, tmp_path: Path) -> None:
    layout.open_run(tmp_path / "run", info(kit))
    layout.open_run(tmp_path / "run", info(kit, model_info={"device": "cpu"}, source="elsewhere/tiny"))


def test_a_folder_with_other_things_is_refused(kit: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="not a run folder and not empty"):
        layout.open_run(tmp_path, info(kit))
    with pytest.raises(InputError, match="not a run folder and not empty"):
        layout.open_run(tmp_path / "letter.txt", info(kit))
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', '{"version": 99}'])
def test_a_damaged_description_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match="run.json"):
        layout.read_run(tmp_path)


def test_no_run_folder_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="flashbench generate"):
        layout.read_run(tmp_path / "nowhere")


def test_case_seeds_differ_and_fit_everywhere() -> None:
    seeds = {layout.case_seed(s, c, k) for s in "ab" for c in ("1-0", "1-1") for k in (0, 1)}
    assert len(seeds) == 8
    assert all(0 <= s < 2**31 for s in seeds)
    assert layout.case_seed("sprites-v1", "1-0000", 0) == layout.case_seed("sprites-v1", "1-0000", 0)


@pytest.mark.parametrize(
    ("name", "folder"),
    [("flashmotion-4step", "flashmotion-4step"), ("videos:out/my clips", "videos-out-my-clips"), ("..", "model")],
)
def test_folder_names_are_plain(name: str, folder: str) -> None:
    assert layout.folder_name(name) == folder
