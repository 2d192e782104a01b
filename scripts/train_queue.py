"""`make train-queue`: trains and scores everything that FlashMotion is compared with, one after the other.

Stopped at any moment, the same command goes on. Checkpoints and logs of an experiment lie in
`training/nano/queue/NAME`, its weights in `training/queue/NAME/weights`, its scored run in `runs/queue/NAME`; `--list`
says what is done. On a lent GPU: `--device cuda --jobs 8 --train-only`; what was trained there is scored by the plain
command, anywhere the weights are brought to.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from flashmotion.rows import ROWS

TRAIN, EVAL = (
    [sys.executable, "-m", f"{m}.cli", verb] for m, verb in (("flashmotion", "train"), ("flashbench", "eval"))
)
TRAINING, RUNS = Path("training/queue"), Path("runs/queue")

# What was tried on stage 3. Where the ratio of updates changes, the adapter is updated as often as before.
TRIED = (
    ("lr-half", "fast_adapter.lr=1e-4"),
    ("lr-double", "fast_adapter.lr=4e-4"),
    ("one-to-one", "heads_updates=1", "fast_adapter.steps=200"),
    ("five-to-one", "heads_updates=5", "fast_adapter.steps=1000"),
    ("noise-low", "discriminator_times=[0.02,0.5]"),
    ("noise-high", "discriminator_times=[0.5,0.98]"),
    ("steps-800", "fast_adapter.steps=800"),
    ("whole-samples", "whole_samples=true"),
    ("paired", "paired=true"),
)


@dataclass(frozen=True)
class Experiment:
    """A stage trained with some fields of the preset changed, and the row of the table that is scored with it.

    Attributes:
        stage: empty where nothing is trained (another sampler of shipped weights).
        after: experiment whose weights this one needs, empty for the shipped ones.
    """

    name: str
    stage: str
    row: str
    adapter: str = "controlnet"
    seed: int = 0
    changes: tuple[str, ...] = ()
    after: str = ""

    @property
    def weights(self) -> Path:
        return TRAINING / self.name / "weights"

    @property
    def run(self) -> Path:
        return RUNS / self.name

    @property
    def trained(self) -> bool:
        """Whether its own weights are complete; those that it builds on are links."""
        parts = [p for p in self.weights.glob("nano/*") if not p.is_symlink()]
        return bool(parts) and all(json.loads((p / "manifest.json").read_text())["complete"] for p in parts)

    @property
    def done(self) -> bool:
        return (self.run / "results.json").is_file()


def experiments() -> list[Experiment]:
    """In the order of what they tell: baselines, seeds of stage 3 and its ablations, open points, the other adapter."""
    out = [Experiment(s, s, f"{s}-4step") for s in ("diffusion-only", "gan-only", "fixed-lambda", "slow-tuned")]
    out += [
        Experiment(f"gan-weight-{w}", "fast-adapter", "flashmotion-4step", changes=(f"gan_weight={w}",))
        for w in (1.0, 0.05)
    ]
    out += [Experiment(s, s, f"{s}-4step") for s in ("lcm", "dmd")]
    for seed in (1, 2):
        stages = ("fast-adapter", "diffusion-only", "gan-only", "fixed-lambda")
        rows = ("flashmotion-4step", "diffusion-only-4step", "gan-only-4step", "fixed-lambda-4step")
        out += [Experiment(f"{s}-{seed}", s, r, seed=seed) for s, r in zip(stages, rows, strict=True)]
    for name, form in (("rising", '"rising"'), ("0.225", "0.225"), ("0.93", "0.93")):
        out.append(Experiment(f"lambda-{name}", "fast-adapter", "flashmotion-4step", changes=(f"lambda_form={form}",)))
    for part, rest in (("SS", '["TC","VC"]'), ("TC", '["SS","VC"]'), ("VC", '["SS","TC"]')):
        changes = (f"discriminator={rest}",)
        out.append(Experiment(f"without-{part}", "fast-adapter", "flashmotion-4step", changes=changes))
    for name, *changes in TRIED:
        out.append(Experiment(name, "fast-adapter", "flashmotion-4step", changes=tuple(changes)))
    out += [Experiment(name, "", name) for name, row in ROWS.items() if row.times]  # the shipped weights
    slow = Experiment("slow-resnet", "slow-adapter", "slow-resnet-50step", "resnet")
    out.append(slow)
    for stage in ("fast-adapter", "diffusion-only", "gan-only", "fixed-lambda", "slow-tuned", "lcm", "dmd"):
        row = f"{'flashmotion' if stage == 'fast-adapter' else stage}-resnet-4step"
        out.append(Experiment(f"{stage}-resnet", stage, row, "resnet", after=slow.name))
    out.append(Experiment("plugged-resnet", "", "plugged-resnet-4step", "resnet", after=slow.name))
    return out


def environment(e: Experiment, all_of: dict[str, Experiment]) -> dict[str, str]:
    """Weights are looked for in the experiment's own folder, into which those that it builds on are linked."""
    e.weights.mkdir(parents=True, exist_ok=True)
    if e.after:
        for part in (all_of[e.after].weights / "nano").iterdir():
            link = e.weights / "nano" / part.name
            link.parent.mkdir(exist_ok=True)
            if not link.exists():
                link.symlink_to(part.resolve(), target_is_directory=True)
    return {**os.environ, "FLASHMOTION_WEIGHTS": str(e.weights.resolve())}


