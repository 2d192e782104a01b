"""Coverage of the 95 % intervals of differences between two models, by simulation: 500 trials of 48 cases each.

Values of a case: normal, skewed (log-normal), and with objects lost (a mixture of 1 to 10 px and, one time in five,
100 px and more, shared in part by both models, as `epe_lk` has it). Features of a set metric: three windows a case of
width 16, alike within a case. What an interval must cover is the mean difference at this number of cases, taken over
all trials.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from reporting import row

from flashbench.statistics import paired, sets

TRIALS, CASES, WINDOWS, DIM, RESAMPLES = 500, 48, 3, 16, 100


def normal(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    case = rng.normal(0, 3, CASES)
    return case + rng.normal(0.3, 1, CASES), case + rng.normal(0, 1, CASES)


def skewed(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    case = rng.lognormal(0, 1, CASES)
    return case * rng.lognormal(0.2, 0.5, CASES), case * rng.lognormal(0, 0.5, CASES)


def lost(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    hard = rng.random(CASES) < 0.15
    out = []
    for share in (0.2, 0.1):
        gone = (hard & (rng.random(CASES) < 0.8)) | (rng.random(CASES) < share * 0.5)
        out.append(np.where(gone, rng.uniform(60, 180, CASES), rng.uniform(1, 10, CASES)))
    return out[0], out[1]


def clips(rng: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Two models and the reference. Models are near the reference case by case, as answers to one first frame are."""
    scale = np.linspace(0.3, 2, DIM)
    case = rng.normal(size=(CASES, 1, DIM)) * scale

    def video(of_case: float, own: float, shift: float) -> list[np.ndarray]:
        noise = rng.normal(size=(CASES, 1, DIM)) * own + rng.normal(size=(CASES, WINDOWS, DIM)) * 0.4
        return list(of_case * case + noise * scale + shift)

    return video(0.8, 0.7, 0.25), video(0.9, 0.5, 0.1), video(1.0, 0.0, 0.0)


def covered(trials: list[tuple[float, float, float]]) -> float:
    """Share (%) of intervals that hold the mean of all values; a trial is (value, lo, hi)."""
    truth = float(np.mean([t[0] for t in trials]))
    return 100 * float(np.mean([lo <= truth <= hi for _, lo, hi in trials]))


def per_case(draw: Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]) -> float:
    trials = []
    for k in range(TRIALS):
        a, b = draw(np.random.default_rng((1, k)))
        d = paired.difference(a, b, seed=k)
        trials.append((d.value, d.lo, d.hi))
    return covered(trials)


def of_sets(distance: str) -> float:
    trials = []
    for k in range(TRIALS):
        *models, reference = clips(np.random.default_rng((2, k)))
        found = []
        for ours in models:
            if distance == "mmd":
                take = partial(sets.mmd_from, sets.pair_terms(ours, reference))
            else:
                take = partial(sets.frechet_from, sets.grams(ours, reference))
            found.append(sets.resampled(take, CASES, RESAMPLES, seed=k))
        d = sets.difference(found[0], found[1], CASES)
        trials.append((d.value, d.lo, d.hi))
    return covered(trials)


def main() -> None:
    target = "92 to 98"
    for draw in (normal, skewed, lost):
        row(f"difference of means, {draw.__name__} values", per_case(draw), "%", target)
    for distance in ("frechet", "mmd"):
        row(f"difference of {distance} distances", of_sets(distance), "%", target)


if __name__ == "__main__":
    main()
