"""Coverage of the 95 % intervals of differences between two models, by simulation: 500 trials of 48 cases each.

Values of a case: normal, skewed (log-normal), and with objects lost (a mixture of 1 to 10 px and, one time in five,
100 px and more, shared in part by both models, as `epe_lk` has it). Features of a set metric: three windows a case of
width 16, alike within a case. What an interval must cover is the mean difference at this number of cases, taken over
all trials. Also: how often the interval leaves out 0 exactly where the test's p is below 5 %; the interval of one
model's mean, and of a lone stratum of 8 cases. Eight cases with objects lost cannot be covered: too often none of them
shows a loss.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from reporting import row

from flashbench.statistics import paired, sets

TRIALS, CASES, STRATUM, WINDOWS, DIM = 500, 48, 8, 3, 16
TARGET = "92 to 98"
Pair = tuple[np.ndarray, np.ndarray]
Draw = Callable[[np.random.Generator, int], Pair]


class Trial(NamedTuple):
    """An estimate with its interval, and the p of its test."""

    value: float
    lo: float
    hi: float
    p: float = float("nan")


def normal(rng: np.random.Generator, n: int) -> Pair:
    case = rng.normal(0, 3, n)
    return case + rng.normal(0.3, 1, n), case + rng.normal(0, 1, n)


def skewed(rng: np.random.Generator, n: int) -> Pair:
    case = rng.lognormal(0, 1, n)
    return case * rng.lognormal(0.2, 0.5, n), case * rng.lognormal(0, 0.5, n)


def lost(rng: np.random.Generator, n: int) -> Pair:
    hard = rng.random(n) < 0.15
    out = []
    for share in (0.2, 0.1):
        gone = (hard & (rng.random(n) < 0.8)) | (rng.random(n) < share * 0.5)
        out.append(np.where(gone, rng.uniform(60, 180, n), rng.uniform(1, 10, n)))
    return out[0], out[1]


def clips(rng: np.random.Generator, n: int) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Two models and the reference. Models are near the reference case by case, as answers to one first frame are."""
    scale = np.linspace(0.3, 2, DIM)
    case = rng.normal(size=(n, 1, DIM)) * scale

    def video(of_case: float, own: float, shift: float) -> list[np.ndarray]:
        noise = rng.normal(size=(n, 1, DIM)) * own + rng.normal(size=(n, WINDOWS, DIM)) * 0.4
        return list(of_case * case + noise * scale + shift)

    return video(0.8, 0.7, 0.25), video(0.9, 0.5, 0.1), video(1.0, 0.0, 0.0)


def covered(trials: list[Trial]) -> float:
    """Share (%) of intervals that hold the mean of all values."""
    truth = float(np.mean([t.value for t in trials]))
    return 100 * float(np.mean([t.lo <= truth <= t.hi for t in trials]))


def agreeing(trials: list[Trial]) -> float:
    """Share (%) of intervals that leave out 0 where p is below 5 %, and hold it elsewhere."""
    return 100 * float(np.mean([(t.lo > 0 or t.hi < 0) == (t.p < 0.05) for t in trials]))


def differences(draw: Draw, n: int) -> list[Trial]:
    trials = []
    for k in range(TRIALS):
        d = paired.difference(*draw(np.random.default_rng((1, k)), n), seed=k)
        trials.append(Trial(d.value, d.lo, d.hi, d.p))
    return trials


def means(draw: Draw, n: int) -> list[Trial]:
    """Of the first model alone."""
    trials = []
    for k in range(TRIALS):
        values = draw(np.random.default_rng((1, k)), n)[0]
        trials.append(Trial(float(values.mean()), *paired.mean_interval(values)))
    return trials


def of_sets(distance: str, n: int) -> list[Trial]:
    trials = []
    for k in range(TRIALS):
        *models, reference = clips(np.random.default_rng((2, k)), n)
        found = []
        for ours in models:
            if distance == "mmd":
                take = partial(sets.mmd_from, sets.pair_terms(ours, reference))
            else:
                take = partial(sets.frechet_from, sets.grams(ours, reference))
            found.append(sets.halved(take, n, seed=k))
        d = sets.difference(found[0], found[1], n)
        trials.append(Trial(d.value, d.lo, d.hi, d.p))
    return trials


def main() -> None:
    for n, cases, target in ((CASES, "", TARGET), (STRATUM, f", {STRATUM} cases", "")):
        for draw in (normal, skewed, lost):
            trials = differences(draw, n)
            row(f"difference of means, {draw.__name__} values{cases}", covered(trials), "%", target)
            row(f"its test agrees, {draw.__name__} values{cases}", agreeing(trials), "%")
            row(f"mean of one model, {draw.__name__} values{cases}", covered(means(draw, n)), "%")
        for distance in ("frechet", "mmd"):
            row(f"difference of {distance} distances{cases}", covered(of_sets(distance, n)), "%", target)


if __name__ == "__main__":
    main()
