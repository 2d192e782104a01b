"""The training loop. It knows steps, checkpoints, averages and logs, and no method.

Everything random in step k is drawn from a generator seeded with (seed, k), and batches are a function of (seed, k): a
run that was killed anywhere and resumed ends bit-equal to one that was not.
"""

from __future__ import annotations

import copy
import io
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from flashbench.errors import InputError
from flashbench.files.atomic import replacing, write_bytes, write_json
from flashmotion.presets.schema import Schedule
from flashmotion.training.log import append, keep_until, last_step
from flashmotion.training.watch import Collapse, Watch

SAVE_EVERY = 200  # steps
GATHER = 20  # steps whose losses are read off a GPU together, which is not waited for in between


class Stage(Protocol):
    """One method.

    `nets`: what it trains; `optimizers`: with their full rates; `averaged`: nets whose moving average is the product.
    """

    name: str
    nets: Mapping[str, nn.Module]
    averaged: tuple[str, ...]
    optimizers: Mapping[str, torch.optim.Optimizer]

    def step(self, step: int, batch: Any, rng: torch.Generator) -> dict[str, Tensor | float]:
        """One update, optimizers included; returns losses by name, as tensors where they lie."""
        ...

    def validate(self, averages: Mapping[str, nn.Module], folder: Path, step: int) -> dict[str, float]:
        """Metrics on held-out scenes and a sheet of samples in `folder`."""
        ...


def read(rows: Sequence[Mapping[str, Tensor | float]]) -> list[dict[str, float]]:
    """The numbers of many rows, copied from the device at once."""
    tensors = [v.double() for row in rows for v in row.values() if isinstance(v, Tensor)]
    values = iter(torch.stack(tensors).tolist() if tensors else ())
    return [{k: next(values) if isinstance(v, Tensor) else v for k, v in row.items()} for row in rows]


def rate(schedule: Schedule, step: int) -> float:
    """Learning rate factor: warm-up, constant, linear to zero."""
    warm = min(1.0, (step + 1) / max(schedule.warmup, 1))
    start = schedule.hold * schedule.steps
    return warm * min(1.0, max(0.0, (schedule.steps - step) / max(schedule.steps - start, 1)))


