"""Seconds for one video, flashmotion-4step against slow-50step (with guidance), decoding included.

Models are loaded and warm. The two take turns over the same cases, so that a busy machine is busy for both; medians.
"""

from __future__ import annotations

import statistics
import time

from reporting import row

from flashbench.cases.suites import open_suite
from flashbench.models.registry import create_model

FAST, SLOW = "flashmotion-4step", "slow-50step"
CASES = 2


def main() -> None:
    suite = open_suite("sprites-v1")
    models = {name: create_model(name, suite) for name in (FAST, SLOW)}
    ids = suite.case_ids[:: max(1, len(suite) // CASES)][:CASES]
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for turn, case_id in enumerate([ids[0], *ids]):
        case = suite.load_case(case_id).asked()
        for name, model in models.items():
            start = time.perf_counter()
            model.generate(case, seed=0)
            if turn:  # the first turn warms up
                seconds[name].append(time.perf_counter() - start)
    fast, slow = (statistics.median(seconds[name]) for name in (FAST, SLOW))
    row(f"{FAST}, one video", fast, "s")
    row(f"{SLOW}, one video", slow, "s")
    row("times faster", slow / fast, "x", ">= 10")


if __name__ == "__main__":
    main()
