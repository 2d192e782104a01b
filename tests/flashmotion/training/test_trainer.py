"""The loop: exact resume after any death, averages, rates, logs, and one line for a broken checkpoint."""

from __future__ import annotations

import csv
import json
import os
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from flashbench.errors import InputError
from flashmotion.networks.adapters.controlnet import ControlNetAdapter
from flashmotion.networks.adapters.hint import Hint
from flashmotion.networks.codec import PatchCodec
from flashmotion.presets.schema import Preset, Schedule
from flashmotion.stages.base import Base
from flashmotion.stages.dmd import Dmd
from flashmotion.stages.fast_adapter import FastAdapter
from flashmotion.stages.fast_generator import FastGenerator
from flashmotion.stages.lcm import Lcm
from flashmotion.stages.slow_adapter import SlowAdapter
from flashmotion.training import trainer as module
from flashmotion.training import watch
from flashmotion.training.data import Scenes
from flashmotion.training.trainer import Trainer, curve, rate

SCHEDULE = Schedule(steps=12, batch=2, lr=1e-2, warmup=3, hold=0.5, ema=0.9)


class Toy:
    """Two nets with an optimizer each; the second learns at every third step, which changes the columns of the log."""

    name = "toy"
    averaged = ("a",)

    def __init__(self, nan_at: int = -1) -> None:
        torch.manual_seed(0)
        self.nets = {"a": nn.Linear(3, 2), "b": nn.Linear(2, 3)}
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "a": torch.optim.AdamW(self.nets["a"].parameters(), lr=1e-2),
            "b": torch.optim.SGD(self.nets["b"].parameters(), lr=1e-1, momentum=0.9),
        }
        self.nan_at, self.rates, self.validated = nan_at, [], []  # type: ignore[var-annotated]

    def step(self, step: int, batch: Tensor, rng: torch.Generator) -> dict[str, float]:
        self.rates.append([o.param_groups[0]["lr"] for o in self.optimizers.values()])
        x = batch + torch.randn(batch.shape, generator=rng)
        out = {}
        for k in ("a", "b") if step % 3 == 2 else ("a",):
            loss = (self.nets["b"](self.nets["a"](x)) - x).square().mean()
            self.optimizers[k].zero_grad()
            loss.backward()
            self.optimizers[k].step()
            out[f"loss_{k}"] = float(loss.detach())
        return {**out, "loss_a": float("nan")} if step == self.nan_at else out

    def validate(self, averages: Mapping[str, nn.Module], folder: Path, step: int) -> dict[str, float]:
        self.validated.append(step)
        return {"norm": float(averages["a"].weight.detach().norm())}


def toy_batches(first: int = 0) -> Iterator[Tensor]:
    step = first
    while True:
        yield torch.randn(4, 3, generator=torch.Generator().manual_seed(1000 + step))
        step += 1


def toy_trainer(folder: Path, stage: Toy | None = None, **settings: Any) -> Trainer:
    settings = {"save_every": 4, "validate_every": 6, **settings}
    return Trainer(stage or Toy(), SCHEDULE, folder, 7, {"stage": "toy"}, **settings)


def everything(trainer: Trainer) -> dict[str, Any]:
    """Nets, averages and optimizers, flat."""
    state = {
        "nets": {k: n.state_dict() for k, n in trainer.stage.nets.items()},
        "averages": {k: n.state_dict() for k, n in trainer.averages.items()},
        "optimizers": {k: o.state_dict() for k, o in trainer.stage.optimizers.items()},
    }
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for k, v in value.items():
                walk(f"{prefix}/{k}", v)
        elif isinstance(value, list | tuple):
            for i, v in enumerate(value):
                walk(f"{prefix}/{i}", v)
        else:
            flat[prefix] = value

    walk("", state)
    return flat


def assert_equal(a: Mapping[str, Any], b: Mapping[str, Any]) -> None:
    assert set(a) == set(b)
    for k, v in a.items():
        assert torch.equal(v, b[k]) if isinstance(v, Tensor) else v == b[k], k


def rows(path: Path) -> list[dict[str, str]]:
    """Rows of a log without the seconds, which are the clock's."""
    with path.open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def dies(work: Callable[[], object]) -> None:
    """Runs `work` in a process of its own, which must end by SIGKILL."""
    pid = os.fork()
    if pid == 0:
        try:
            torch.set_num_threads(1)
            work()
        except BaseException:
            traceback.print_exc()
        os._exit(3)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status


