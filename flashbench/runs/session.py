"""What the commands `generate` and `score` do with a folder: check, lock, work. One process a folder at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from flashbench.cases.schema import Suite
from flashbench.cases.suites import hashed, open_suite
from flashbench.errors import InputError
from flashbench.files.atomic import folder_lock, leads_out, remove_leftovers
from flashbench.metrics.catalogue import Metric
from flashbench.models.conform import Conformed
from flashbench.models.registry import create_model
from flashbench.runs.extractors import check_measurable, extractors
from flashbench.runs.generate import Tick, generate, silent
from flashbench.runs.layout import RunFolder, check_run, describe, folder_name, open_run, read_run
from flashbench.runs.provenance import cores
from flashbench.runs.results import Row
from flashbench.runs.score import score
from flashbench.runs.shard import WHOLE, Shard


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
    shard: Shard = WHOLE,
    conformed: bool = False,
) -> Generated:
    """Generates what is still missing of a run.

    Args:
        model_name: a registered name, or `videos:FOLDER`.
        source: name of a suite, or path of a suite folder.
        cases: only so many of its cases, which marks the run as not for a leaderboard; None: all.
        seed: seed of the generation.
        output: run folder; None: `runs/<model name>`.
        metrics: those that are wanted afterwards, so that what they cannot measure is refused before anything is made.
        shard: the part of the cases that this process makes.
        conformed: answers of another length, rate or size are brought to what was asked (`models.conform`).
    """
    whole = open_suite(source)
    suite = hashed(whole if cases is None else open_suite(source, cases=cases), cores())
    check_measurable({name for metric in metrics for name in metric.needs}, suite.frames, suite.size)
    model = create_model(model_name, suite)
    if conformed:
        model = Conformed(model)
    root = output or Path("runs") / folder_name(model.name)
    info = describe(model, suite, source, len(whole), seed)
    check_run(root, info)  # before anything is written
    with _held(root, shard):
        return Generated(root, suite, generate(open_run(root, info), model, suite, seed, tick, shard))


def score_run(
    root: Path,
    metrics: Sequence[Metric],
    source: str | Suite | None = None,
    workers: int | None = None,
    tick: Tick = silent,
    shard: Shard = WHOLE,
    weights: Mapping[str, str] | None = None,
) -> list[Row]:
    """Scores a generated run.

    Args:
        root: run folder.
        metrics: the wanted ones.
        source: where the suite is now, or the suite itself; None: where it was when the run was generated.
        workers: processes; see `score.score`.
        shard: a part of the cases is only measured: there are no rows yet, the list is empty.
        weights: extractor of a plugin -> path or hub id of its weights.
    """
    info = read_run(root)
    if isinstance(source, Suite):
        suite = source
    else:
        some = len(info.case_ids) if info.not_for_leaderboard else None
        suite = hashed(open_suite(source or info.source, cases=some), workers or cores())
    with _held(root, shard):
        make = partial(extractors, weights=weights)
        return score(RunFolder(root), info, suite, metrics, workers=workers, make=make, tick=tick, shard=shard)


@contextmanager
def _held(root: Path, shard: Shard) -> Iterator[None]:
    """The folder, or one shard's part of it. Only who holds the whole may tidy up what killed writers left."""
    with folder_lock(root, None if shard == WHOLE else str(shard)):
        _check_links(root)
        if shard == WHOLE:
            remove_leftovers(root)
        yield


def _check_links(root: Path) -> None:
    """Refuses links that lead out of a run folder: what is measured must be what lies there."""
    for path in root.rglob("*"):
        if path.is_symlink() and leads_out(root, path):
            raise InputError(path, "is a link that leads out of the run folder", "put the file itself there")
