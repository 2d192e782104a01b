"""Leaderboards: results of several runs in one long CSV, with a wide Markdown view and the per-case rows beside it.

Only what may be compared is put together: runs of one suite, over the same cases, with the same definitions of metrics
and the same networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan as NAN
from pathlib import Path

import numpy as np

from flashbench import overall
from flashbench.comparison import Beside, Rank, ranks
from flashbench.errors import InputError
from flashbench.files.atomic import write_text
from flashbench.markdown import span, table_lines
from flashbench.metrics.catalogue import METRICS
from flashbench.runs.generate import Tick, silent
from flashbench.runs.results import CASE_COLUMNS, COLUMNS, Row, csv_text
from flashbench.runs.scored import Scored, check_same_measure, read_scored
from flashbench.runs.table import ARROWS, short

BY_STRATUM = ("epe_lk", "miou_lk", "fvd_i3d")
RANKED = ("rank_lo", "rank_hi", "resolvable")  # columns that only a comparison of models can fill


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
        if run.facts["case_ids"] != first.facts["case_ids"]:
            ours, theirs = len(first.facts["case_ids"]), len(run.facts["case_ids"])
            what = f"number of cases is {theirs}, but {ours} in {first.folder}"
            raise InputError(run.folder, what if ours != theirs else "its cases are others", "run the same cases")
    check_same_measure(runs)


Standings = dict[tuple[str, str], list[Rank]]  # (metric, stratum) -> ranks in the order of the runs


def standings(beside: Beside, tick: Tick = silent) -> Standings:
    """Ranks in every metric that has a better way: per-case metrics by stratum and in all, set metrics in all."""
    strata = list(dict.fromkeys([*beside.strata.values(), "all"]))
    wanted = [
        (m, s)
        for m in beside.metrics
        if METRICS[m].direction != "none"
        for s in (strata if METRICS[m].kind == "case" else ["all"])
    ]
    out: Standings = {}
    for done, (metric, stratum) in enumerate(wanted):
        tick("rank", done, len(wanted))
        out[metric, stratum] = ranks(beside, metric, stratum)
    tick("rank", len(wanted), len(wanted))
    return out


def write_leaderboard(
    folders: Sequence[Path], output: Path, cache: Path | None = None, tick: Tick = silent
) -> list[Path]:
    """Writes OUTPUT (long CSV), and beside it .md (wide) and .cases.csv (per-case rows), in the order of the runs.

    Args:
        folders: run folders, scored.
        output: a .csv file.
        cache: folder of reference measurements, which ranks in set metrics need; None: the user's.
        tick: is told the progress.

    Returns:
        The three files, OUTPUT first.

    Raises:
        InputError: OUTPUT is no .csv, a run is not scored or not for a leaderboard, or runs cannot be compared.
    """
    if output.suffix != ".csv":
        raise InputError(output, "does not end with .csv", "name a CSV file with -o")
    runs = [read_scored(folder) for folder in folders]
    check_comparable(runs)
    beside = Beside(runs, cache) if len(runs) > 1 else None
    standing = standings(beside, tick) if beside else {}
    order = overall.order(beside) if beside else "one model has no rank"
    cases, page = output.with_suffix(".cases.csv"), output.with_suffix(".md")
    write_text(cases, csv_text(CASE_COLUMNS, [line for run in runs for line in run.cases]))
    write_text(page, markdown(runs, standing, order, output.name, cases.name))
    lines: list[list[object]] = []
    for i, run in enumerate(runs):
        for row in run.rows:
            lines.append([*(getattr(row, column) for column in COLUMNS), *_rank_cells(standing, row, i)])
        if not isinstance(order, str):
            lines.append(_overall_line(run, order[i]))
    write_text(output, csv_text((*COLUMNS, *RANKED), lines))
    return [output, page, cases]


def _overall_line(run: Scored, standing: overall.Standing) -> list[object]:
    facts, s = run.facts, standing
    row = Row(run.model, facts["suite"]["name"], overall.NAME, "all", len(facts["case_ids"]), s.overall, NAN, NAN, 1.0,
              len(facts["failures"]))  # fmt: skip
    return [*(getattr(row, column) for column in COLUMNS), s.rank_lo, s.rank_hi, s.resolvable]


def _rank_cells(standing: Standings, row: Row, run: int) -> list[float | int | None]:
    """Cells of RANKED; empty where a metric has no better way or a set metric is taken over a stratum."""
    if (row.metric, row.stratum) not in standing:
        return [None] * len(RANKED)
    rank = standing[row.metric, row.stratum][run]
    return [rank.rank_lo, rank.rank_hi, rank.resolvable]


def markdown(runs: Sequence[Scored], standing: Standings, order: overall.Order, long_csv: str, cases_csv: str) -> str:
    """The overall order; all metrics across; some metrics by stratum; then where the numbers come from."""
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
        *overall.page([run.model for run in runs], order),
        "",
        "## Every metric",
        "",
        *table_lines(
            ["model", *(f"{m} {ARROWS[METRICS[m].direction]}".strip() if m in METRICS else m for m in names), "failed"],
            _wide(runs, names),
        ),
        *_ranking(runs, standing),
    ]
    for metric in BY_STRATUM:
        strata = list(dict.fromkeys(row.stratum for run in runs for row in run.rows if row.metric == metric))
        if strata:
            note = ": small samples, mostly bias; compare down a column only" if METRICS[metric].kind == "set" else ""
            lines += [
                "",
                f"## {metric} by number of objects{note}",
                "",
                *table_lines(["model", *strata], _by_stratum(runs, metric, strata)),
            ]
    prints = ", ".join(f"{name} `{value}`" for name, value in facts["metrics"].items())
    lines += [
        "",
        "## Where the numbers come from",
        "",
        f"Fingerprints of the metrics (definition and networks): {prints}.",
        "",
        *table_lines(["model", "fingerprint", "seed", "code", "machine"], [_origin(r) for r in runs]),
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


def _ranking(runs: Sequence[Scored], standing: Standings) -> list[str]:
    """Ranks over all cases with the smallest difference that these cases resolve."""
    whole = {metric: held for (metric, stratum), held in standing.items() if stratum == "all"}
    if not whole:
        return []
    lines = []
    for metric, held in whole.items():
        spans = [span(r.rank_lo, r.rank_hi) for r in held]
        known = [r.resolvable for r in held if r.resolvable == r.resolvable]
        smallest = short(float(np.median(known))) if known else ""
        lines.append([f"{metric} {ARROWS[METRICS[metric].direction]}", *spans, smallest])
    return [
        "",
        "## Ranks by metric",
        "",
        "A span (2-4) means that these cases do not tell those models apart: paired tests over cases, corrected by "
        "Holm over all pairs of models, 5 %. Last column: the smallest true difference that these cases would show "
        "four times in five, the median over pairs.",
        "",
        *table_lines(["metric", *(r.model for r in runs), "resolvable"], lines),
    ]


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