def kill_at(stage: Any, step: int) -> None:
    """The stage is killed with -9 in the middle of that step, its nets half way."""
    original = stage.step

    def deadly(k: int, batch: Any, rng: torch.Generator) -> dict[str, float]:
        if k == step:
            next(iter(stage.nets.values())).requires_grad_(True)
            with torch.no_grad():
                next(next(iter(stage.nets.values())).parameters()).add_(1)
            os.kill(os.getpid(), signal.SIGKILL)
        return dict(original(k, batch, rng))

    stage.step = deadly


@pytest.fixture(autouse=True)
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than all else; one test calls it."""
    monkeypatch.setattr(module, "curve", lambda folder: None)


@pytest.fixture
def undisturbed(tmp_path: Path) -> Trainer:
    trainer = toy_trainer(tmp_path / "undisturbed")
    assert trainer.run(toy_batches())
    return trainer


def assert_same_run(trainer: Trainer, undisturbed: Trainer) -> None:
    assert trainer.done == undisturbed.done
    assert_equal(everything(trainer), everything(undisturbed))
    for name in ("log.csv", "validation.csv"):
        assert rows(trainer.folder / name) == rows(undisturbed.folder / name), name


@pytest.mark.parametrize("step", [0, 1, 4, 5, 7, 8, 11])
def test_killed_in_a_step_and_resumed_is_as_if_nothing_happened(
    step: int, tmp_path: Path, undisturbed: Trainer
) -> None:
    def first() -> None:
        stage = Toy()
        kill_at(stage, step)
        toy_trainer(tmp_path / "run", stage).run(toy_batches())

    dies(first)
    again = toy_trainer(tmp_path / "run")
    assert again.done == step // 4 * 4
    assert again.run(toy_batches(again.done))
    assert_same_run(again, undisturbed)


def test_killed_while_it_saves(tmp_path: Path, undisturbed: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint before is whole; the half-written one has another name."""
    saves = []
    original = os.replace

    def deadly(source: Path, target: Path) -> None:
        saves.append(target.name == "checkpoint.pt")
        if sum(saves) == 2:
            os.truncate(source, source.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        original(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", deadly)
        dies(lambda: toy_trainer(tmp_path / "run").run(toy_batches()))
    assert len(list((tmp_path / "run").glob(".checkpoint.pt.*.tmp"))) == 1
    again = toy_trainer(tmp_path / "run")
    assert again.done == 4 and again.run(toy_batches(4))
    assert_same_run(again, undisturbed)


@pytest.mark.parametrize("step", [6, 12])
def test_killed_while_it_validates(step: int, tmp_path: Path, undisturbed: Trainer) -> None:
    """The row is made up for, also the very last one."""

    def first() -> None:
        stage = Toy()
        original = stage.validate

        def deadly(averages: Mapping[str, nn.Module], folder: Path, k: int) -> dict[str, float]:
            if k == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(averages, folder, k)

        stage.validate = deadly  # type: ignore[method-assign]
        toy_trainer(tmp_path / "run", stage).run(toy_batches())

    dies(first)
    again = toy_trainer(tmp_path / "run")
    assert again.run(toy_batches(again.done))
    assert_same_run(again, undisturbed)


def test_killed_again_and_again(tmp_path: Path, undisturbed: Trainer) -> None:
    for step in (5, 9, 10, 11):

        def work(step: int = step) -> None:
            stage = Toy()
            kill_at(stage, step)
            trainer = toy_trainer(tmp_path / "run", stage)
            trainer.run(toy_batches(trainer.done))

        dies(work)
    again = toy_trainer(tmp_path / "run")
    assert again.run(toy_batches(again.done))
    assert_same_run(again, undisturbed)


STAGES = ("base", "slow_adapter", "fast_generator", "fast_adapter", "lcm", "dmd")


@pytest.fixture
def build(
    toy: Preset,
    codec: PatchCodec,
    text: Tensor,
    generator: WanTransformer3DModel,
    adapter: ControlNetAdapter,
    make_generator: Callable[..., WanTransformer3DModel],
) -> Callable[[str], Any]:
    """A stage by name, made anew, with a report that costs nothing."""

    def make(name: str) -> Any:
        torch.manual_seed(4)
        common = (toy, codec, torch.float32, text[-4:])
        stage: Any
        if name == "base":
            stage = Base(*common, clips=2)
        elif name == "slow_adapter":
            stage = SlowAdapter(*common, clips=2, parts=(generator, Hint(toy.channels, toy.heads * toy.head_dim)))
        elif name == "fast_generator":
            stage = FastGenerator(*common, clips=2, slow=generator)
        elif name in ("lcm", "dmd"):
            stage = {"lcm": Lcm, "dmd": Dmd}[name](*common, clips=2, parts=(generator, adapter))
        else:
            stage = FastAdapter(*common, clips=2, parts=(generator, make_generator(seed=2), adapter))
        stage.validate = lambda averages, folder, step: {"step_again": float(step)}
        return stage

    return make


@pytest.mark.parametrize("name", STAGES)
def test_the_real_stages_resume_exactly(
    name: str, toy: Preset, text: Tensor, build: Callable[[str], Any], tmp_path: Path
) -> None:
    """Nets, averages, both optimizers, data and noise; the fork keeps the exact arithmetic of this process."""
    schedule = getattr(toy, name, toy.fast_adapter)

    def make(folder: str, stage: Any) -> Trainer:
        return Trainer(stage, schedule, tmp_path / folder, 3, {"stage": name}, save_every=2, validate_every=4)

    def batches(first: int) -> Iterator[Any]:
        scenes = Scenes(toy, text, schedule.batch, 3, first=first, boxes_from=3)
        return (scenes[i] for i in range(99))

    def first_life() -> None:
        stage = build(name)
        kill_at(stage, 3)
        make("run", stage).run(batches(0))

    undisturbed = make("undisturbed", build(name))
    assert undisturbed.run(batches(0))
    dies(first_life)
    again = make("run", build(name))
    assert again.done == 2 and again.run(batches(2))
    assert_same_run(again, undisturbed)
    nets = {"fast_generator": 2, "fast_adapter": 2, "lcm": 2, "dmd": 4}
    if name in nets:
        assert len(again.stage.optimizers) >= 1 + (name != "lcm") and len(again.stage.nets) == nets[name]


def test_rates() -> None:
    s = Schedule(steps=100, batch=1, lr=1.0, warmup=10, hold=0.6)
    assert rate(s, 0) == pytest.approx(0.1) and rate(s, 9) == 1 and rate(s, 60) == 1
    assert rate(s, 80) == pytest.approx(0.5) and rate(s, 99) == pytest.approx(1 / 40) and rate(s, 100) == 0
    assert rate(Schedule(steps=10, batch=1, lr=1.0, warmup=0, hold=1.0), 9) == 1


def test_every_optimizer_follows_the_schedule_from_its_own_rate(tmp_path: Path) -> None:
    stage = Toy()
    toy_trainer(tmp_path, stage).run(toy_batches())
    expected = [[1e-2 * rate(SCHEDULE, k), 1e-1 * rate(SCHEDULE, k)] for k in range(12)]
    assert stage.rates == [pytest.approx(e) for e in expected]


def test_every_step_and_every_seed_has_its_own_noise(tmp_path: Path) -> None:
    seen: dict[int, list[float]] = {}
    for seed in (0, 1):
        stage = Toy()
        drawn = seen.setdefault(seed, [])

        def step(k: int, batch: Tensor, rng: torch.Generator, drawn: list[float] = drawn) -> dict[str, float]:
            drawn.append(float(torch.rand((), generator=rng)))
            return {"loss": 1.0}

        stage.step = step  # type: ignore[method-assign]
        Trainer(stage, SCHEDULE, tmp_path / str(seed), seed, {}).run(toy_batches())
    assert len({*seen[0], *seen[1]}) == 24


def test_the_average_follows_the_net(tmp_path: Path) -> None:
    """The first values weigh less: decay is min(ema, (1 + step) / (10 + step))."""
    stage = Toy()
    trainer = toy_trainer(tmp_path, stage)
    by_hand = stage.nets["a"].weight.detach().clone()
    step = stage.step

    def watch(k: int, batch: Tensor, rng: torch.Generator) -> dict[str, float]:
        nonlocal by_hand
        out = step(k, batch, rng)
        decay = min(0.9, (2 + k) / (11 + k))
        by_hand = decay * by_hand + (1 - decay) * stage.nets["a"].weight.detach()
        return out

    stage.step = watch  # type: ignore[method-assign]
    trainer.run(toy_batches())
    torch.testing.assert_close(trainer.averages["a"].weight, by_hand)
    assert set(trainer.averages) == {"a"} and not trainer.averages["a"].weight.requires_grad


def test_what_a_folder_holds(tmp_path: Path, undisturbed: Trainer) -> None:
    folder = undisturbed.folder
    curve(folder)
    assert {p.name for p in folder.iterdir()} == {
        "checkpoint.pt", "config.json", "curve.png", "log.csv", "validation.csv",
    }  # fmt: skip
    assert json.loads((folder / "config.json").read_text()) == {"stage": "toy"}
    log = rows(folder / "log.csv")
    assert [int(r["step"]) for r in log] == list(range(1, 13))
    assert [bool(r["loss_b"]) for r in log] == [False, False, True] * 4 and all(r["loss_a"] for r in log)
    assert [int(r["step"]) for r in rows(folder / "validation.csv")] == [6, 12]
    assert (folder / "curve.png").read_bytes()[:4] == b"\x89PNG"


def test_seconds_go_on_after_a_pause(tmp_path: Path, undisturbed: Trainer) -> None:
    def seconds(folder: Path) -> list[float]:
        with (folder / "log.csv").open() as file:
            return [float(r["seconds"]) for r in csv.DictReader(file)]

    values = seconds(undisturbed.folder)
    assert values == sorted(values)
    assert toy_trainer(undisturbed.folder).seconds == pytest.approx(undisturbed.seconds)


def test_a_complete_run_is_left_as_it_is(undisturbed: Trainer) -> None:
    before = everything(undisturbed)
    stage = Toy()
    again = toy_trainer(undisturbed.folder, stage)
    assert again.run(toy_batches(12)) and stage.rates == []
    assert_equal(everything(again), before)


def test_minutes_stop_and_save(tmp_path: Path, undisturbed: Trainer) -> None:
    trainer = toy_trainer(tmp_path / "run")
    assert not trainer.run(toy_batches(), minutes=0) and trainer.done == 1
    again = toy_trainer(tmp_path / "run")
    assert again.done == 1 and again.run(toy_batches(1))
    assert_same_run(again, undisturbed)


def test_progress_says_what_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = Schedule(steps=40, batch=1, lr=1e-2)
    Trainer(Toy(), long, tmp_path, 0, {}, 100, 100).run(toy_batches())
    printed = capsys.readouterr().err.splitlines()
    assert printed[0].startswith("toy 20/40  loss_a ") and printed[0].endswith(" min left")
    assert any(line.startswith("toy 40 validation") for line in printed)


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """A folder with a checkpoint of step 4."""
    stage = Toy()

    class Enough(Exception):
        pass

    def stop() -> Iterator[Tensor]:
        for i, batch in enumerate(toy_batches()):
            if i == 4:
                raise Enough
            yield batch

    with pytest.raises(Enough):
        toy_trainer(tmp_path / "run", stage).run(stop())
    return tmp_path / "run"


def one_line(caught: pytest.ExceptionInfo[InputError], *words: str) -> None:
    text = str(caught.value)
    assert "\n" not in text and all(w in text for w in words), text


@pytest.mark.parametrize("damage", ["empty", "half", "noise", "text", "a pickle"])
def test_a_damaged_checkpoint(half: Path, damage: str) -> None:
    path = half / "checkpoint.pt"
    whole = path.read_bytes()
    contents = {
        "empty": b"",
        "half": whole[: len(whole) // 2],
        "noise": bytes(range(256)) * 40,
        "text": b"hello\n",
        "a pickle": b"cposix\nsystem\n(S'true'\ntR.",
    }
    path.write_bytes(contents[damage])
    with pytest.raises(InputError) as caught:
        toy_trainer(half)
    one_line(caught, str(path), "cannot be read", "delete it")
    assert path.read_bytes() == contents[damage]


@pytest.mark.parametrize("part", ["nets", "averages", "optimizers", "step"])
def test_a_checkpoint_with_a_part_missing(half: Path, part: str) -> None:
    path = half / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    del state[part]
    torch.save(state, path)
    with pytest.raises(InputError) as caught:
        toy_trainer(half)
    one_line(caught, str(path))


def test_a_checkpoint_of_other_networks(half: Path) -> None:
    """Another preset: sizes differ. Nothing of the new run is half loaded or written."""
    stage = Toy()
    stage.nets["a"] = nn.Linear(3, 5)
    before = (half / "checkpoint.pt").read_bytes()
    with pytest.raises(InputError) as caught:
        toy_trainer(half, stage)
    one_line(caught, str(half / "checkpoint.pt"), "another")
    assert (half / "checkpoint.pt").read_bytes() == before


def test_nan_stops_before_it_is_saved(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path, Toy(nan_at=4), save_every=1)
    with pytest.raises(InputError) as caught:
        trainer.run(toy_batches())
    one_line(caught, str(tmp_path), "loss_a is NaN at step 5")
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 4
    assert len(rows(tmp_path / "log.csv")) == 4


def test_a_full_disk_keeps_the_last_checkpoint(half: Path) -> None:
    """RLIMIT_FSIZE stands in for it: the kernel refuses to write on."""
    before = (half / "checkpoint.pt").read_bytes()
    told = half / "told"

    def work() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY))
        trainer = toy_trainer(half)
        try:
            trainer.save()
        except InputError as error:
            told.write_text(str(error))
        os.kill(os.getpid(), signal.SIGKILL)

    dies(work)
    assert (half / "checkpoint.pt").read_bytes() == before
    assert "checkpoint.pt: cannot be written: the disk is full" in told.read_text()
    assert not list(half.glob("*.tmp"))


def test_a_collapsed_run_is_stopped_and_keeps_its_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "WINDOW", 3)
    stage = Toy()
    stage.limits = {"loss_a": (-2.0, -1.0)}  # type: ignore[attr-defined]
    trainer = toy_trainer(tmp_path, stage, save_every=2)
    with pytest.raises(watch.Collapse, match=r"collapsed at step 3: loss_a is .* over the last 3 values"):
        trainer.run(toy_batches())
    assert toy_trainer(tmp_path).done == 2


