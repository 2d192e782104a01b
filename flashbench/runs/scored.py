"""A scored run, read back; and which runs measure the same thing in the same way."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan as NAN
from pathlib import Path
from typing import Any

from flashbench.errors import InputError
from flashbench.files.atomic import read_json
from flashbench.runs.results import CASE_COLUMNS, Row
from flashbench.runs.score import RESULTS_VERSION

NUMBER = (int, float)
TEXT_OR_NONE = (str, type(None))
# What is read of results.json: the kind of each field; [kind, ...]: a list of any length.
FACTS: dict[str, Any] = {
    "rows": [dict, ...],
    "model": {"name": str, "fingerprint": str, "info": dict},
    "suite": {
        "name": str, "content_sha256": str, "size": [int, int], "frames": int, "fps": NUMBER, "condition": str,
    },
    "seed": int,
    "case_ids": [str, ...],
    "failures": dict,
    "not_for_leaderboard": TEXT_OR_NONE,
    "metrics": dict,
    "environment": {
        "flashbench": str,
        "cpu": {"model": TEXT_OR_NONE, "flags": TEXT_OR_NONE},
        "code": {"commit": TEXT_OR_NONE, "dirty": (bool, type(None))},
    },
}  # fmt: skip
ROW = {f.name: {"str": str, "int": int, "float": NUMBER}[str(f.type)] for f in dataclasses.fields(Row)}


@dataclass(frozen=True)
class Scored:
    """A scored run: its folder, results.json, rows, and the lines of its cases.csv."""

    folder: Path
    facts: dict[str, Any]
    rows: list[Row]
    cases: list[list[str]]

    @property
    def model(self) -> str:
        return str(self.facts["model"]["name"])


def read_scored(folder: Path) -> Scored:
    """Reads a run's results; InputError where it is not scored, or damaged."""
    path = folder / "results.json"
    if not path.is_file():
        raise InputError(folder, "has no results.json", f"run `flashbench score {folder}` first")
    facts, mend = read_json(path), f"run `flashbench score {folder}` again"
    if not isinstance(facts, dict) or facts.get("version") != RESULTS_VERSION:
        raise InputError(path, f"field version is not {RESULTS_VERSION}", mend)
    if wrong := _wrong(facts, FACTS):
        raise InputError(path, f"field {wrong} is missing or wrong", mend)
    rows: list[dict[str, Any]] = [{k: NAN if v is None else v for k, v in fields.items()} for fields in facts["rows"]]
    for k, row in enumerate(rows):
        if wrong := _wrong(row, ROW, f"rows[{k}]."):
            raise InputError(path, f"field {wrong} is missing or wrong", mend)
    held = [Row(**{name: row[name] for name in ROW}) for row in rows]
    return Scored(folder, facts, held, _read_cases(folder / "cases.csv", mend))


def _wrong(facts: dict[str, Any], shape: dict[str, Any], at: str = "") -> str | None:
    """The first field that `facts` lacks or holds as another kind than `shape` says, or None."""
    for name, kind in shape.items():
        value = facts.get(name, ...)
        if isinstance(kind, dict):
            if not isinstance(value, dict):
                return at + name
            if wrong := _wrong(value, kind, f"{at}{name}."):
                return wrong
        elif isinstance(kind, list):
            if not isinstance(value, list) or not _is_list_of(value, kind):
                return at + name
        elif not isinstance(value, kind):
            return at + name
    return None


def _is_list_of(value: list[Any], kinds: list[Any]) -> bool:
    """True where each item is of its kind; [kind, ...]: any number of one kind."""
    each = [kinds[0]] * len(value) if ... in kinds else kinds
    return len(value) == len(each) and all(map(isinstance, value, each))


def _read_cases(path: Path, mend: str) -> list[list[str]]:
    """The lines of cases.csv below its header."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header, *cases = list(csv.reader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(path, "is missing, empty or no CSV", mend) from error
    if tuple(header) != CASE_COLUMNS or any(len(line) != len(CASE_COLUMNS) for line in cases):
        raise InputError(path, f"columns are not {','.join(CASE_COLUMNS)}", mend)
    for number, line in enumerate(cases, start=2):
        for name, cell in zip(CASE_COLUMNS, line, strict=True):
            if name in ("value", "floor") and not _is_number(cell):
                raise InputError(path, f"line {number}: field {name} is {cell!r}", mend)
    return cases


def _is_number(cell: str) -> bool:
    """True for a number, and for the empty cell that stands for NaN."""
    try:
        return cell == "" or isinstance(float(cell), float)
    except ValueError:
        return False


def check_same_measure(runs: Sequence[Scored]) -> None:
    """Refuses runs of unlike suites or with unlike definitions of metrics, saying which and why."""
    for run in runs[1:]:
        for what, ours, theirs in _differences(runs[0].facts, run.facts):
            mend = "leave one of them out, or run it again on the same suite with the same version"
            raise InputError(run.folder, f"{what} is {theirs}, but {ours} in {runs[0].folder}", mend)


def _differences(a: dict[str, Any], b: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(what, value in a, value in b) of everything that forbids a comparison."""
    found = [(f"suite {k}", str(a["suite"][k]), str(b["suite"][k])) for k in ("name", "content_sha256")]
    ours, theirs = (str(x["model"].get("info", {}).get("conformed", "no")) for x in (a, b))
    found.append(("conforming of answers (--conform)", ours, theirs))
    for name in dict.fromkeys([*a["metrics"], *b["metrics"]]):
        ours, theirs = (str(x["metrics"].get(name, "absent")) for x in (a, b))
        found.append((f"fingerprint of metric {name}", ours, theirs))
    return [f for f in found if f[1] != f[2]]
