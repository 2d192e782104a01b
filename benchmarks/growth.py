"""How time and memory grow: of summing up a run with its cases, of the leaderboard with its models, of building with
the cases of a suite.

    python benchmarks/growth.py [--cases 48 480 4800] [--models 5 20 100] [--build 100 1000 10000]

Scoring a case takes what it takes, whatever their number (`eval_cost`); what could grow faster is what is done with all
of them. So the measurements of 48 cases of `static` are taken again and again under other names, and one process reads
them, sums them up by stratum with all metrics, and writes the tables. Its peak is the whole process's, the scoring of
one case (already measured) included. The leaderboard is made of copies of that run under other names, with its ranks,
intervals and tests of all pairs in every stratum, which are as the square of the models. The exponent is that of the
time between the two largest numbers.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from reporting import BIN, Usage, measured, row

MIB, CASES = 2**20, 48


def peak() -> float:
    """Peak of this process in MiB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else math.nan


def summed_up(folder: Path, count: int) -> None:
    """Prints seconds and peak of summing up `count` cases, the run's own again and again."""
    from flashbench.cases.suites import open_suite
    from flashbench.metrics.catalogue import choose
    from flashbench.runs.extractors import extractors
    from flashbench.runs.layout import RunFolder, read_run
    from flashbench.runs.measure import Plan, score_case
    from flashbench.runs.results import summarise, write_results
    from flashbench.runs.score import default_cache

    info = read_run(folder)
    suite = open_suite(info.source)
    metrics = choose(None, suite.pictures)
    plan = Plan(RunFolder(folder), suite, metrics, extractors({n for m in metrics for n in m.needs}), default_cache())
    few = [score_case(plan, i) for i in suite.case_ids]
    scores = [replace(few[k % CASES], case_id=f"{few[k % CASES].case_id}-{k // CASES}") for k in range(count)]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        write_results(Path(out), summarise("static", suite.name, scores, metrics), scores, {})
    print(json.dumps([time.perf_counter() - start, peak()]))


def copies(run: Path, into: Path, count: int) -> list[Path]:
    """Run folders like `run`, each of a model of another name."""
    made = []
    for k in range(count):
        copy = into / f"model-{k:03d}"
        shutil.copytree(run, copy, copy_function=lambda a, b: Path(b).hardlink_to(a))
        for name in ("run.json", "results.json", "results.csv", "cases.csv"):
            text = (run / name).read_text()
            (copy / name).unlink()
            (copy / name).write_text(text.replace('"static"', f'"{copy.name}"').replace("static,", f"{copy.name},"))
        made.append(copy)
    return made


def exponent(sizes: list[int], seconds: list[float]) -> float:
    return math.log(seconds[-1] / seconds[-2]) / math.log(sizes[-1] / sizes[-2])


def grown(name: str, sizes: list[int], used: list[tuple[float, float]], flat: bool = True) -> None:
    """Rows of one kind: seconds and peak (MiB) by size, and how they grow. flat: they are to be flat and linear."""
    for size, (seconds, mib) in zip(sizes, used, strict=True):
        row(f"{name} {size}", seconds, "s")
        row(f"{name} {size}: peak memory", mib, "MiB")
    if len(sizes) > 1:
        row(f"{name}: exponent of the time", exponent(sizes, [s for s, _ in used]), "", "< 1.1" if flat else "")
        row(f"{name}: largest peak over smallest", used[-1][1] / used[0][1], "x", "< 1.2" if flat else "")


def of(usage: Usage) -> tuple[float, float]:
    return usage.seconds, usage.peak_bytes / MIB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, nargs="*", default=[48, 480, 4800])
    parser.add_argument("--models", type=int, nargs="*", default=[5, 20, 100])
    parser.add_argument("--build", type=int, nargs="*", default=[100, 1000, 10000])
    parser.add_argument("--sum-up", nargs=2, metavar=("RUN", "N"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.sum_up:
        return summed_up(Path(asked.sum_up[0]), int(asked.sum_up[1]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measured([BIN / "flashbench", "eval", "--model", "static", "-o", folder / "run"])
        used = []
        for count in asked.cases:
            found = measured([sys.executable, __file__, "--sum-up", folder / "run", str(count)]).output
            used.append(tuple(json.loads(found.splitlines()[-1])))
        grown("summing up, cases", asked.cases, used)
        used = []
        for count in asked.models:
            runs = copies(folder / "run", folder / f"{count}", count)
            used.append(of(measured([BIN / "flashbench", "leaderboard", *runs, "-o", folder / f"{count}.csv"])))
        grown("leaderboard, models", asked.models, used, flat=False)
        used = []
        for count in asked.build:
            build = [BIN / "flashbench", "build", "sprites-v1", "--cases", str(count), "-o", folder / f"suite-{count}"]
            used.append(of(measured(build)))
            shutil.rmtree(folder / f"suite-{count}")
        grown("building, cases", asked.build, used)


if __name__ == "__main__":
    main()