def as_on_a_gpu(trainer: Trainer) -> Trainer:
    """Losses are read off it many steps together."""
    trainer.device = torch.device("meta")
    return trainer


def test_what_is_read_together_is_the_same(
    tmp_path: Path, undisturbed: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    monkeypatch.setattr(module, "read", lambda rows, real=module.read: reads.append(len(rows)) or real(rows))
    trainer = as_on_a_gpu(toy_trainer(tmp_path / "run"))
    assert trainer.run(toy_batches())
    assert [n for n in reads if n] == [4, 2, 2, 4]  # before each save and validation
    assert_same_run(trainer, undisturbed)
    with (trainer.folder / "log.csv").open() as file:
        seconds = [float(r["seconds"]) for r in csv.DictReader(file)]
    assert seconds == sorted(seconds)


def test_no_more_steps_than_that_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER", 3)
    seen = []
    monkeypatch.setattr(module, "read", lambda rows, real=module.read: seen.append(len(rows)) or real(rows))
    as_on_a_gpu(toy_trainer(tmp_path, save_every=100, validate_every=100)).run(toy_batches())
    assert max(seen) == 3 and sum(seen) == 12
    batches = toy_batches()
    trainer = as_on_a_gpu(toy_trainer(tmp_path / "short", save_every=100, validate_every=100))
    assert not trainer.run([next(batches) for _ in range(5)])  # nothing more comes: what there is is written down
    assert len(rows(tmp_path / "short" / "log.csv")) == 5


def test_nan_is_found_late_on_a_gpu_and_still_not_saved(tmp_path: Path) -> None:
    trainer = as_on_a_gpu(toy_trainer(tmp_path, Toy(nan_at=4)))
    with pytest.raises(InputError, match="loss_a is NaN at step 5"):
        trainer.run(toy_batches())
    assert trainer.done == 6 and torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 4
    assert len(rows(tmp_path / "log.csv")) == 4


def test_numbers_are_read_as_they_are() -> None:
    said = [{"a": torch.tensor(0.1), "b": 0.1}, {"c": torch.tensor(2.0, dtype=torch.float64)}]
    assert module.read(said) == [{"a": float(torch.tensor(0.1)), "b": 0.1}, {"c": 2.0}] and module.read([{}]) == [{}]


def test_tensorboard_is_told_what_the_log_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, int]] = []

    class Board:
        def add_scalar(self, name: str, value: float, step: int) -> None:
            told.append((name, step))

        def flush(self) -> None:
            pass

    monkeypatch.setattr(module, "_board", lambda folder, done: Board())
    toy_trainer(tmp_path, report_to="tensorboard").run(toy_batches())
    assert [s for n, s in told if n == "loss_a"] == list(range(1, 13))
    assert [s for n, s in told if n == "validation/norm"] == [6, 12]


def test_tensorboard_writes_its_files(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    toy_trainer(tmp_path, report_to="tensorboard").run(toy_batches())
    assert list((tmp_path / "tensorboard").glob("events*"))