class Trainer:
    """Runs a stage in a folder: checkpoint.pt, log.csv, validation.csv, curve.png, sheet-STEP.png."""

    def __init__(
        self,
        stage: Stage,
        schedule: Schedule,
        folder: Path,
        seed: int,
        config: dict[str, Any],
        save_every: int = SAVE_EVERY,
        validate_every: int = 500,
        report_to: str = "none",
        generator: type[torch.Generator] = torch.Generator,
    ) -> None:
        self.stage, self.schedule, self.folder, self.seed, self.config = stage, schedule, folder, seed, config
        self.save_every, self.validate_every = save_every, validate_every
        self.generator = generator
        self.device = next(next(iter(stage.nets.values())).parameters()).device
        self.done, self.seconds = 0, 0.0
        self.pending: list[tuple[int, float, dict[str, Tensor | float]]] = []  # step, seconds, losses not yet read
        self.full = {k: [g["lr"] for g in o.param_groups] for k, o in stage.optimizers.items()}
        self.averages = {k: copy.deepcopy(stage.nets[k]).requires_grad_(False).eval() for k in stage.averaged}
        folder.mkdir(parents=True, exist_ok=True)
        self._resume()
        self.watch = Watch(getattr(stage, "limits", {}), folder / "log.csv")
        self.board = _board(folder, self.done) if report_to == "tensorboard" else None

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def _resume(self) -> None:
        if self.checkpoint.exists():
            self._load()
        else:
            write_json(self.folder / "config.json", self.config)
        for name in ("log.csv", "validation.csv"):
            keep_until(self.folder / name, self.done)

    def _load(self) -> None:
        try:
            state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        except Exception as error:
            raise InputError(
                self.checkpoint, f"cannot be read ({type(error).__name__})", "delete it to start this stage anew"
            ) from error
        try:
            self.restore(state)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                self.checkpoint,
                f"belongs to another preset or stage ({type(error).__name__})",
                "choose another --folder, or delete it to start this stage anew",
            ) from error

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes back to a state."""
        for k, net in self.stage.nets.items():
            net.load_state_dict(state["nets"][k])
        for k, net in self.averages.items():
            net.load_state_dict(state["averages"][k])
        for k, o in self.stage.optimizers.items():
            o.load_state_dict(state["optimizers"][k])
        self.done, self.seconds = int(state["step"]), float(state["seconds"])

    def state(self) -> dict[str, Any]:
        """All that a run goes on from."""
        return {
            "step": self.done,
            "seconds": self.seconds,
            "nets": {k: n.state_dict() for k, n in self.stage.nets.items()},
            "averages": {k: n.state_dict() for k, n in self.averages.items()},
            "optimizers": {k: o.state_dict() for k, o in self.stage.optimizers.items()},
        }

    def save(self) -> None:
        """Writes the checkpoint atomically."""
        buffer = io.BytesIO()
        torch.save(self.state(), buffer)
        write_bytes(self.checkpoint, buffer.getbuffer())

    def _average(self) -> None:
        decay = min(self.schedule.ema, (1 + self.done) / (10 + self.done))
        for k, average in self.averages.items():
            with torch.no_grad():
                ours, theirs = list(average.parameters()), list(self.stage.nets[k].parameters())
                torch._foreach_lerp_(ours, theirs, 1 - decay)

    def run(self, batches: Iterable[Any], minutes: float | None = None) -> bool:
        """Trains until the schedule ends or `minutes` are over. Returns True when the schedule is complete."""
        if self._due() and last_step(self.folder / "validation.csv") != self.done:  # killed between saving and this
            self.validate()
        started = last = time.monotonic()
        for batch in batches:
            if self.done >= self.schedule.steps:
                break
            for k, o in self.stage.optimizers.items():
                for group, full in zip(o.param_groups, self.full[k], strict=True):
                    group["lr"] = full * rate(self.schedule, self.done)
            # The CPU generator takes in 32 bits: seeds lie a million steps apart.
            rng = self.generator().manual_seed(self.seed * 1_000_003 + self.done)
            losses = self.stage.step(self.done, batch, rng)
            self.done += 1
            self._average()
            now = time.monotonic()
            self.seconds += now - last
            last = now
            self.pending.append((self.done, self.seconds, losses))
            over = minutes is not None and now - started > 60 * minutes
            save = self.done % self.save_every == 0 or over or self.done == self.schedule.steps
            if save or self._due() or self.device.type == "cpu" or len(self.pending) == GATHER:
                self._read()
            if save:
                self.save()
            if self._due():
                self.validate()
                last = time.monotonic()
            if over:
                break
        self._read()
        return self.done >= self.schedule.steps

    def _due(self) -> bool:
        return self.done > 0 and (self.done % self.validate_every == 0 or self.done == self.schedule.steps)

    def _read(self) -> None:
        """Reads what the last steps said, writes it down, and stops a run that is NaN or has collapsed."""
        pending, self.pending = self.pending, []
        for (step, seconds, _), losses in zip(pending, read([row[2] for row in pending]), strict=True):
            self._log(step, seconds, losses)
            wrong = self.watch.check(losses)
            if wrong is not None:
                raise Collapse(f"{self.folder}: collapsed at step {step}: {wrong}; the last checkpoint is kept")

    def _log(self, step: int, seconds: float, losses: dict[str, float]) -> None:
        bad = [k for k, v in losses.items() if v != v]
        if bad:
            raise InputError(self.folder, f"{bad[0]} is NaN at step {step}", "resume with a lower learning rate")
        if self.board is not None:
            for k, v in losses.items():
                self.board.add_scalar(k, v, step)
        append(self.folder / "log.csv", {"step": step, "seconds": round(seconds, 2), **losses})
        if step % 20 == 0:
            left = seconds / step * (self.schedule.steps - step)
            words = "  ".join(f"{k} {v:.4f}" for k, v in losses.items())
            print(
                f"{self.stage.name} {step}/{self.schedule.steps}  {words}  {left / 60:.1f} min left",
                file=sys.stderr,
                flush=True,
            )

    def validate(self) -> None:
        """Measures the averages and writes down what is found."""
        # Its shapes are its own: on a GPU, compiling for them takes longer than running them as they are.
        with nullcontext() if self.device.type == "cpu" else torch.compiler.set_stance("force_eager"):
            values = self.stage.validate(self.averages, self.folder, self.done)
        if self.board is not None:
            for k, v in values.items():
                self.board.add_scalar(f"validation/{k}", v, self.done)
            self.board.flush()
        append(self.folder / "validation.csv", {"step": self.done, "seconds": round(self.seconds, 2), **values})
        print(
            f"{self.stage.name} {self.done} validation  " + json.dumps({k: round(v, 4) for k, v in values.items()}),
            file=sys.stderr,
            flush=True,
        )
        curve(self.folder)


def _board(folder: Path, done: int) -> Any:
    """A TensorBoard writer that goes on after step `done`."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError("--report-to", "tensorboard is not installed", "pip install tensorboard") from error
    return SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1)


def curve(folder: Path) -> None:
    """Draws log.csv and validation.csv into curve.png."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import pandas as pd

    tables = [pd.read_csv(folder / n) for n in ("log.csv", "validation.csv") if (folder / n).exists()]
    panels = [(t, c) for t in tables for c in t.columns if c not in ("step", "seconds")]
    figure, axes = plt.subplots(len(panels), 1, figsize=(7, 2.2 * len(panels)), squeeze=False)
    for (table, column), axis in zip(panels, axes[:, 0], strict=True):
        smooth = table[column].rolling(max(1, len(table) // 100), min_periods=1).mean()
        axis.plot(table["step"], smooth)
        axis.set_ylabel(column)
    axes[-1, 0].set_xlabel("step")
    figure.tight_layout()
    with replacing(folder / "curve.png") as temporary:
        figure.savefig(temporary, format="png", dpi=80)
    plt.close(figure)
