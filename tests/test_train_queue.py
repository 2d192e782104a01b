"""`scripts/train_queue.py`: what it runs, on a GPU and afterwards."""

from __future__ import annotations

import importlib.util
import json
import subprocess
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
        assert command[:2] == [sys.executable, "-m"]
        commands.append(" ".join(map(str, command[2:])))
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
    names, options = ("gan-weight-1.0", "dmd"), "--device cuda --set groups=30"
    trained = run(queue, monkeypatch, *names, "--options", options, "--train-only")
    assert trained == [
        "flashmotion.cli train fast-adapter --adapter controlnet --seed 0 --run queue/gan-weight-1.0 "
        "--set gan_weight=1.0 " + options,
        "flashmotion.cli train dmd --adapter controlnet --seed 0 --run queue/dmd " + options,
    ]
    assert run(queue, monkeypatch, *names, "--train-only") == []
    assert run(queue, monkeypatch, *names) == [
        "flashbench.cli eval --model flashmotion-4step -o runs/queue/gan-weight-1.0",
        "flashbench.cli eval --model dmd-4step -o runs/queue/dmd",
    ]


def test_several_at_a_time_wait_for_what_they_build_on(queue: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = run(queue, monkeypatch, "slow-resnet", "lcm-resnet", "dmd-resnet", "--jobs", "3", "--train-only")
    assert len(commands) == 3 and commands[0].startswith("flashmotion.cli train slow-adapter --adapter resnet")


def test_one_that_collapses_does_not_stop_the_others(queue: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def collapsing(command: list[object], env: dict[str, str], check: bool) -> None:
        if "lcm" in command:
            raise subprocess.CalledProcessError(3, "flashmotion")
        export(Path(env["FLASHMOTION_WEIGHTS"]), complete=True)

    monkeypatch.setattr(queue.subprocess, "run", collapsing)
    result = CliRunner().invoke(queue.main, ["lcm", "dmd", "--train-only"])
    assert result.exit_code == 1 and "Error: failed: lcm" in result.output
    listed = CliRunner().invoke(queue.main, ["--list"]).output
    assert "open    lcm:" in listed and "trained dmd:" in listed


def test_a_training_that_was_stopped_goes_on(queue: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    export(queue.TRAINING / "lcm" / "weights", complete=False)
    first, second = run(queue, monkeypatch, "lcm", "--options", "")
    assert first == "flashmotion.cli train lcm --adapter controlnet --seed 0 --run queue/lcm" and "eval" in second


def test_weights_that_it_builds_on_are_not_its_own(queue: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    run(queue, monkeypatch, "slow-resnet", "--train-only")
    commands = run(queue, monkeypatch, "lcm-resnet", "plugged-resnet", "--train-only")
    assert len(commands) == 1 and commands[0].startswith("flashmotion.cli train lcm --adapter resnet")
    listed = CliRunner().invoke(queue.main, ["--list"]).output.splitlines()
    states = {x.split()[1]: x.split()[0] for x in listed}
    assert states["slow-resnet:"] == "trained" and states["fast-adapter-resnet:"] == "open"
