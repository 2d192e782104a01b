"""The run folder: what lies where, what the run is, and whether a command may go on with it.

    run.json                               what the run is: model, suite, seed, cases
    videos/ID.mkv                          lossless answers
    timings/ID.json                        seconds of the first time, and the sha256 of the decoded frames
    failures/ID.json                       why a case has no answer
    measurements/<extractor>/<sha256>.npz  what was measured in an answer
    cases.parquet, cases.csv               per-case rows
    results.json, results.csv              provenance, rows by stratum

A unit of work (a case generated, a video measured) is one file, written atomically: what exists is done.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from flashbench.cases.schema import Suite
from flashbench.errors import InputError
from flashbench.files.atomic import read_json, sha256_json, write_json
from flashbench.runs.provenance import environment

RUN_VERSION = 1
CHECKSUM = "sha256_of_the_rest"  # field of run.json


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run folder."""

    root: Path

    @property
    def description(self) -> Path:
        return self.root / "run.json"

    def video(self, case_id: str) -> Path:
        return self.root / "videos" / f"{case_id}.mkv"

    def timing(self, case_id: str) -> Path:
        return self.root / "timings" / f"{case_id}.json"

    def failure(self, case_id: str) -> Path:
        return self.root / "failures" / f"{case_id}.json"

    @property
    def measurements(self) -> Path:
        return self.root / "measurements"

    def answered(self, case_id: str) -> bool:
        """True where the case's unit is done: its video and its timing are there."""
        return self.video(case_id).is_file() and self.timing(case_id).is_file()


def read_timing(path: Path) -> dict[str, Any]:
    """What a timing says: `seconds`, a number from 0, and `frames_sha256`. InputError where it is damaged."""
    facts = read_json(path)
    seconds = facts.get("seconds") if isinstance(facts, dict) else None
    if not isinstance(seconds, int | float) or not seconds >= 0:
        what, mend = "field seconds is missing or not a number", "delete it and run `flashbench generate` again"
        raise InputError(path, what, mend)
    return cast("dict[str, Any]", facts)


@dataclass(frozen=True)
class RunInfo:
    """What a run is. Two commands may share a folder only where all but `model_info` and `source` agree.

    Attributes:
        model, model_fingerprint, model_info: see `models.protocol.VideoModel`.
        suite: its name; source: what was typed to open it (name or path).
        suite_sha256, suite_seed, size, frames, fps, condition: see `cases.schema.Suite`.
        suite_cases: number of cases of the whole suite; case_ids: the asked ones, in order.
        seed: seed of the generation.
    """

    model: str
    model_fingerprint: str
    model_info: dict[str, Any]
    suite: str
    source: str
    suite_sha256: str
    suite_seed: int
    size: tuple[int, int]
    frames: int
    fps: float
    condition: str
    suite_cases: int
    case_ids: tuple[str, ...]
    seed: int

    @property
    def not_for_leaderboard(self) -> str | None:
        """Why the run must not enter a leaderboard, or None."""
        if len(self.case_ids) < self.suite_cases:
            return f"{len(self.case_ids)} of the suite's {self.suite_cases} cases"
        return None


def describe(model: Any, suite: Suite, source: str, suite_cases: int, seed: int) -> RunInfo:
    """RunInfo of a model's run over a suite."""
    return RunInfo(
        model=model.name,
        model_fingerprint=model.fingerprint,
        model_info=dict(model.info),
        suite=suite.name,
        source=source,
        suite_sha256=suite.content_sha256,
        suite_seed=suite.seed,
        size=suite.size,
        frames=suite.frames,
        fps=suite.fps,
        condition=suite.condition,
        suite_cases=suite_cases,
        case_ids=suite.case_ids,
        seed=seed,
    )


def check_run(root: Path, info: RunInfo) -> None:
    """Refuses, without writing anything, a folder that holds another run or something else."""
    if RunFolder(root).description.exists():
        _check_same(RunFolder(root).description, read_run(root), info)
    elif root.exists() and (not root.is_dir() or any(not p.name.startswith(".") for p in root.iterdir())):
        raise InputError(root, "is not a run folder and not empty", "choose another one with -o")


def open_run(root: Path, info: RunInfo) -> RunFolder:
    """A run folder for `info`: a new one, or the one that is there if it holds the same run."""
    check_run(root, info)
    run = RunFolder(root)
    if not run.description.exists():
        held = {"version": RUN_VERSION, "not_for_leaderboard": info.not_for_leaderboard, **dataclasses.asdict(info)}
        held["environment"] = environment()
        write_json(run.description, {**held, CHECKSUM: sha256_json(held)})
    return run


def generated_in(root: Path) -> Any:
    """The environment in which a run was begun, which its `seconds` depend on (see `provenance.environment`)."""
    return read_json(RunFolder(root).description).get("environment")


def read_run(root: Path) -> RunInfo:
    """What the run in a folder is: its `run.json`.

    Raises:
        InputError: no run folder, another version, a missing field, or a file that was damaged or edited.
    """
    path = RunFolder(root).description
    if not path.is_file():
        raise InputError(root, "is not a run folder (no run.json)", "make one with `flashbench generate`")
    value = read_json(path)
    names = {f.name for f in dataclasses.fields(RunInfo)}
    if not isinstance(value, dict) or value.get("version") != RUN_VERSION or not names <= set(value):
        lacking = sorted(names - set(value)) if isinstance(value, dict) else ["everything"]
        what = f"is not of version {RUN_VERSION}, or lacks {', '.join(lacking) or 'nothing'}"
        raise InputError(path, what, "delete the folder and run again")
    if value.pop(CHECKSUM, None) != sha256_json(value):
        raise InputError(path, f"is damaged, or was edited (field {CHECKSUM})", "delete the folder and run again")
    held = {name: value[name] for name in names}
    held["size"], held["case_ids"] = tuple(held["size"]), tuple(held["case_ids"])
    return RunInfo(**held)


def _check_same(path: Path, held: RunInfo, asked: RunInfo) -> None:
    for name, old, new in _differences(held, asked):
        raise InputError(path, f"{name} is {old}, asked for {new}", "choose another folder with -o, or delete this one")


def _differences(held: RunInfo, asked: RunInfo) -> Iterator[tuple[str, str, str]]:
    what_matters = ("model", "suite", "seed", "size", "frames", "fps", "condition", "case_ids")
    for name in (*what_matters, "suite_sha256", "model_fingerprint"):
        old, new = getattr(held, name), getattr(asked, name)
        if name == "case_ids" and old != new:
            old, new = (f"{len(ids)} cases from {ids[0]} to {ids[-1]}" for ids in (old, new))
            yield "the set of cases", old, new
        elif old != new:
            yield name, _short(old), _short(new)


def _short(value: Any) -> str:
    text = str(value)
    return text[:16] + "..." if re.fullmatch(r"[0-9a-f]{40,}", text) else text


def folder_name(model_name: str) -> str:
    """A plain file name made of a model's name (`videos:some/folder` -> `videos-some-folder`)."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", model_name).strip("-.") or "model"


def case_seed(suite: str, case_id: str, seed: int) -> int:
    """Seed of one case's generation: 31 bits of sha256 over (suite, case id, seed), whatever the order of cases."""
    digest = hashlib.sha256(json.dumps([suite, case_id, seed]).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
