"""Writes what was measured into the README, between its markers: the printed table of the main job, the rows, and how
benchmarks/results.csv stands to the targets.

    python scripts/fill_readme.py                                         # the targets alone
    python scripts/fill_readme.py runs/reference ... runs/flashmotion-4step
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
from rich.console import Console

from flashbench import overall
from flashbench.files.atomic import write_bytes
from flashbench.markdown import span, table_lines
from flashbench.metrics.catalogue import METRICS
from flashbench.runs.layout import read_run
from flashbench.runs.scored import Scored, check_same_measure, read_scored
from flashbench.runs.table import ARROWS, results_table, short

ROOT = Path(__file__).parents[1]
BOARD = ROOT / "leaderboards" / "sprites-v1.csv"
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "scripts")]
import run as bench  # noqa: E402
from pages import put  # noqa: E402

COLUMNS = ("fvd_i3d", "fid_lite0", "epe_lk", "miou_lk", "biou_lk", "psnr", "text_lit", "seconds")


class Target(NamedTuple):
    """What was asked for, in words, and the row of benchmarks/results.csv that measures it."""

    words: str
    part: str
    quantity: str
    bound: str
    unit: str = ""


_LARGE = "score, 1280 x 720, 121 frames, 6 objects"
_SUMS = "summing up, cases: "
_BUILDING = "building, cases: largest peak over smallest"
_ONE_PASS = "times faster, were points, overlaps and motion read off one pass"
_FRECHET = "D=1280 N=256: "
_EXCESS = "epe_lk_excess of slow-50step over static's, "
TARGETS = (
    Target("`make eval` on a fresh clone, installation included", "fresh_clone", "together", "< 720", "s"),
    Target("its peak memory", "fresh_clone", "peak memory of make eval", "< 4", "GiB"),
    Target(
        "the evaluation alone, the first time",
        "eval_cost",
        "generate and score, 48 cases, the first time on a machine",
        "< 360",
        "s",
    ),
    Target("the same for every later model", "eval_cost", "generate and score, 48 cases", "< 360", "s"),
    Target("its peak memory while generating", "eval_cost", "peak memory, generate", "< 4", "GiB"),
    Target("its peak memory while scoring", "eval_cost", "peak memory, score", "< 4", "GiB"),
    Target("1,000 cases of 121 x 128 x 128 px built", "build_cost", "1,000 cases, extrapolated", "< 600", "s"),
    Target("scoring a case of 1280 x 720, six objects", "large_case", _LARGE, "< 90", "s"),
    Target("its peak memory", "large_case", "peak memory", "< 3", "GiB"),
    Target("scoring against a loop a metric of known pieces", "composition", "times faster", ">= 3", "x"),
    Target("the same, points, overlaps and motion read off one pass", "composition", _ONE_PASS, "", "x"),
    Target("over the networks' arithmetic alone", "composition", "flashbench score over the floor", "< 1.5", "x"),
    Target("two shards on two cores against one process", "shards", "times faster", ">= 1.7", "x"),
    Target("exponent of the time to sum up 4,800 cases", "growth_cases", _SUMS + "exponent of the time", "< 1.1"),
    Target("peak memory, 4,800 cases over 48", "growth_cases", _SUMS + "largest peak over smallest", "< 1.2", "x"),
    Target("peak memory of building, 10,000 cases over 100", "growth_build", _BUILDING, "< 1.2", "x"),
    Target("few steps against fifty", "few_steps", "times faster", ">= 10", "x"),
    Target(
        "Frechet distance against `sqrtm` (1280 features, 256 rows)",
        "frechet",
        _FRECHET + "times faster than sqrtm",
        ">= 50",
        "x",
    ),
    Target("its relative error", "frechet", _FRECHET + "relative error", "<= 1e-9"),
    Target("of a set to itself, relative", "frechet", _FRECHET + "FD(X, X) / tr S", "< 1e-12"),
    Target(
        "FVD's known answer: off TensorFlow's 10.138085 by",
        "i3d_known_answer",
        "difference from TensorFlow's 10.138085",
        "< 1e-3",
    ),
    Target(
        "the tracker's floor: median `epe_lk`", "tracker_floor", "epe_lk, median of the videos", "< 0.6", "px of 256"
    ),
    Target("points that it loses", "tracker_floor", "visible points more than 8 px off", "< 3", "%"),
    Target("its `miou_lk`", "tracker_floor", "miou_lk, mean of the videos", "> 0.85"),
    Target(
        "`epe_lk`: better of `static`, `shuffled` over the worst model",
        "rows",
        "epe_lk, better of static and shuffled over the worst model",
        "> 2",
        "x",
    ),
    Target("`fvd_i3d`: `static` over the references' floor", "rows", "fvd_i3d of static over the floor", "> 1", "x"),
    Target("`epe_lk_excess`: `slow-50step` over `static`, 1 object", "rows", _EXCESS + "1 object", "< 0.5", "x"),
    Target("the same, 2 objects", "rows", _EXCESS + "2 objects", "< 0.5", "x"),
    Target("the same, 3 objects", "rows", _EXCESS + "3 objects", "< 0.5", "x"),
)


def targets(rows: Sequence[dict[str, str]]) -> str:
    """One line a target: what is asked, what was measured, on which machine; `not measured` where nothing was."""
    held = {(r["part"], r["quantity"]): r for r in rows}
    found = [(t, held.get((t.part, t.quantity))) for t in TARGETS]
    machines = list(dict.fromkeys(r["machine"] for _, r in found if r is not None))
    lines = ["| | target | measured | machine, date |", "| - | - | - | - |"]
    for t, r in found:
        measured, at = "not measured", ""
        if r is not None:
            measured = bench.shown(r) + (" (**missed**)" if bench.met({**r, "target": t.bound}) is False else "")
            at = f"{machines.index(r['machine']) + 1}, {r['date']}"
        lines.append(f"| {t.words} | {f'{t.bound} {t.unit}'.strip() if t.bound else ''} | {measured} | {at} |")
    return "\n".join([*lines, "", *(f"Machine {i}: {m}.  " for i, m in enumerate(machines, 1))]).rstrip()


def printed(run: Scored) -> str:
    """What `flashbench eval` prints."""
    info, out = read_run(run.folder), io.StringIO()
    Console(file=out, width=100, highlight=False, markup=False, emoji=False).print(results_table(run.rows))
    lines = "\n".join(line.rstrip() for line in out.getvalue().splitlines())
    head = f"{info.model} on {info.suite} (seed {info.seed}): runs/{run.folder.name}/results.csv"
    return f"```text\n{head}\n\n{lines.strip()}\n```"


def beside(runs: tuple[Scored, ...], main: str) -> str:
    """One line a model, with its place in the overall order of the leaderboard."""
    with BOARD.open(newline="", encoding="utf-8") as file:
        order = {r["model"]: r for r in csv.DictReader(file) if r["metric"] == overall.NAME}
    lines = []
    for run in runs:
        values, place = {r.metric: r.value for r in run.rows if r.stratum == "all"}, order[run.model]
        shown = f"**{run.model}**" if run.model == main else run.model
        rank = span(int(place["rank_lo"]), int(place["rank_hi"]))
        lines.append([shown, short(float(place["value"])), rank, *(short(values[c]) for c in COLUMNS)])
    head = [f"{c} {ARROWS[METRICS[c].direction]}" for c in COLUMNS]
    return "\n".join(table_lines(["model", f"{overall.NAME} ↑", "rank", *head], lines))


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--main", "main_job", default="flashmotion-4step", show_default=True)
def main(runs: tuple[Path, ...], main_job: str) -> None:
    """Puts the targets, and the results of RUNS if there are any, into README.md."""
    text = put((ROOT / "README.md").read_text(), "targets", targets(bench.read(bench.CSV)))
    if runs:
        text = with_runs(text, runs, main_job)
    write_bytes(ROOT / "README.md", text.encode())


def with_runs(text: str, runs: tuple[Path, ...], main_job: str) -> str:
    """The README with what RUNS gave."""
    held = tuple(read_scored(run) for run in runs)
    check_same_measure(held)
    chosen = next(run for run in held if run.model == main_job)
    cpu = chosen.facts["environment"]["cpu"]
    strata = {r.stratum: r.n for r in chosen.rows if r.metric == "psnr"}
    each = ", ".join(sorted({str(n) for stratum, n in strata.items() if stratum != "all"}))
    count = f"{strata['all']} cases, {each} for each number of objects"
    text = put(text, "machine", f"It prints ({count}; on {cpu['model']}, {cpu['cores']} cores):")
    text = put(text, "printed", printed(chosen))
    return put(text, "rows", beside(held, main_job))


if __name__ == "__main__":
    main()
