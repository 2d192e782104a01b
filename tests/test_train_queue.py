"""`scripts/train_queue.py`: what it runs, on a GPU and afterwards."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

SCRIPT = Path(__file__).parents[1] / "scripts" / "train_queue.py"


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_queue", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "train_queue", module)
    spec.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    return module


def run(queue: ModuleType, monkeypatch: pytest.MonkeyPatch, *args: str) -> list[str]:
    """Commands that are run, without the folder of the programs; a training leaves weights behind."""
    commands: list[str] = []

    def seen(command: list[object], env: dict[str, str], check: bool) -> None:
        commands.append(" ".join([Path(str(command[0])).name, *map(str, command[1:])]))
        if "train" in command:
            export(Path(env["FLASHMOTION_WEIGHTS"]), complete=True)

    monkeypatch.setattr(queue.subprocess, "run", seen)
    result = CliRunner().invoke(queue.main, args)
    assert result.exit_code == 0, result.output
    return commands


def export(folder: Path, complete: bool) -> None:
    (folder / "nano" / "part").mkdir(parents=True, exist_ok=True)
    (folder / "nano" / "part" / "manifest.json").write_text(json.dumps({"complete": complete}))


def test_trained_on_a_gpu_and_scored_afterwards(queue: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("gan-weight-0.2", "dmd")
    trained = run(queue, monkeypatch, *names, "--device", "cuda", "--train-only")
    end = f"--compile --device cuda --workers {os.cpu_count()}"
    assert trained == [
        "flashmotion train fast-adapter --adapter controlnet --seed 0 --run queue/gan-weight-0.2 --set gan_weight=0.2 "
        + end,
        "flashmotion train dmd --adapter controlnet --seed 0 --run queue/dmd " + end,
    ]
    assert run(queue, monkeypatch, *names, "--train-only") == []
    assert run(queue, monkeypatch, *names) == [
        "flashbench eval --model flashmotion-4step -o runs/queue/gan-weight-0.2",
        "flashbench eval --model dmd-4step -o runs/queue/dmd",
    ]


def test_a_training_that_was_stopped_goes_on(queue: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    export(queue.TRAINING / "lcm" / "weights", complete=False)
    first, second = run(queue, monkeypatch, "lcm", "--no-compile")
    assert first == "flashmotion train lcm --adapter controlnet --seed 0 --run queue/lcm" and "eval" in second


def test_weights_that_it_builds_on_are_not_its_own(queue: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    run(queue, monkeypatch, "slow-resnet", "--train-only")
    commands = run(queue, monkeypatch, "lcm-resnet", "plugged-resnet", "--train-only")
    assert len(commands) == 1 and commands[0].startswith("flashmotion train lcm --adapter resnet")
    listed = CliRunner().invoke(queue.main, ["--list"]).output.splitlines()
    states = {x.split()[1]: x.split()[0] for x in listed}
    assert states["slow-resnet:"] == "trained" and states["fast-adapter-resnet:"] == "open"
