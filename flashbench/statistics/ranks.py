"""Many models at once: corrected p values, and ranks that say which models cannot be told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")


def holm(p: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Holm's step-down correction of p values `[K]`: the error over all K comparisons together stays below alpha.

    NaN (a comparison without a test) stays NaN and is not counted.
    """
    values = np.asarray(p, np.float64)
    out = np.full(values.shape, np.nan)
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known], kind="stable")]
    running = 0.0
    for i, k in enumerate(order):
        running = max(running, min(1.0, (len(order) - i) * float(values[k])))
        out[k] = running
    return out


def tie_groups(
    values: Mapping[str, float], better: str, p: Mapping[frozenset[str], float], alpha: float = 0.05
) -> dict[str, tuple[int, int]]:
    """Best and worst rank (`rank_lo`, `rank_hi`, from 1) that each model may have.

    A model is surely behind another where that one's value is better and the corrected p of the two is below alpha.
    rank_lo = 1 + number of models that are surely ahead; rank_hi = number of models - those surely behind.

    Args:
        values: value by model; NaN is behind all numbers.
        better: `higher` or `lower`.
        p: corrected p of each pair of models.
    """
    sign = {"higher": 1.0, "lower": -1.0}[better]
    score = {k: sign * v if v == v else -np.inf for k, v in values.items()}
    out = {}
    for a in values:
        ahead = sum(_sure(score, p, alpha, b, a) for b in values if b != a)
        behind = sum(_sure(score, p, alpha, a, b) for b in values if b != a)
        out[a] = (1 + ahead, len(values) - behind)
    return out


def _sure(score: Mapping[str, float], p: Mapping[frozenset[str], float], alpha: float, a: str, b: str) -> bool:
    """Whether a is better than b beyond doubt."""
    if score[b] == -np.inf < score[a]:
        return True
    return score[a] > score[b] and p.get(frozenset((a, b)), np.nan) < alpha


def pairs_of(names: Sequence[T]) -> list[tuple[T, T]]:
    """All pairs in the order of the names."""
    return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
