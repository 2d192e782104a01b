"""Scoring: every case measured and valued, summed up by stratum, written with its provenance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from flashbench.cases.schema import Suite
from flashbench.errors import InputError
from flashbench.files.atomic import read_json, sha256_json
from flashbench.metrics.catalogue import Metric
from flashbench.metrics.plugin import PLUGINS
from flashbench.metrics.protocol import Extractor
from flashbench.runs import provenance
from flashbench.runs.extractors import check_measurable, extractors
from flashbench.runs.generate import Tick, silent
from flashbench.runs.layout import RunFolder, RunInfo, generated_in
from flashbench.runs.measure import Plan, measure_case, missing, score_case
from flashbench.runs.results import CaseScore, Row, summarise, write_results
from flashbench.runs.shard import WHOLE, Shard
from flashbench.workers import spread

T = TypeVar("T")

RESULTS_VERSION = 2  # 2: lo and hi by statistics.paired.mean_interval
MOST_WORKERS = 16  # each holds its own networks and videos, about 1 GiB
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
        workers: processes, forked from this one; None: one a core, at most MOST_WORKERS. Each works with one thread,
            whatever their number: the numbers do not depend on it.
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
    workers = workers or min(provenance.cores(), MOST_WORKERS)
    suite.prepare()
    if workers > 1 and (embedded := _beside_gpu(plan)):
        each(partial(measure_case, embedded), mine, workers, tick, "measure")
        workers = 1
    scores = {s.case_id: s for s in each(partial(score_case, plan), mine, workers, tick, "score")}
    if shard != WHOLE:
        return []
    ordered = [scores[i] for i in mine]
    rows = summarise(info.model, info.suite, ordered, metrics)
    write_results(run.root, rows, ordered, _facts(run, info, plan, ordered))
    return rows


def each(work: Callable[[str], T], ids: Sequence[str], workers: int, tick: Tick, task: str) -> list[T]:
    """`work` of each case in `workers` processes of one thread each, in any order; `tick` is told as `task`.

    The first error stops the rest; what was measured is kept.
    """
    done: list[T] = []
    tick(task, 0, len(ids))
    with _one_thread_a_call(), closing(spread(work, ids, workers)) as results:
        for result in results:
            done.append(result)
            tick(task, len(done), len(ids))
    return done


def _beside_gpu(plan: Plan) -> Plan | None:
    """What forked workers can measure of a plan that uses a GPU, which does not survive a fork; None: it uses none."""
    import torch

    others = {name: e for name, e in plan.extractors.items() if name not in PLUGINS}
    if len(others) == len(plan.extractors) or not torch.cuda.is_available():
        return None
    return replace(plan, extractors=others)


@contextmanager
def _one_thread_a_call() -> Iterator[None]:
    """torch and OpenCV on one thread, here and in what is forked from here; afterwards as before."""
    import cv2
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
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
