"""What the commands `generate` and `score` do with a folder: check, lock, work. One process a folder at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from flashbench.cases.schema import Suite
from flashbench.cases.suites import open_suite
from flashbench.files.atomic import folder_lock, remove_leftovers
from flashbench.metrics.catalogue import Metric
from flashbench.models.registry import create_model
from flashbench.runs.extractors import check_length
from flashbench.runs.generate import Tick, generate, silent
from flashbench.runs.layout import RunFolder, check_run, describe, folder_name, open_run, read_run
from flashbench.runs.results import Row
from flashbench.runs.score import score


class Generated(NamedTuple):
    """What `generate_run` leaves: the run folder, the suite that it answers, and the ids of the cases that failed."""

    root: Path
    suite: Suite
    failed: list[str]


def generate_run(
    model_name: str,
    source: str,
    cases: int | None,
    seed: int,
    output: Path | None,
    tick: Tick = silent,
    metrics: Sequence[Metric] = (),
) -> Generated:
    """Generates what is still missing of a run.

    Args:
        model_name: a registered name, or `videos:FOLDER`.
        source: name of a suite, or path of a suite folder.
        cases: only so many of its cases, which marks the run as not for a leaderboard; None: all.
        seed: seed of the generation.
        output: run folder; None: `runs/<model name>`.
        metrics: those that are wanted afterwards, so that what they cannot measure is refused before anything is made.
    """
    whole = open_suite(source)
    suite = whole if cases is None else open_suite(source, cases=cases)
    check_length({name for metric in metrics for name in metric.needs}, suite.frames)
    model = create_model(model_name, suite)
    root = output or Path("runs") / folder_name(model.name)
    info = describe(model, suite, source, len(whole), seed)
    check_run(root, info)  # before anything is written
    with folder_lock(root):
        remove_leftovers(root)
        return Generated(root, suite, generate(open_run(root, info), model, suite, seed, tick))


def score_run(
    root: Path,
    metrics: Sequence[Metric],
    source: str | Suite | None = None,
    workers: int | None = None,
    tick: Tick = silent,
) -> list[Row]:
    """Scores a generated run.

    Args:
        root: run folder.
        metrics: the wanted ones.
        source: where the suite is now, or the suite itself; None: where it was when the run was generated.
        workers: threads; see `score.score`.
    """
    info = read_run(root)
    if isinstance(source, Suite):
        suite = source
    else:
        suite = open_suite(source or info.source, cases=len(info.case_ids) if info.not_for_leaderboard else None)
    with folder_lock(root):
        remove_leftovers(root)
        return score(RunFolder(root), info, suite, metrics, workers=workers, tick=tick)
