"""Leaderboards: results of several runs in one long CSV, with a wide Markdown view and the per-case rows beside it.

Only what may be compared is put together: runs of one suite, over the same cases, with the same definitions of metrics
and the same networks.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flashbench.errors import InputError
from flashbench.files.atomic import read_json, write_text
from flashbench.metrics.catalogue import METRICS
from flashbench.runs.results import CASE_COLUMNS, COLUMNS, Row, csv_text
from flashbench.runs.score import RESULTS_VERSION
from flashbench.runs.table import ARROWS, short

NAN = float("nan")
BY_STRATUM = ("epe_lk", "miou_lk", "fvd_i3d")


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


def check_comparable(runs: Sequence[Scored]) -> None:
    """Refuses runs that may not stand in one table, saying which and why."""
    if not runs:
        raise InputError("leaderboard", "no run was given", "name at least one run folder")
    first, models = runs[0], dict[str, Scored]()
    for run in runs:
        if reason := run.facts["not_for_leaderboard"]:
            raise InputError(run.folder, f"is not for a leaderboard: {reason}", "run it on the whole suite")
        if (other := models.setdefault(run.model, run)) is not run:
            raise InputError(run.folder, f"model {run.model!r} is also that of {other.folder}", "give one run a model")
        for what, ours, theirs in _differences(first.facts, run.facts):
            mend = "leave one of them out, or run it again on the same suite with the same version"
            raise InputError(run.folder, f"{what} is {theirs}, but {ours} in {first.folder}", mend)


def _differences(a: dict[str, Any], b: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(what, value in a, value in b) of everything that forbids a comparison."""
    found = [(f"suite {k}", str(a["suite"][k]), str(b["suite"][k])) for k in ("name", "content_sha256")]
    found.append(("number of cases", str(len(a["case_ids"])), str(len(b["case_ids"]))))
    for name in dict.fromkeys([*a["metrics"], *b["metrics"]]):
        ours, theirs = (str(x["metrics"].get(name, "absent")) for x in (a, b))
        found.append((f"fingerprint of metric {name}", ours, theirs))
    return [f for f in found if f[1] != f[2]]


def write_leaderboard(folders: Sequence[Path], output: Path) -> list[Path]:
    """Writes OUTPUT (long CSV), and beside it .md (wide) and .cases.csv (per-case rows), in the order of the runs."""
    if output.suffix != ".csv":
        raise InputError(output, "does not end with .csv", "name a CSV file with -o")
    runs = [read_scored(folder) for folder in folders]
    check_comparable(runs)
    cases, page = output.with_suffix(".cases.csv"), output.with_suffix(".md")
    write_text(cases, csv_text(CASE_COLUMNS, [line for run in runs for line in run.cases]))
    write_text(page, markdown(runs, output.name, cases.name))
    lines = [[getattr(row, column) for column in COLUMNS] for run in runs for row in run.rows]
    write_text(output, csv_text(COLUMNS, lines))
    return [output, page, cases]


def markdown(runs: Sequence[Scored], long_csv: str, cases_csv: str) -> str:
    """The wide view: models down, metrics across; then some metrics by stratum; then where the numbers come from."""
    facts = runs[0].facts
    suite, n = facts["suite"], len(facts["case_ids"])
    height, width = suite["size"]
    names = list(dict.fromkeys(row.metric for run in runs for row in run.rows))
    lines = [
        f"# {suite['name']}",
        "",
        f"{n} cases of {suite['frames']} frames, {width} x {height} px, {suite['fps']:g} frames a second, condition "
        f"`{suite['condition']}`, content `{suite['content_sha256'][:16]}`. Long rows with intervals: "
        f"[{long_csv}]({long_csv}); per-case rows: [{cases_csv}]({cases_csv}).",
        "Floor: the same metric on the reference videos (set metrics: one half of them against the other, at half n). "
        "Arrows say which way is better; `flashbench list metrics` says what each is and cannot see.",
        "",
        *_table(
            ["model", *(f"{m} {ARROWS[METRICS[m].direction]}".strip() if m in METRICS else m for m in names), "failed"],
            _wide(runs, names),
        ),
    ]
    for metric in BY_STRATUM:
        strata = list(dict.fromkeys(row.stratum for run in runs for row in run.rows if row.metric == metric))
        if strata:
            note = ": small samples, mostly bias; compare down a column only" if METRICS[metric].kind == "set" else ""
            lines += [
                "",
                f"## {metric} by number of objects{note}",
                "",
                *_table(["model", *strata], _by_stratum(runs, metric, strata)),
            ]
    prints = ", ".join(f"{name} `{value}`" for name, value in facts["metrics"].items())
    lines += [
        "",
        "## Where the numbers come from",
        "",
        f"Fingerprints of the metrics (definition and networks): {prints}.",
        "",
        *_table(["model", "fingerprint", "seed", "code", "machine"], [_origin(r) for r in runs]),
    ]
    return "\n".join(lines) + "\n"


def _wide(runs: Sequence[Scored], names: Sequence[str]) -> list[list[str]]:
    lines, floors = [], dict.fromkeys(names, NAN)
    for run in runs:
        whole = {row.metric: row for row in run.rows if row.stratum == "all"}
        lines.append(
            [run.model, *(short(whole[m].value) if m in whole else "" for m in names), str(len(run.facts["failures"]))]
        )
        floors.update({m: row.floor for m, row in whole.items() if row.floor == row.floor})
    return [*lines, ["*floor*", *(short(floors[m]) for m in names), ""]]


def _by_stratum(runs: Sequence[Scored], metric: str, strata: Sequence[str]) -> list[list[str]]:
    lines = []
    for run in runs:
        of = {row.stratum: row for row in run.rows if row.metric == metric}
        lines.append([run.model, *(short(of[s].value) if s in of else "" for s in strata)])
    return lines


def _origin(run: Scored) -> list[str]:
    environment = run.facts["environment"]
    commit, cpu = environment["code"]["commit"], environment["cpu"]
    code = (
        f"`{commit[:12]}`{' with changes' if environment['code']['dirty'] else ''}"
        if commit
        else environment["flashbench"]
    )
    return [
        run.model,
        f"`{run.facts['model']['fingerprint'][:16]}`",
        str(run.facts["seed"]),
        code,
        f"{cpu['model']} ({cpu['flags']})",
    ]


def _table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    cells = [[cell.replace("|", "\\|") for cell in line] for line in [header, ["-"] * len(header), *lines]]
    return [f"| {' | '.join(line)} |" for line in cells]
