"""The overall order of models: where objects are, how closely they follow, how real it looks, multiplied.

    overall = (overlap x precision x quality)^(1/3)

    overlap     miou_lk over its floor; biou_lk where cases have boxes only
    precision   delta_avg_lk over its floor
    quality     floor / (floor + fvd_i3d): a half where answers are as far from the references as one half of the
                references from the other

Each lies in 0..1, 1 being the reference video. A product, since no quality makes up for objects that go elsewhere: a
mean would credit real footage of something else with all its beauty. Weights other than equal ones are exponents that
sum to 1; `order` tells how far they decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import nan as NAN
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flashbench.comparison import Beside, ranked
from flashbench.markdown import span, table_lines
from flashbench.runs.table import short
from flashbench.statistics import sets
from flashbench.statistics.paired import LEAST
from flashbench.statistics.ranks import pairs_of

Floats = npt.NDArray[np.float64]

NAME = "overall_lk_i3d"
FACTORS = ("overlap", "precision", "quality")
EQUAL = (1 / 3, 1 / 3, 1 / 3)
STEP, LEAST_WEIGHT = 12, 2  # weights tried: twelfths, each factor at least two


class Standing(NamedTuple):
    """Where a model stands.

    Attributes:
        factors: in 0..1, as FACTORS names them; overall: their product to a third.
        rank_lo, rank_hi: ranks that it may have; models with a common one are not told apart (Holm, 5 %).
        resolvable: the smallest difference that these cases would show, the median over the other models.
        best, worst: its rank with the weights that suit it best and worst, see `weightings`.
    """

    factors: tuple[float, ...]
    overall: float
    rank_lo: int
    rank_hi: int
    resolvable: float
    best: int
    worst: int


Order = list[Standing] | str  # of the runs in their order, or why there is none


def combined(factors: Floats, weights: Sequence[float] = EQUAL) -> Floats:
    """Weighted geometric mean of `[3, ...]` factors in 0..1; weights sum to 1."""
    with np.errstate(divide="ignore"):
        logs = np.log(factors)
    return np.asarray(np.exp(np.tensordot(np.asarray(weights), logs, axes=1)))


def weightings() -> list[tuple[float, ...]]:
    """All weights in twelfths that sum to 1, none below a sixth."""
    whole = range(LEAST_WEIGHT, STEP)
    return [tuple(w / STEP for w in ws) for ws in product(whole, repeat=len(FACTORS)) if sum(ws) == STEP]


def _lacking(beside: Beside) -> str:
    overlap = _overlap(beside)
    needed = [overlap or "miou_lk", "delta_avg_lk", "fvd_i3d"]
    if absent := [m for m in needed if m not in beside.metrics]:
        return f"{' and '.join(absent)} not taken of every model"
    floors = [_floor(beside, m) for m in needed]
    return "" if all(f > 0 for f in floors) else "a floor is missing or zero"


def order(beside: Beside) -> Order:
    """Where each run stands over all shared cases, or, in words, what the runs lack for that."""
    if reason := _lacking(beside):
        return reason
    whole, halves = _factors(beside)  # [3, R], [3, R, splits, 2]
    overall, split, n = combined(whole), combined(halves), len(beside.ids)
    pairs = pairs_of(range(len(overall)))
    found = {(i, j): sets.difference((overall[i], split[i]), (overall[j], split[j]), n) for i, j in pairs}
    tried = np.array([_ranks(combined(whole, weights)) for weights in weightings()])
    out: list[Standing] = []
    for i, rank in enumerate(ranked(list(overall), found, "higher")):
        own = tuple(float(f) for f in whole[:, i])
        span_of_weights = int(tried[:, i].min()), int(tried[:, i].max())
        out.append(Standing(own, float(overall[i]), rank.rank_lo, rank.rank_hi, rank.resolvable, *span_of_weights))
    return out


def _ranks(values: Floats) -> npt.NDArray[np.int64]:
    """1 + number of models that are better, of each."""
    return np.asarray(1 + (values[None] > values[:, None] + 1e-12).sum(1))


def _overlap(beside: Beside) -> str | None:
    """The metric of overlap that the runs have."""
    return next((m for m in ("miou_lk", "biou_lk") if m in beside.metrics and _floor(beside, m) > 0), None)


def _floor(beside: Beside, metric: str) -> float:
    """Of all cases; NaN where there is none. It is the references', so every run has the same."""
    return next((r.floor for r in beside.runs[0].rows if (r.metric, r.stratum) == (metric, "all")), NAN)


def _factors(beside: Beside) -> tuple[Floats, Floats]:
    """`[3, R]` over all shared cases, and `[3, R, splits, 2]` over their halves."""
    n = len(beside.ids)
    drawn = sets.halves(n, beside.splits if n >= LEAST else 0)
    whole, split = [], []
    for metric in (_overlap(beside) or "miou_lk", "delta_avg_lk"):
        table, floor = beside.table(metric), _floor(beside, metric)
        whole.append(np.clip(np.nanmean(table, axis=1) / floor, 0, 1))
        sides = [[np.nanmean(table[:, side], axis=1) for side in (half, ~half)] for half in drawn]
        both = np.array(sides).reshape(-1, 2, len(table))
        split.append(np.clip(both.transpose(2, 0, 1) / floor, 0, 1))
    found, floor = beside.distances("fvd_i3d"), _floor(beside, "fvd_i3d")
    whole.append(np.array([floor / (floor + value) for value, _ in found]))
    split.append(np.array([floor / (floor + values) for _, values in found]))
    return np.array(whole), np.array(split)


def page(models: Sequence[str], found: Order) -> list[str]:
    """Lines of Markdown: the models in their order, with what it rests on."""
    lines = ["## Overall", ""]
    if isinstance(found, str):
        return [*lines, f"No overall order: {found}."]
    lines += [
        "`overall` is the cube root of overlap (`miou_lk` over its floor; `biou_lk` where there are boxes only) times "
        "precision (`delta_avg_lk` over its floor) times quality (floor / (floor + `fvd_i3d`)); the references have 1. "
        "Models whose ranks overlap are not told apart by these cases (Holm over all pairs, 5 %). Last column: ranks "
        "with any other weights of the three, none below a sixth.",
        "",
    ]
    down = sorted(zip(models, found, strict=True), key=lambda pair: (pair[1].rank_lo, -pair[1].overall))
    rows = [
        [model, short(s.overall), span(s.rank_lo, s.rank_hi), *map(short, s.factors), span(s.best, s.worst)]
        for model, s in down
    ]
    return [*lines, *table_lines(["model", "overall ↑", "rank", *FACTORS, "by weights"], rows)]
