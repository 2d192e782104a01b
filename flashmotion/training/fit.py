"""The length of a schedule that ends at a given time, from the speed of the machine."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
import tempfile
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch

from flashbench.errors import InputError
from flashbench.files.atomic import read_json
from flashmotion.presets.schema import Schedule
from flashmotion.training.trainer import SAVE_EVERY, Stage, Trainer

WARM, TIMED = 30, 30  # steps; whole rounds of what is updated at every fifth or second step
ENDLESS = 1 << 30
REST = 5  # validations there are at most, and the export, which takes no longer than one
MARGIN = 0.97  # of the time that is left


class Speed(NamedTuple):
    """Seconds that a step, a checkpoint and a validation take."""

    step: float
    save: float
    validate: float


def kept(folder: Path, minutes: float | None) -> int | None:
    """Steps of the run that was begun in `folder`, None where there is none or `minutes` is.

    Raises:
        InputError: it was begun with --fit and is now to go on without, or the other way round.
    """
    if not (folder / "checkpoint.pt").exists():
        return None
    config = folder / "config.json"
    found = read_json(config).get("fit") if config.exists() else None
    if found is None and minutes is not None:
        raise InputError(folder, "was begun without --fit", "leave --fit out, or choose another --run")
    if found is not None and minutes is None:
        raise InputError(folder, "was begun with --fit", "give it again (its steps are kept), or choose another --run")
    return None if found is None else int(found["steps"])


def measured(
    stage: Stage, schedule: Schedule, seed: int, batches: Iterable[Any], generator: type[torch.Generator]
) -> Speed:
    """How fast a stage trains here, once it is warm (compiled). The stage is left as it was found."""
    coming = iter(batches)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        endless = dataclasses.replace(schedule, steps=ENDLESS)
        trial = Trainer(stage, endless, Path(folder), seed, {}, ENDLESS, ENDLESS, generator=generator)
        before = copy.deepcopy(trial.state())
        trial.run(islice(coming, WARM))
        times = [time.monotonic()]
        for work in (lambda: trial.run(islice(coming, TIMED)), trial.save, trial.validate):
            work()
            times.append(time.monotonic())
        trial.restore(before)
    run, save, validate = (b - a for a, b in zip(times[:-1], times[1:], strict=True))
    return Speed(run / TIMED, save, validate)


def steps(speed: Speed, seconds: float) -> int:
    """Steps of a schedule that is over, validated, saved and exported after `seconds`.

    Raises:
        InputError: the time is too short for any training.
    """
    left = MARGIN * seconds - REST * speed.validate
    n = int(left / (speed.step + speed.save / SAVE_EVERY))
    if n < TIMED:
        what = f"leaves time for {max(n, 0)} steps of {speed.step:.2g} s"
        raise InputError("--fit", what, "give more minutes, or a smaller --batch")
    return n
