"""The length of a schedule out of the speed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from flashbench.errors import InputError
from flashmotion.presets.schema import Schedule
from flashmotion.training import fit, trainer
from flashmotion.training.fit import Speed, kept, measured, steps

SCHEDULE = Schedule(steps=12, batch=2, lr=1e-2, warmup=3)


class Toy:
    name, averaged = "toy", ("net",)

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.nets = {"net": nn.Linear(3, 3)}
        self.optimizers = {"adamw": torch.optim.AdamW(self.nets["net"].parameters(), lr=1e-2)}
        self.done: list[int] = []

    def step(self, step: int, batch: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        self.done.append(step)
        loss = self.nets["net"](batch).square().mean()
        loss.backward()
        self.optimizers["adamw"].step()
        self.optimizers["adamw"].zero_grad()
        return {"loss": loss.detach()}

    def validate(self, averages: Mapping[str, nn.Module], folder: Path, step: int) -> dict[str, float]:
        return {"norm": 1.0}


def batches() -> Iterator[Tensor]:
    while True:
        yield torch.ones(2, 3)


def test_the_time_is_filled() -> None:
    speed = Speed(step=0.1, save=2.0, validate=3.0)
    n = steps(speed, 600)
    took = n * (0.1 + 2.0 / trainer.SAVE_EVERY) + fit.REST * 3
    assert 0.96 * 600 < took <= 600 and isinstance(n, int)
    assert steps(speed, 300) < n < steps(speed._replace(step=0.05), 600)


@pytest.mark.parametrize("seconds", [-5, 1, 17])
def test_no_time(seconds: float) -> None:
    with pytest.raises(InputError, match=r"--fit: leaves time for \d+ steps of 0.1 s; give more minutes"):
        steps(Speed(0.1, 2.0, 3.0), seconds)


def test_measuring_leaves_the_stage_as_it_was(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trainer, "curve", lambda folder: None)
    stage = Toy()
    before = {k: v.clone() for k, v in stage.nets["net"].state_dict().items()}
    speed = measured(stage, SCHEDULE, 0, batches(), torch.Generator)  # type: ignore[arg-type]
    assert all(v > 0 for v in speed) and stage.done == list(range(fit.WARM + fit.TIMED))
    after = stage.nets["net"].state_dict()
    assert all(torch.equal(v, after[k]) for k, v in before.items())
    assert not stage.optimizers["adamw"].state and stage.optimizers["adamw"].param_groups[0]["lr"] == 1e-2
    assert capsys.readouterr().err == ""


def test_the_first_steps_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """They compile. The clock here goes on by 100 s in each of them, by 1 s in those that follow."""
    monkeypatch.setattr(trainer, "curve", lambda folder: None)
    now = [0.0]
    monkeypatch.setattr(fit.time, "monotonic", lambda: now[0])

    class Slow(Toy):
        def step(self, step: int, batch: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
            now[0] += 100 if step < fit.WARM else 1
            return super().step(step, batch, rng)

        def validate(self, averages: Mapping[str, nn.Module], folder: Path, step: int) -> dict[str, float]:
            now[0] += 7
            return {"norm": 1.0}

    assert measured(Slow(), SCHEDULE, 0, batches(), torch.Generator) == Speed(1, 0, 7)  # type: ignore[arg-type]


def test_what_a_run_was_begun_with(tmp_path: Path) -> None:
    assert kept(tmp_path, 3.0) is None
    (tmp_path / "config.json").write_text(json.dumps({"fit": {"minutes": 3.0, "steps": 77}}))
    assert kept(tmp_path, 3.0) is None  # killed before its first checkpoint: measured anew
    (tmp_path / "checkpoint.pt").touch()
    assert kept(tmp_path, 3.0) == kept(tmp_path, 5.0) == 77
    with pytest.raises(InputError, match="was begun with --fit"):
        kept(tmp_path, None)
    (tmp_path / "config.json").write_text("{}")
    assert kept(tmp_path, None) is None
    with pytest.raises(InputError, match="was begun without --fit"):
        kept(tmp_path, 3.0)
    (tmp_path / "config.json").unlink()
    assert kept(tmp_path, None) is None
