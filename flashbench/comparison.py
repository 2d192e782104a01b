"""Scored runs of one suite beside each other, case by case: differences, intervals, tests, ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import nan as NAN
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from threadpoolctl import threadpool_limits

from flashbench.errors import InputError
from flashbench.files.atomic import read_npz
from flashbench.metrics.catalogue import METRICS
from flashbench.metrics.values import SET_METRICS
from flashbench.runs.generate import Tick, silent
from flashbench.runs.measure import set_features
from flashbench.runs.provenance import cores
from flashbench.runs.results import csv_text
from flashbench.runs.score import default_cache
from flashbench.runs.scored import Scored, check_same_measure
from flashbench.runs.table import ARROWS, short
from flashbench.statistics import paired, sets
from flashbench.statistics.paired import Difference
from flashbench.statistics.ranks import holm, pairs_of, tie_groups
from flashbench.workers import spread

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
SPLITS = 100  # of the cases into halves, for set metrics
WORTH_A_FORK = 500  # rows of features of a run, from which on runs are shared out among the cores


@dataclass(frozen=True)
class Comparison:
    """One metric of two models over one stratum."""

    metric: str
    stratum: str
    a: float
    b: float
    difference: Difference


class Beside:
    """Runs of one suite over the cases that all of them have.

    Args:
        runs: at least two, of one suite and with the same definitions of metrics.
        cache: folder of reference measurements; None: the user's.
        splits: of the cases into halves, for set metrics.

    Raises:
        InputError: fewer than two runs, another suite or metric, or no case in common.
    """

    def __init__(self, runs: Sequence[Scored], cache: Path | None = None, splits: int = SPLITS) -> None:
        if len(runs) < 2:
            raise InputError("compare", f"{len(runs)} run given", "name at least two run folders")
        check_same_measure(runs)
        self.runs, self.cache, self.splits = list(runs), cache or default_cache(), splits
        self._distances = dict[tuple[str, str], list[tuple[float, Floats]]]()
        shared = set.intersection(*(set(r.facts["case_ids"]) for r in runs))
        self.ids = [i for i in runs[0].facts["case_ids"] if i in shared]
        if not self.ids:
            raise InputError(runs[1].folder, f"shares no case with {runs[0].folder}", "compare runs of the same cases")

    @property
    def metrics(self) -> list[str]:
        """Metrics that every run has, in the order of the first."""
        have = [{row.metric for row in r.rows} for r in self.runs]
        names = list(dict.fromkeys(row.metric for row in self.runs[0].rows))
        return [m for m in names if all(m in h for h in have) and m in METRICS]

    @cached_property
    def _cases(self) -> list[dict[tuple[str, str], float]]:
        """By run: (case, metric) -> value."""
        return [{(c[2], c[4]): float(c[5]) if c[5] else NAN for c in run.cases} for run in self.runs]

    @cached_property
    def strata(self) -> dict[str, str]:
        """Stratum of each case."""
        return {c[2]: c[3] for c in self.runs[0].cases}

    def members(self, stratum: str) -> list[str]:
        """Shared cases of a stratum, `all` for every one."""
        return [i for i in self.ids if stratum in ("all", self.strata.get(i))]

    def table(self, metric: str, stratum: str = "all") -> Floats:
        """Values of a per-case metric `[runs, cases]`, NaN where a run has none."""
        return np.array([[held.get((i, metric), NAN) for i in self.members(stratum)] for held in self._cases])

    def values(self, metric: str, stratum: str = "all") -> Floats:
        """Values of a per-case metric `[runs, cases]`, of the cases in which every run has one."""
        table = self.table(metric, stratum)
        return table[:, np.isfinite(table).all(axis=0)]

    def features(self, run: Scored, extractor: str, ids: Sequence[str]) -> tuple[list[Any], list[Any]]:
        """Features of the answers and of the references, `[F, D]` a case, as they were measured."""
        ours, theirs = [], []
        for i in ids:
            try:
                mine, reference = run.facts["measured"][i][extractor]
            except (KeyError, TypeError, ValueError) as error:
                what = f"field measured does not name the {extractor} features of case {i}"
                mend = f"run `flashbench score {run.folder}` again"
                raise InputError(run.folder / "results.json", what, mend) from error
            ours.append(self._read(run, run.folder / "measurements" / extractor / f"{mine}.npz", extractor))
            theirs.append(self._read(run, self.cache / extractor / f"{reference}.npz", extractor))
        return ours, theirs

    def _read(self, run: Scored, path: Path, extractor: str) -> npt.NDArray[Any]:
        array, first = set_features(extractor)
        if not path.is_file():
            raise InputError(path, "is missing", f"run `flashbench score {run.folder}` again")
        return np.asarray(read_npz(path)[array][first:])

    def distances(self, metric: str, stratum: str = "all") -> list[tuple[float, Floats]]:
        """By run: a set metric, and its values over the same halves of the cases."""
        if (metric, stratum) not in self._distances:
            self._distances[metric, stratum] = self._halved(metric, stratum)
        return self._distances[metric, stratum]

    def _halved(self, metric: str, stratum: str) -> list[tuple[float, Floats]]:
        ids, (extractor,) = self.members(stratum), METRICS[metric].needs
        kernel = SET_METRICS[metric].kernel

        def of(number: str) -> tuple[int, tuple[float, Floats]]:
            ours, theirs = self.features(self.runs[int(number)], extractor, ids)
            take: Callable[[Bools], float]
            if kernel is not None:
                take = partial(sets.mmd_from, sets.pair_terms(ours, theirs, kernel.degree, kernel.coef0, kernel.scale))
            else:
                take = sets.frechet_of(ours, theirs)
            return int(number), sets.halved(take, len(ids), self.splits)

        rows = len(ids) * len(self.features(self.runs[0], extractor, ids[:1])[0][0])
        workers = cores() if rows >= WORTH_A_FORK else 1
        with threadpool_limits(1):  # by any number of cores the same bits
            found = dict(spread(of, [str(k) for k in range(len(self.runs))], workers))
        return [found[k] for k in range(len(self.runs))]

    def pairs(self, metric: str, stratum: str = "all") -> dict[tuple[int, int], Comparison]:
        """All pairs of runs; differences are first minus second."""
        out: dict[tuple[int, int], Comparison] = {}
        if METRICS[metric].kind == "set":
            found = self.distances(metric, stratum)
            for i, j in pairs_of(range(len(self.runs))):
                d = sets.difference(found[i], found[j], len(self.members(stratum)))
                out[i, j] = Comparison(metric, stratum, found[i][0], found[j][0], d)
            return out
        table = self.values(metric, stratum)
        for i, j in pairs_of(range(len(self.runs))):
            if table.shape[1]:
                d = paired.difference(table[i], table[j])
                out[i, j] = Comparison(metric, stratum, float(table[i].mean()), float(table[j].mean()), d)
            else:
                out[i, j] = Comparison(metric, stratum, NAN, NAN, Difference(0, NAN, why="no case has a value in both"))
        return out


def compare_runs(
    beside: Beside, metrics: Sequence[str] | None = None, stratum: str = "all", tick: Tick = silent
) -> list[Comparison]:
    """Every metric of the first two runs over a stratum.

    Raises:
        InputError: no shared case in the stratum, or a metric that the runs do not have.
    """
    if not beside.members(stratum):
        known = ", ".join(dict.fromkeys([*beside.strata.values(), "all"]))
        raise InputError("--stratum", f"no shared case is of stratum {stratum!r}", f"choose one of {known}")
    names = beside.metrics if metrics is None else list(metrics)
    if lacking := [m for m in names if m not in beside.metrics]:
        raise InputError("--metrics", f"{lacking[0]} is not in both runs", "score both runs with it")
    out = []
    for done, metric in enumerate(names):
        tick("compare", done, len(names))
        out.append(beside.pairs(metric, stratum)[0, 1])
    tick("compare", len(names), len(names))
    return out


COLUMNS = ("metric", "stratum", "model_a", "model_b", "n", "a", "b", "difference", "lo", "hi", "p", "resolvable",
           "n_needed", "note")  # fmt: skip


def comparison_csv(beside: Beside, found: Sequence[Comparison]) -> str:
    """One line a metric; difference is a - b."""
    a, b = (r.model for r in beside.runs[:2])
    lines = []
    for c in found:
        d = c.difference
        lines.append(
            [c.metric, c.stratum, a, b, d.n, c.a, c.b, d.value, d.lo, d.hi, d.p, d.resolvable, d.n_needed, d.why]
        )
    return csv_text(COLUMNS, lines)


def comparison_table(found: Sequence[Comparison], a: str, b: str) -> RenderableType:
    """Metrics down: both values, their difference with its interval, what it says, and what would settle it."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("metric", no_wrap=True)
    for name in (a, b, "difference", "95 %", "p"):
        table.add_column(name, justify="right", no_wrap=name not in (a, b))
    table.add_column("better", overflow="fold")
    for c in found:
        d, metric = c.difference, METRICS[c.metric]
        span = f"{short(d.lo)}..{short(d.hi)}" if d.lo == d.lo else ""
        p = "" if d.p != d.p else "<0.001" if d.p < 0.001 else f"{d.p:.3f}"
        arrow = f"{c.metric} {ARROWS[metric.direction]}"
        table.add_row(arrow, short(c.a), short(c.b), short(d.value), span, p, _verdict(c, a, b))
    cases = max((c.difference.n for c in found), default=0)
    note = (
        f"{cases} cases that both have; difference: {a} minus {b}, paired by case; p is not corrected for many metrics."
    )
    return Group(table, note)


