"""How time and memory of summing up a run grow with its cases.

    python benchmarks/growth_cases.py [--cases 48 480 4800]

Scoring a case takes what it takes, whatever their number (`eval_cost`); what could grow faster is what is done with all
of them. So the measurements of 48 cases of `static` are taken again and again under other names, and one process reads
them, sums them up by stratum with all metrics, and writes the tables. Its peak is the whole process's, the scoring of
one case (already measured) included. The exponent is that of the time between the two largest numbers.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from reporting import BIN, grown, measured

CASES = 48


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, nargs="*", default=[48, 480, 4800])
    parser.add_argument("--sum-up", nargs=2, metavar=("RUN", "N"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.sum_up:
        return summed_up(Path(asked.sum_up[0]), int(asked.sum_up[1]))
    with tempfile.TemporaryDirectory() as name:
        run, used = Path(name) / "run", []
        measured([BIN / "flashbench", "eval", "--model", "static", "-o", run])
        for count in asked.cases:
            found = measured([sys.executable, __file__, "--sum-up", run, str(count)]).output
            used.append(tuple(json.loads(found.splitlines()[-1])))
    grown("summing up, cases", asked.cases, used)


if __name__ == "__main__":
    main()
