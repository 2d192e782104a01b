"""Scoring: every case measured and valued, summed up by stratum, written with its provenance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flashbench.cases.schema import Suite
from flashbench.errors import InputError
from flashbench.files.atomic import read_json, sha256_json
from flashbench.metrics.catalogue import Metric
from flashbench.metrics.protocol import Extractor
from flashbench.runs import provenance
from flashbench.runs.extractors import check_measurable, extractors
from flashbench.runs.generate import Tick, silent
from flashbench.runs.layout import RunFolder, RunInfo, generated_in
from flashbench.runs.measure import Plan, missing, score_case
from flashbench.runs.results import CaseScore, Row, summarise, write_results
from flashbench.runs.shard import WHOLE, Shard

RESULTS_VERSION = 1
MOST_WORKERS = 8  # beyond that the interpreter's lock, and memory, outweigh
MakeExtractors = Callable[[Iterable[str]], Mapping[str, Extractor]]


def default_cache() -> Path:
    """Where measurements of reference videos are kept: a folder in the user's cache."""
    from flashbench.backbones.assets import default_cache_dir

    return default_cache_dir() / "measurements"


def score(
    run: RunFolder,
    info: RunInfo,
    suite: Suite,
    metrics: Sequence[Metric],
    *,
    workers: int | None = None,
    cache: Path | None = None,
    make: MakeExtractors = extractors,
    tick: Tick = silent,
    shard: Shard = WHOLE,
) -> list[Row]:
    """Scores a run whose videos are complete; writes its results and returns the rows.

    Args:
        run, info, suite: the folder, what it says it is, and the suite that it answers.
        metrics: the wanted ones (`catalogue.choose`).
        workers: threads; None: one a core, at most MOST_WORKERS. Each network call uses one thread, whatever their
            number: the numbers do not depend on it.
        cache: folder of reference measurements; None: `default_cache()`.
        make: makes the extractors of the given names.
        tick: is told the progress.
        shard: only these cases are measured, for a later call that takes all of them; nothing is summed up or written
            but the measurements.

    Raises:
        InputError: cases that were not generated yet; another suite; damaged files.
    """
    if suite.content_sha256 != info.suite_sha256 or suite.case_ids != info.case_ids:
        what = f"field suite_sha256 is not that of suite {suite.name!r} as it is now"
        raise InputError(run.description, what, "name the suite that was run with --suite")
    mine = shard.of(suite.case_ids)
    if todo := missing(run, mine):
        what = f"{len(todo)} of {len(mine)} cases were not generated yet (first: {todo[0]})"
        raise InputError(run.root, what, "run `flashbench generate` with the same options first")
    needed = {name for metric in metrics for name in metric.needs}
    check_measurable(needed, info.frames, info.size)
    found = make(needed)
    plan = Plan(run, suite, tuple(metrics), found, cache or default_cache())
    scores = _score_cases(plan, mine, workers or min(provenance.cores(), MOST_WORKERS), tick)
    if shard != WHOLE:
        return []
    rows = summarise(info.model, info.suite, scores, metrics)
    write_results(run.root, rows, scores, _facts(run, info, plan, scores))
    return rows


def _score_cases(plan: Plan, ids: Sequence[str], workers: int, tick: Tick) -> list[CaseScore]:
    """`score_case` of each case, in their order. The first error stops the rest; what was measured is kept."""
    scores: dict[str, CaseScore] = {}
    tick("score", 0, len(ids))
    with _one_thread_a_call() as prepare, ThreadPoolExecutor(workers, initializer=prepare) as pool:
        jobs: dict[Future[CaseScore], str] = {pool.submit(score_case, plan, i): i for i in ids}
        try:
            waiting = set(jobs)
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for job in done:
                    scores[jobs[job]] = job.result()
                    tick("score", len(scores), len(ids))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [scores[i] for i in ids]


@contextmanager
def _one_thread_a_call() -> Iterator[Callable[[], None]]:
    """Yields what a worker thread calls first; torch's and OpenCV's thread counts are as before afterwards."""
    import cv2
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()

    def prepare() -> None:
        torch.set_num_threads(1)
        cv2.setNumThreads(1)

    prepare()
    try:
        yield prepare
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def metric_fingerprints(metrics: Iterable[Metric], found: Mapping[str, Extractor]) -> dict[str, str]:
    """Name -> hash of a metric's definition and its extractors': values may be compared where these are equal."""
    return {
        m.name: sha256_json([m.name, m.version, *(found[name].fingerprint for name in m.needs)])[:16] for m in metrics
    }


def _why(failure: Path) -> str:
    """Why a case has no answer."""
    held = read_json(failure)
    if not isinstance(held, dict) or not isinstance(held.get("error"), str):
        raise InputError(failure, "field error is missing", "delete it and run `flashbench generate` again")
    return str(held["error"])


def _facts(run: RunFolder, info: RunInfo, plan: Plan, scores: Sequence[CaseScore]) -> dict[str, Any]:
    """Everything in results.json besides the rows."""
    failed = {c.case_id: _why(run.failure(c.case_id)) for c in scores if c.failed}
    return {
        "version": RESULTS_VERSION,
        "model": {"name": info.model, "fingerprint": info.model_fingerprint, "info": info.model_info},
        "suite": {
            "name": info.suite,
            "content_sha256": info.suite_sha256,
            "seed": info.suite_seed,
            "size": list(info.size),
            "frames": info.frames,
            "fps": info.fps,
            "condition": info.condition,
            "cases": info.suite_cases,
        },
        "seed": info.seed,
        "cases": len(scores),
        "case_ids": list(info.case_ids),
        "failures": failed,
        "not_for_leaderboard": info.not_for_leaderboard,
        "metrics": metric_fingerprints(plan.metrics, plan.extractors),
        "measured": {c.case_id: {name: list(keys) for name, keys in c.keys.items()} for c in scores},
        "extractors": {name: e.fingerprint for name, e in plan.extractors.items()},
        "generated_in": generated_in(run.root),
        "environment": provenance.environment(),
    }
