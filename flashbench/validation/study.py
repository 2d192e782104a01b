"""What every metric makes of every corruption: runs of damaged references, compared with the reference's own run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flashbench.comparison import Beside, Comparison
from flashbench.errors import InputError
from flashbench.metrics.catalogue import METRICS, Metric
from flashbench.models.corrupted import CHEATS, DAMAGES, SEPARATOR
from flashbench.models.corruptions import STRENGTHS
from flashbench.runs.generate import Tick, silent
from flashbench.runs.results import csv_text
from flashbench.runs.scored import read_scored
from flashbench.runs.session import generate_run, score_run
from flashbench.statistics.ranks import holm

ALPHA = 0.05
SPLITS = 50
MONOTONE = 0.9  # least rank correlation of strength and damage
CONTROLS = ("reference", "static", "shuffled", "cutout")
COLUMNS = (
    "metric", "corruption", "strength", "level", "n", "reference", "value", "difference", "lo", "hi", "p_holm", "worse",
    "resolved",
)  # fmt: skip


def chosen(only: Sequence[str]) -> list[str]:
    """The named corruptions in the table's order; all where none is named.

    Raises:
        InputError: an unknown corruption.
    """
    if unknown := [c for c in only if c not in DAMAGES]:
        raise InputError("--only", f"unknown corruption {unknown[0]!r}", f"choose of {', '.join(DAMAGES)}")
    return [c for c in DAMAGES if not only or c in only]


@dataclass(frozen=True)
class Finding:
    """A metric's answer to a corruption at one strength, against the reference video itself.

    Attributes:
        comparison: damaged minus reference. p: Holm over the five strengths. worse: the metric's mean says worse (for a
            metric without a better way: says something else).
    """

    corruption: str
    strength: int
    comparison: Comparison
    p: float
    worse: bool

    @property
    def metric(self) -> str:
        return self.comparison.metric

    @property
    def resolved(self) -> bool:
        """The damage is seen, as damage, beyond doubt."""
        return self.worse and self.p < ALPHA


@dataclass(frozen=True)
class Verdict:
    """A metric's answers to one corruption.

    first: the lowest strength from which on all are resolved, 0 where there is none. monotone: more strength, more
    damage.
    """

    metric: str
    corruption: str
    first: int
    monotone: bool


def make_runs(
    root: Path,
    metrics: Sequence[Metric],
    source: str = "sprites-v1",
    cases: int | None = None,
    only: Iterable[str] | None = None,
    tick: Tick = silent,
) -> None:
    """Generates and scores a run in `root/NAME` for the controls, the cheats and every corruption at every strength.

    What is there already is kept. only: corruptions, None for all.
    """
    chosen = list(DAMAGES) if only is None else list(only)
    names = [*CONTROLS, *CHEATS, *(f"{c}{SEPARATOR}{s}" for c in chosen for s in STRENGTHS)]
    for done, name in enumerate(names):
        tick("validate", done, len(names))
        if not (root / name / "results.json").is_file():
            made = generate_run(name, source, cases, 0, root / name, metrics=metrics)
            score_run(made.root, metrics, made.suite)
    tick("validate", len(names), len(names))


def _worse(metric: str, difference: float) -> bool:
    direction = METRICS[metric].direction
    return difference != 0 if direction == "none" else (difference < 0) == (direction == "higher") and difference != 0


def findings(
    root: Path, corruption: str, metrics: Sequence[str] | None = None, cache: Path | None = None
) -> list[Finding]:
    """Every metric's answers to one corruption, from the runs in `root`."""
    runs = [read_scored(root / "reference"), *(read_scored(root / f"{corruption}{SEPARATOR}{s}") for s in STRENGTHS)]
    beside, out = Beside(runs, cache, SPLITS), []
    measured = [m for m in beside.metrics if METRICS[m].needs]  # a corruption's seconds say nothing about it
    for metric in measured if metrics is None else metrics:
        pairs = beside.pairs(metric)
        answers = [_turned(pairs[0, k]) for k in range(1, len(runs))]
        corrected = holm([a.difference.p for a in answers])
        for strength, (answer, p) in zip(STRENGTHS, zip(answers, corrected, strict=True), strict=True):
            out.append(Finding(corruption, strength, answer, float(p), _worse(metric, answer.difference.value)))
    return out


def _turned(c: Comparison) -> Comparison:
    """b - a in place of a - b."""
    import dataclasses

    d = c.difference
    turned = dataclasses.replace(d, value=-d.value, lo=-d.hi, hi=-d.lo)
    return Comparison(c.metric, c.stratum, c.b, c.a, turned)


def verdicts(found: Sequence[Finding]) -> list[Verdict]:
    """One verdict a metric and corruption."""
    out = []
    for metric, corruption in dict.fromkeys((f.metric, f.corruption) for f in found):
        own = sorted((f for f in found if (f.metric, f.corruption) == (metric, corruption)), key=lambda f: f.strength)
        first = 0
        for f in reversed(own):
            if not f.resolved:
                break
            first = f.strength
        out.append(Verdict(metric, corruption, first, _monotone([f.comparison.difference.value for f in own], metric)))
    return out


def _monotone(differences: Sequence[float], metric: str) -> bool:
    """Rank correlation of strength (0 is the reference) and damage, at least MONOTONE."""
    sign = {"lower": 1.0, "higher": -1.0, "none": 0.0}[METRICS[metric].direction]
    damage = np.array([0.0, *differences])
    damage = np.abs(damage) if sign == 0 else sign * damage
    if not np.isfinite(damage).all() or np.ptp(damage) == 0:
        return False
    from scipy.stats import spearmanr

    return bool(spearmanr(np.arange(len(damage)), damage).statistic >= MONOTONE)


def findings_csv(found: Sequence[Finding]) -> str:
    """One line a metric, corruption and strength."""
    lines = []
    for f in found:
        c, d = f.comparison, f.comparison.difference
        level = DAMAGES[f.corruption].levels[f.strength - 1]
        numbers = [f.strength, level, d.n, c.b, c.a, d.value, d.lo, d.hi, f.p]
        lines.append([f.metric, f.corruption, *numbers, int(f.worse), int(f.resolved)])
    return csv_text(COLUMNS, lines)


def cheats_beside(root: Path, models: Sequence[Path], cache: Path | None = None) -> Beside:
    """The runs of controls, cheats and models that the page sets beside each other."""
    runs = [*(read_scored(root / name) for name in (*CONTROLS, *CHEATS)), *(read_scored(m) for m in models)]
    return Beside(runs, cache, SPLITS)
