"""`make results`: the paper's signs and its open points, from the runs that are scored. Writes docs/results.md.

    python scripts/results.py [--runs runs]

The rows of the table are read from RUNS, the experiments of `scripts/train_queue.py` from RUNS/queue. A method that was
trained with several seeds is their mean, case by case; its differences from another method are paired by case, and the
difference with each seed stands beside them. What is not scored yet is named.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan as NAN
from pathlib import Path

import click
import numpy as np

from flashbench.comparison import Beside
from flashbench.markdown import table_lines
from flashbench.metrics.catalogue import METRICS
from flashbench.runs.scored import Scored, read_scored
from flashbench.runs.table import ARROWS, short
from flashbench.statistics import paired, sets
from flashbench.statistics.paired import Difference

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "scripts")]
from pages import fill  # noqa: E402

PAGE = ROOT / "docs" / "results.md"
COLUMNS = ("fid_lite0", "fvd_i3d", "miou_lk", "biou_lk")  # the paper's four
MORE = ("epe_lk", "stlpips")
SEEDED = ("diffusion-only", "gan-only", "fixed-lambda")


def methods(adapter: str) -> dict[str, list[str]]:
    """Names of methods -> folders of their runs, one a seed, below the folder of the runs."""
    if adapter == "resnet":
        trained = ("diffusion-only", "gan-only", "fixed-lambda", "slow-tuned", "lcm", "dmd", "plugged")
        out = {name: [f"queue/{name}-resnet"] for name in trained}
        return {**out, "flashmotion": ["queue/fast-adapter-resnet"], "teacher": ["queue/slow-resnet"]}
    out = {name: [f"queue/{name}"] for name in ("slow-tuned", "lcm", "dmd")}
    out |= {name: [f"queue/{name}", f"queue/{name}-1", f"queue/{name}-2"] for name in SEEDED}
    ours = ["flashmotion-4step", "queue/fast-adapter-1", "queue/fast-adapter-2"]
    return {**out, "flashmotion": ours, "plugged": ["plugged-4step"], "teacher": ["slow-50step"]}


@dataclass(frozen=True)
class Claim:
    """What the paper says of one method beside another.

    Attributes:
        first, second: names of `methods`; differences are first minus second.
        signs: metric -> `+`, `-`, or `0` (no worse and no better, by what the cases can tell).
    """

    words: str
    first: str
    second: str
    signs: dict[str, str]


LOWER, HIGHER = {"fid_lite0": "-", "fvd_i3d": "-"}, {"miou_lk": "+", "biou_lk": "+"}
CLAIMS = (
    Claim("(i) stage 3 improves on the plugged-in SlowAdapter", "flashmotion", "plugged", {**LOWER, **HIGHER}),
    Claim("(ii) without the GAN FVD suffers most, IoU does not", "diffusion-only", "flashmotion",
          {"fid_lite0": "+", "fvd_i3d": "+", "miou_lk": "0", "biou_lk": "0"}),
    Claim("(iii) without the diffusion loss IoU suffers most", "gan-only", "flashmotion",
          {"fid_lite0": "+", "fvd_i3d": "+", "miou_lk": "-", "biou_lk": "-"}),
    Claim("(iv) fixed lambda = 1 behaves like no GAN", "fixed-lambda", "diffusion-only",
          dict.fromkeys(COLUMNS, "0")),
    Claim("(v) four steps beat their own teacher of fifty", "flashmotion", "teacher", {**LOWER, **HIGHER}),
    Claim("control: SlowAdapter trained on at the four times", "flashmotion", "slow-tuned", {**LOWER, **HIGHER}),
    Claim("baseline: LCM, generator and adapter together", "flashmotion", "lcm", {**LOWER, **HIGHER}),
    Claim("baseline: DMD, generator and adapter together", "flashmotion", "dmd", {**LOWER, **HIGHER}),
)  # fmt: skip

# What differs from the target in one thing: how it is called, and its run.
VARIANTS = (
    ("lambda rises", "queue/lambda-rising"),
    ("lambda = 0.225", "queue/lambda-0.225"),
    ("lambda = 0.93", "queue/lambda-0.93"),
    ("lambda = 1", "queue/fixed-lambda"),
    ("weight of the GAN 1", "queue/gan-weight-1.0"),
    ("weight of the GAN 0.05", "queue/gan-weight-0.05"),
    ("half the rate of learning", "queue/lr-half"),
    ("twice the rate of learning", "queue/lr-double"),
    ("discriminator and adapter updated one to one", "queue/one-to-one"),
    ("discriminator and adapter updated five to one", "queue/five-to-one"),
    ("discriminator at low noise, 0.02 to 0.5", "queue/noise-low"),
    ("discriminator at high noise, 0.5 to 0.98", "queue/noise-high"),
    ("twice as many updates", "queue/steps-800"),
    ("discriminator sees finished samples alone", "queue/whole-samples"),
    ("logits compared in pairs", "queue/paired"),
    ("no semantic self-attention", "queue/without-SS"),
    ("no trajectory cross-attention", "queue/without-TC"),
    ("no video cross-attention", "queue/without-VC"),
    ("sampled in 1 step", "queue/flashmotion-1step"),
    ("sampled in 2 steps", "queue/flashmotion-2step"),
    ("sampled in 8 steps", "queue/flashmotion-8step"),
    ("sampled at 1, 0.94, 0.83, 0.63", "queue/flashmotion-shifted-4step"),
)


def read(runs: Path, name: str) -> Scored | None:
    """A scored run, or None where there is none yet."""
    return read_scored(runs / name) if (runs / name / "results.json").is_file() else None


def apart(first: Sequence[Scored], second: Sequence[Scored], metric: str) -> tuple[Difference, list[float]]:
    """First minus second, each the mean of its runs, and the differences run by run where both have as many or one."""
    beside, k = Beside([*first, *second]), len(first)
    if METRICS[metric].kind == "set":
        found = beside.distances(metric)
        sides = [
            (float(np.mean([value for value, _ in side])), np.mean([halves for _, halves in side], axis=0))
            for side in (found[:k], found[k:])
        ]
        whole = sets.difference(sides[0], sides[1], len(beside.ids))
        values = [value for value, _ in found]
    else:
        table = beside.values(metric)
        if not table.shape[1]:
            return Difference(0, NAN, why="no case has a value in both"), []
        whole = paired.difference(table[:k].mean(axis=0), table[k:].mean(axis=0))
        values = list(table.mean(axis=1))
    ours, theirs = values[:k], values[k:]
    if len(theirs) == 1 or len(ours) == 1 or len(ours) == len(theirs):
        count = max(len(ours), len(theirs))
        many = [side * count if len(side) == 1 else side for side in (ours, theirs)]
        return whole, [float(a - b) for a, b in zip(*many, strict=True)]
    return whole, []


def verdict(sign: str, d: Difference) -> str:
    """How a difference stands to the sign that is claimed."""
    if d.why:
        return d.why
    if not d.decided:
        return "as claimed: not told apart" if sign == "0" else "not decided"
    found = "+" if d.value > 0 else "-"
    return "shown" if found == sign else f"differs ({found})" if sign == "0" else "**the opposite**"


def cell(d: Difference) -> str:
    return short(d.value) if d.why else f"{short(d.value)} ({short(d.lo)} to {short(d.hi)})"


def signs(runs: Path, adapter: str) -> list[str]:
    """The table of the claims with one adapter, and what it still lacks."""
    held = {name: [s for f in folders if (s := read(runs, f))] for name, folders in methods(adapter).items()}
    lines, lacking = [], []
    for claim in CLAIMS:
        first, second = held[claim.first], held[claim.second]
        if not first or not second:
            lacking.append(f"{claim.words} ({', '.join(n for n in (claim.first, claim.second) if not held[n])})")
            continue
        for metric, sign in claim.signs.items():
            d, by_seed = apart(first, second, metric)
            seeds = ", ".join(map(short, by_seed)) if len(by_seed) > 1 else f"{len(first)} and {len(second)}"
            lines.append([claim.words, metric, sign, cell(d), str(d.n), seeds, verdict(sign, d)])
    header = ["claim", "metric", "paper", "ours: difference (95 %)", "cases", "by seed, or seeds", "verdict"]
    return [*(table_lines(header, lines) if lines else []), *missing(lacking)]


def variants(runs: Path) -> list[str]:
    """What differs from the target in one thing, seed by seed the same."""
    lines, lacking, target = [], [], read(runs, "flashmotion-4step")
    for words, name in VARIANTS:
        run = read(runs, name)
        if run is None or target is None:
            lacking.append(words)
            continue
        lines.append([words, *(cell(apart([run], [target], m)[0]) for m in (*COLUMNS, *MORE))])
    header = ["variant minus the target", *(f"{m} {ARROWS[METRICS[m].direction]}" for m in (*COLUMNS, *MORE))]
    return [*(table_lines(header, lines) if lines else []), *missing(lacking)]


def costs(runs: Path) -> list[str]:
    """Updates and seconds that each network of a scored run was trained with, as its manifest says."""
    lines: dict[tuple[str, str], list[str]] = {}  # by network and what made it
    for adapter in ("controlnet", "resnet"):
        for name, folders in methods(adapter).items():
            user = name if adapter == "controlnet" else f"{name}, ResNet"
            for run in (read(runs, folder) for folder in folders):
                for part, facts in (run.facts["model"]["info"].get("weights", {}) if run else {}).items():
                    numbers = (str(facts.get(key) or "") for key in ("steps", "seconds"))
                    if part != "codec":
                        lines.setdefault((part, facts["command"]), [user, part, *numbers, facts["command"]])
    return table_lines(["first used by", "network", "updates", "seconds", "command"], list(lines.values()))


def missing(names: Sequence[str]) -> list[str]:
    return ["", f"Not scored yet: {'; '.join(names)}."] if names else []


@click.command()
@click.option("--runs", default="runs", show_default=True, type=click.Path(path_type=Path), help="Folder of the runs.")
def main(runs: Path) -> None:
    """Fills docs/results.md."""
    for adapter in ("controlnet", "resnet"):
        fill(PAGE, f"signs {adapter}", "\n".join(signs(runs, adapter)).strip())
    fill(PAGE, "variants", "\n".join(variants(runs)).strip())
    fill(PAGE, "costs", "\n".join(costs(runs)))


if __name__ == "__main__":
    main()