def work(e: Experiment, all_of: dict[str, Experiment], how: list[str], train_only: bool) -> None:
    """Trains one experiment where that is not done, with the options `how`, and scores it."""
    env = environment(e, all_of)
    if e.stage and not e.trained:
        command = [*TRAIN, e.stage, "--adapter", e.adapter, "--seed", str(e.seed), "--run", f"queue/{e.name}"]
        for change in e.changes:
            command += ["--set", change]
        subprocess.run([*command, *how], env=env, check=True)
    if train_only:
        return
    subprocess.run([*EVAL, "--model", e.row, "-o", str(e.run)], env=env, check=True)


def work_through(chosen: list[Experiment], jobs: int, *rest: Any) -> list[str]:
    """`jobs` experiments at a time, in their order; one that needs another's weights waits for it. Returns what failed.

    One that has collapsed does not stop the others.
    """
    running: dict[str, Future[None]] = {}
    failed = []

    def one(e: Experiment) -> None:
        if e.after in running:
            running[e.after].result()  # it was begun before
        click.echo(f"== {e.name}", err=True)
        work(e, *rest)

    with ThreadPoolExecutor(jobs) as pool:
        for e in chosen:
            running[e.name] = pool.submit(one, e)
        for name, future in running.items():
            if error := future.exception():
                click.echo(f"{name}: {error}", err=True)
                failed.append(name)
    return failed


@click.command()
@click.argument("names", nargs=-1)
@click.option("--list", "listed", is_flag=True, help="Only say what there is and what is done.")
@click.option("--options", default="--compile", show_default=True, help="Options of every `flashmotion train`.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(min=1), help="Experiments at a time.")
@click.option("--train-only", is_flag=True, help="Score nothing.")
def main(names: tuple[str, ...], listed: bool, options: str, jobs: int, train_only: bool) -> None:
    """Works through the experiments, or through NAMES in their order."""
    all_of = {e.name: e for e in experiments()}
    if unknown := [n for n in names if n not in all_of]:
        raise click.UsageError(f"unknown experiment {unknown[0]!r}; known: {', '.join(all_of)}")
    if listed:
        for e in all_of.values():
            state = "done" if e.done else "trained" if e.trained else "open"
            click.echo(f"{state:8}{e.name}: {e.stage or 'no training'} {' '.join(e.changes)}")
        return
    chosen = [all_of[n] for n in names or all_of if not all_of[n].done]
    if failed := work_through(chosen, jobs, all_of, shlex.split(options), train_only):
        raise click.ClickException(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