def _verdict(c: Comparison, a: str, b: str) -> str:
    d, direction = c.difference, METRICS[c.metric].direction
    if d.why:
        return d.why
    if not d.decided:
        return f"undecided; about {d.n_needed:.0f} cases would settle it" if d.n_needed == d.n_needed else "undecided"
    if direction == "none":
        return "they differ"
    return a if (d.value > 0) == (direction == "higher") else b


@dataclass(frozen=True)
class Rank:
    """Where a model stands in one metric: rank_lo..rank_hi, and the smallest difference that the cases resolve.

    resolvable: the median over the other models; NaN where there is no interval.
    """

    rank_lo: int
    rank_hi: int
    resolvable: float


def ranks(beside: Beside, metric: str, stratum: str = "all") -> list[Rank]:
    """Ranks of the runs in a metric with a better way, p values corrected by Holm over all pairs of models."""
    found = beside.pairs(metric, stratum)
    values: dict[int, float] = {}
    for (i, j), c in found.items():
        values |= {i: c.a, j: c.b}
    differences = {pair: c.difference for pair, c in found.items()}
    return ranked([values[k] for k in range(len(beside.runs))], differences, METRICS[metric].direction)


def ranked(values: Sequence[float], differences: Mapping[tuple[int, int], Difference], better: str) -> list[Rank]:
    """Ranks of runs by their values, from the differences of all pairs of them; p values corrected by Holm."""
    corrected = holm([d.p for d in differences.values()])
    p = {frozenset((str(i), str(j))): float(q) for (i, j), q in zip(differences, corrected, strict=True)}
    standing = tie_groups({str(k): float(v) for k, v in enumerate(values)}, better, p)
    out = []
    for k in range(len(values)):
        own = [d.resolvable for pair, d in differences.items() if k in pair]
        known = [r for r in own if r == r]
        out.append(Rank(*standing[str(k)], float(np.median(known)) if known else NAN))
    return out
