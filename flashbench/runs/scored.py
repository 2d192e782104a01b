"""A scored run, read back; and which runs measure the same thing in the same way."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan as NAN
from pathlib import Path
from typing import Any

from flashbench.errors import InputError
from flashbench.files.atomic import read_json
from flashbench.runs.results import CASE_COLUMNS, Row
from flashbench.runs.score import RESULTS_VERSION


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
    try:
        rows = [_row(fields) for fields in facts["rows"]]
        _ = facts["suite"]["content_sha256"], facts["metrics"], facts["case_ids"], facts["model"]["fingerprint"]
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(path, f"a field is missing or wrong ({error})", mend) from error
    try:
        with open(folder / "cases.csv", newline="", encoding="utf-8") as file:
            header, *cases = list(csv.reader(file))
    except (OSError, ValueError) as error:
        raise InputError(folder / "cases.csv", "is missing or empty", mend) from error
    if tuple(header) != CASE_COLUMNS or any(len(line) != len(CASE_COLUMNS) for line in cases):
        raise InputError(folder / "cases.csv", f"columns are not {','.join(CASE_COLUMNS)}", mend)
    return Scored(folder, facts, rows, cases)


def _row(fields: dict[str, Any]) -> Row:
    held: dict[str, Any] = {name: NAN if value is None else value for name, value in fields.items()}
    return Row(**held)


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
