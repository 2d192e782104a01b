"""The command line as a user types it: what it prints, its exit codes, its complaints in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import av
import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from flashbench.cases.scenes import sprites_suite
from flashbench.cases.suites import open_suite
from flashbench.cli import main
from flashbench.errors import InputError
from flashbench.files.fit import Fit
from flashbench.files.video import write_mp4, write_video
from flashbench.metrics.catalogue import METRICS
from flashbench.models.controls import Static
from flashmotion.cli import main as flashmotion

QUICK = "psnr,ssim,flicker,seconds"


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(w) for w in words])


def complaint(done: Result) -> str:
    """The one line of a refusal."""
    assert done.exit_code == 2, (done.output, done.exception)
    assert done.stdout == ""
    *progress, line = done.stderr.splitlines()
    assert all(before.startswith(("generate ", "score ", "check ")) for before in progress)
    assert line.startswith("flashbench: ")
    return line


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suites") / "small"
    done = run("build", "sprites-v1", "--cases", 6, "--size", 32, "--frames", 20, "--seed", 3, "-o", folder)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{folder}\n"
    return folder


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite that is too short for I3D's windows."""
    folder = tmp_path_factory.mktemp("suites") / "short"
    assert run("build", "sprites-v1", "--cases", 1, "--size", 32, "--frames", 12, "-o", folder).exit_code == 0
    return folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_help_is_there_at_once() -> None:
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "flashbench.cli", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for command in (
        "eval",
        "generate",
        "score",
        "list",
        "build",
        "leaderboard",
        "compare",
        "validate",
        "import",
        "export",
        "assets",
    ):
        assert f"  {command} " in done.stdout
    assert time.monotonic() - begun < 5  # nothing heavy is imported


def commands(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    """All commands below a group, by what is typed."""
    for word, command in group.commands.items():
        below = commands(command, f"{name} {word}") if isinstance(command, click.Group) else ()
        yield from below or [(f"{name} {word}", command)]


COMMANDS = dict([*commands(main, "flashbench"), *commands(flashmotion, "flashmotion")])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name: str) -> None:
    command = COMMANDS[name]
    assert command.help, name
    assert [p.opts for p in command.params if isinstance(p, click.Option) and not p.help] == []
    group = main if name.startswith("flashbench") else flashmotion
    for flag in ("-h", "--help"):
        assert CliRunner().invoke(group, [*name.split()[1:], flag]).exit_code == 0


def test_build_says_the_ranges_that_the_suite_takes() -> None:
    """They stand in two places: the help may not import what the suite needs."""
    for option in COMMANDS["flashbench build"].params:
        if option.name in ("size", "frames"):
            low, high = option.type.min, option.type.max  # type: ignore[attr-defined]
            for value in (low - 1, high + 1):
                with pytest.raises(InputError, match=f"{option.name} is {value}; choose {low} to {high}"):
                    sprites_suite(1, **{option.name: value})
            assert sprites_suite(1, **{option.name: low}) and sprites_suite(1, **{option.name: high})


def test_help_imports_no_network() -> None:
    code = "import sys, flashbench.cli; print([m for m in ('torch', 'numpy', 'cv2', 'rich') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_list_metrics_tells_everything_of_each() -> None:
    done = run("list", "metrics")
    assert done.exit_code == 0
    text = " ".join(done.stdout.split())
    for metric in METRICS.values():
        assert metric.name in text
        assert " ".join(metric.blind.split()[:4]) in text
    assert max(len(line) for line in done.stdout.splitlines()) <= 100


def test_list_models_suites_assets() -> None:
    assert run("list", "models").stdout.split()[:4] == ["reference", "static", "cutout", "shuffled"]
    assert run("list", "suites").stdout.startswith("sprites-v1\n")
    assert "i3d" in run("list", "assets").stdout
    assert run("assets", "status").stdout == run("list", "assets").stdout


def test_models_without_weights_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("plain-4step", "nowhere:plain", "flashbench.models"),
        EntryPoint("lcm-4step", "nowhere:lcm", "flashbench.models"),
        EntryPoint("flashmotion", "flashmotion.rows:lacking", "flashbench.lacking"),
    ]
    monkeypatch.setattr(
        "flashbench.models.registry.entry_points", lambda group: [p for p in points if p.group == group]
    )
    monkeypatch.setattr("flashmotion.weights.ROOT", Path("nowhere"))
    lines = run("list", "models").stdout.splitlines()
    why = "no weights yet of lcm-generator, lcm-adapter, codec: see `flashmotion train --help`"
    assert lines[4:] == [f"lcm-4step ({why})", "plain-4step", "videos:FOLDER"]


def test_what_a_model_has_to_say_stands_below_its_results(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Static, "info", {"note": "it stands still"})
    done = run("eval", "--model", "static", "--suite", suite, "--metrics", "psnr")
    assert done.stdout.splitlines()[-1] == "Note: it stands still."


def test_build_writes_a_suite_of_the_asked_form(suite: Path) -> None:
    facts = json.loads((suite / "suite.json").read_text())
    assert (facts["size"], facts["frames"], facts["seed"], facts["cases"]) == ([32, 32], 20, 3, 6)


def test_eval_prints_a_table_and_saves_it(suite: Path) -> None:
    done = run("eval", "--model", "static", "--suite", suite, "--metrics", QUICK)
    assert done.exit_code == 0, done.stderr
    assert "static on sprites-v1" in done.stdout
    assert "flicker" in done.stdout and "floor" in done.stdout and "6+" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 100
    assert "score 6/6" in done.stderr
    for name in ("run.json", "results.json", "results.csv", "cases.csv", "cases.parquet"):
        assert (Path("runs/static") / name).is_file()
    assert len(list(Path("runs/static/videos").iterdir())) == 6
    again = run("eval", "--model", "static", "--suite", suite, "--metrics", QUICK)
    assert again.stdout == done.stdout


def test_generate_then_score_is_eval(suite: Path) -> None:
    assert run("generate", "--model", "static", "--suite", suite, "-o", "a").stdout == "a\n"
    scored = run("score", "a", "--metrics", QUICK, "--workers", 1)
    assert scored.exit_code == 0
    run("eval", "--model", "static", "--suite", suite, "--metrics", QUICK, "-o", "b")
    lines = [[x for x in Path(d, "results.csv").read_text().splitlines() if ",seconds," not in x] for d in "ab"]
    assert lines[0] == lines[1]


def test_fewer_cases_are_not_for_a_leaderboard(suite: Path) -> None:
    done = run("eval", "--model", "static", "--suite", suite, "--metrics", QUICK, "--cases", 2)
    assert done.exit_code == 0
    assert "Not for a leaderboard: 2 of the suite's 6 cases." in done.stdout
    assert "--cases" not in complaint(run("leaderboard", "runs/static", "-o", "x.csv"))
    assert not Path("x.csv").exists()


def test_a_failed_case_is_exit_code_1(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flashbench.models.controls import Static

    generate = Static.generate

    def sometimes(self: Static, case, seed):  # type: ignore[no-untyped-def]
        if case.id.startswith("3"):
            raise RuntimeError("out of ideas")
        return generate(self, case, seed)

    monkeypatch.setattr(Static, "generate", sometimes)
    for command in (["generate"], ["eval", "--metrics", QUICK]):
        done = run(*command, "--model", "static", "--suite", suite, "-o", "out")
        assert done.exit_code == 1
        assert "case 3-0000 failed: see out/failures/3-0000.json" in done.stderr
    assert "1 cases have no answer and count as worst" in " ".join(done.stdout.split())
    assert run("score", "out", "--metrics", QUICK).exit_code == 1
    assert ",all,6," in next(x for x in Path("out/results.csv").read_text().splitlines() if "psnr,all" in x)
    monkeypatch.undo()
    monkeypatch.chdir(Path.cwd())


def test_leaderboard_of_two_runs(suite: Path) -> None:
    for model in ("static", "cutout"):
        assert run("eval", "--model", model, "--suite", suite, "--metrics", QUICK).exit_code == 0
    done = run("leaderboard", "runs/static", "runs/cutout", "-o", "boards/small.csv")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.split() == ["boards/small.csv", "boards/small.md", "boards/small.cases.csv"]
    assert "| cutout |" in Path("boards/small.md").read_text()
    done = run("compare", "runs/static", "runs/cutout", "-o", "difference.csv")
    assert done.exit_code == 0, done.stderr
    assert "fewer than 8 cases" in done.stdout and "static minus cutout" in done.stdout
    assert Path("difference.csv").read_text().startswith("metric,stratum,model_a,model_b,n,")
    assert "shares no case" not in done.stderr
    assert run("compare", "runs/static", "runs/cutout", "--stratum", "12").exit_code == 2


def test_a_clip_of_ones_own(suite: Path) -> None:
    """From a video to a scored suite in two commands."""
    clip, box = suite / "videos" / "1-0000.mkv", [4, 4, 20, 20]
    Path("boxes.json").write_text(f'[{{"name": "thing", "box": {box}}}]')
    done = run("annotate", clip, "--prompt", "It moves.", "--boxes", "boxes.json", "-o", "own")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.split() == ["own", "own-1-0000.png"] and Path("own-1-0000.png").is_file()
    assert run("check", "own").exit_code == 0
    assert run("eval", "--model", "static", "--suite", "own", "--metrics", QUICK).exit_code == 0


def test_out_and_in_again(suite: Path) -> None:
    """Somebody else's folder is scored in two commands."""
    assert run("export", "davis", suite, "-o", "theirs").exit_code == 0
    assert run("export", "davis", suite, "-o", "theirs").exit_code == 2  # not over what is there
    assert run("import", "davis", "theirs", "-o", "suites/theirs").exit_code == 0
    done = run("check", "suites/theirs")
    assert (
        done.exit_code == 0 and "theirs, 6 cases (1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6+: 1), condition masks" in done.stdout
    )
    assert "20 frames of 32x32 px, 24 frames a second, content " in done.stdout
    with open("suites/theirs/videos/1-0000.mkv", "ab") as file:
        file.write(b"x")
    Path("suites/theirs/first_frames/2-0000.png").unlink()
    assert "2-0000.png" in complaint(run("check", "suites/theirs"))
    assert run("import", "davis", "theirs", "-o", "suites/theirs").exit_code == 0
    done = run("eval", "--model", "static", "--suite", "suites/theirs", "--metrics", QUICK)
    assert done.exit_code == 0, done.stderr


def test_a_folder_of_mp4_made_elsewhere_in_two_commands() -> None:
    """docs/layouts.md, on the real clips: answers at 16 a second in 208x120 for 73 frames at 25 in 256x144."""
    assert run("export", "videofolder", "clips-v1", "-o", "theirs").exit_code == 0
    clips = open_suite("clips-v1")
    for i in clips.case_ids:
        at = np.rint(np.arange(47) * 25 / 16).astype(int)
        write_mp4(Path("made") / f"{i}.mp4", Fit.of(clips.size, (120, 208)).planes(clips.load_reference(i)[at]), 16.0)
    assert run("import", "videofolder", "theirs", "-o", "suites/theirs").exit_code == 0
    words = ["eval", "--suite", "suites/theirs", "--model", "videos:made", "--metrics"]
    assert "size is 208x120 px instead of 256x144 px" in complaint(run(*words, "psnr", "-o", "plain"))
    assert "reads sprites, the suite shows photographs; take text_conse" in complaint(run(*words, "text_lit"))
    done = run(*words, "psnr,flicker", "--conform")
    assert done.exit_code == 0, done.stderr
    assert "3 cases; floor" in done.stdout and "Answers were conformed" in done.stdout


def test_an_export_is_there_whole_or_not_at_all(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flashbench.errors import InputError
    from flashbench.layouts import points, tora

    calls = iter(range(9))

    def fails_on_the_third(case: Any) -> Any:
        if next(calls) == 2:
            raise InputError("case '3-0000'", "is odd", "mend it")
        return points.paths_of(case)

    monkeypatch.setattr(tora, "paths_of", fails_on_the_third)
    assert "case '3-0000': is odd" in complaint(run("export", "tora", suite, "-o", "theirs"))
    assert list(Path().iterdir()) == []
    calls = iter(range(3, 9))
    Path("theirs").mkdir()
    assert run("export", "tora", suite, "-o", "theirs").exit_code == 0
    assert [p.name for p in Path().iterdir()] == ["theirs"] and Path("theirs/prompts.txt").is_file()


def test_what_a_suite_does_not_hold_is_left_out_by_name(suite: Path) -> None:
    """Points alone: nobody says how large the objects are."""
    assert run("export", "movebench", suite, "-o", "theirs").exit_code == 0
    assert run("import", "movebench", "theirs", "-o", "dots").exit_code == 0
    done = run("eval", "--model", "static", "--suite", "dots", "--cases", 2, "--metrics", "epe_lk,miou_lk,biou_lk")
    assert done.exit_code == 0, done.stderr
    named = "miou_lk (wants masks on every frame), biou_lk (wants boxes or masks)"
    assert f"Left out, since no case of the suite has what they want: {named}." in " ".join(done.stdout.split())
    table = Path("runs/static/results.csv").read_text()
    assert "epe_lk" in table and "iou_lk" not in table


def odd_video(kind: str, path: Path) -> None:
    """A file that cannot be scored as it is."""
    with av.open(str(path), "w") as container:
        if kind == "sound":
            sound = container.add_stream("aac", rate=16000)
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate = 16000
            container.mux([*sound.encode(silence), *sound.encode(None)])
            return
        stream = container.add_stream("libx264", rate=1000 if kind == "uneven" else 24)
        stream.height, stream.width = 48, 64
        stream.pix_fmt = "yuv420p10le" if kind == "hdr" else "yuv420p"
        if kind == "hdr":
            stream.codec_context.color_trc = 16
        if kind == "askew":
            stream.set_display_rotation(45)
        for t in (0, 42, 84, 226, 268) if kind == "uneven" else range(5):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
            frame.pts, frame.time_base = t, Fraction(1, 1000 if kind == "uneven" else 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("sound", "holds no video stream"),
        ("hdr", "is HDR (PQ); map its tones to SDR (BT.709) first"),
        ("uneven", "has a variable frame rate (42 to 142 ms between frames); give it a constant one"),
        ("askew", "is to be shown turned by 45 degrees; write it upright"),
    ],
)
def test_videos_that_cannot_be_scored_are_named_and_nothing_is_written(kind: str, says: str, tmp_path: Path) -> None:
    """By every way in."""
    Path("in").mkdir()
    odd_video(kind, Path("in/mein Film, 1.mp4"))
    Path("in/boxes.json").write_text('[{"name": "x", "box": [1, 1, 9, 9]}]')
    row = {"file_name": "mein Film, 1.mp4", "prompt": "x", "boxes": [[[1, 1, 9, 9]] * 5]}
    Path("in/metadata.jsonl").write_text(json.dumps(row))
    for words in (
        ["annotate", "in/mein Film, 1.mp4", "--prompt", "x", "--boxes", "in/boxes.json"],
        ["import", "videofolder", "in"],
    ):
        line = complaint(run(*words, "-o", "own"))
        assert says in line and "mein Film, 1.mp4: " in line
    assert [p.name for p in Path().iterdir()] == ["in"]


MARKED = ["annotate", "nowhere.mp4", "--prompt", "x", "--boxes", "b", "-o", "x"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["eval", "--model", "statik"], "did you mean 'static'?"),
        (["eval", "--model", "static", "--suite", "sprites-v2"], "did you mean 'sprites-v1'?"),
        (["eval", "--model", "static", "--metrics", "epe_lx"], "did you mean 'epe_lk'?"),
        (["eval", "--model", "static", "--metrics", ","], "names no metric"),
        (["eval", "--model", "static", "--cases", "0"], "--cases"),
        (["eval", "--model", "static", "--cases", "many"], "--cases"),
        (["eval", "--model", "static", "--seed", "-1"], "--seed"),
        (["eval"], "--model"),
        (["eval", "--model", "videos:nowhere"], "nowhere"),
        (["evil", "--model", "static"], "evil"),
        (["score", "nowhere"], "nowhere"),
        (["eval", "--model", "static", "--suite", "SHORT"], "videos of 12 frames are too short"),
        (["eval", "--model", "static", "--metrics", "fvd"], "there is no metric 'fvd'"),
        (["list", "colours"], "colours"),
        (["build", "sprites-v1", "--size", "8", "-o", "x"], "--size"),
        (["build", "sprites-v1", "--condition", "points", "-o", "x"], "--condition"),
        (["build", "sprites-v1", "--cases", "2", "--frames", "3", "-o", "x"], "--frames"),
        (["leaderboard", "nowhere", "-o", "x.csv"], "nowhere"),
        (["compare", "nowhere", "elsewhere"], "nowhere"),
        (["generate", "--model", "static", "--shard", "2/2"], "--shard"),
        (["validate", "--only", "blurr"], "--only"),
        (["import", "coco", "nowhere", "-o", "x"], "unknown layout 'coco'; choose one of magicdata"),
        (["import", "davis", "nowhere", "-o", "x"], "nowhere"),
        (["check", "nowhere"], "nowhere"),
        (["annotate", "nowhere.mp4", "--prompt", "x", "-o", "x"], "none or several are given"),
        (["annotate", "nowhere.mp4", "--prompt", "x", "--masks", "m", "--points", "p", "-o", "x"], "none or several"),
        (["annotate", "nowhere.mp4", "--prompt", "x", "--masks", "m", "-o", "x"], "nowhere.mp4"),
        ([*MARKED, "--tracker", "raft"], "there is no tracker 'raft'; choose lk, cotracker3"),
        ([*MARKED, "--tracker", "tapnext"], "weights of tapnext: are not given"),
        ([*MARKED, "--tracker", "sam2", "--weights", "sam2=/nowhere"], "neither a path that exists nor a hub id"),
        ([*MARKED, "--tracker", "sam2"], "facebook/sam2.1-hiera-large cannot be had from the model hub"),
        ([*MARKED, "--weights", "lk=x"], "tracker lk has none"),
        ([*MARKED, "--weights", "sam2=x"], "tracker lk takes none named 'sam2'"),
        (["eval", "--model", "static", "--metrics", "subject_dino"], "facebook/dino-vitb16 cannot be had from the"),
        (["import", "davis", ".", "--size", "64", "-o", "x"], "--size"),
        (["export", "davis", "sprites-v9", "-o", "x"], "did you mean 'sprites-v1'?"),
        (["assets", "fetch", "clip"], "clip"),
        (["assets", "fetch", "--from", "x.whl"], "--from"),
        (["assets", "fetch", "i3d", "--from", "x.whl"], "x.whl"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(words: list[str], said: str, short: Path) -> None:
    assert said in complaint(run(*(short if word == "SHORT" else word for word in words)))
    assert [p for p in Path().rglob("*") if "cache" not in p.parts] == []


def test_another_model_suite_or_seed_on_a_folder_is_refused(suite: Path) -> None:
    assert run("generate", "--model", "static", "--suite", suite, "-o", "out").exit_code == 0
    held = {p: p.read_bytes() for p in Path("out").rglob("*") if p.is_file()}
    base = {"--model": "static", "--suite": str(suite), "-o": "out"}
    for change, said in (
        ({"--model": "cutout"}, "model is static, asked for cutout"),
        ({"--seed": "1"}, "seed is 0, asked for 1"),
        ({"--cases": "2"}, "the set of cases is 6 cases"),
        ({"--suite": "sprites-v1", "--cases": "6"}, "asked for"),
    ):
        words = [w for pair in {**base, **change}.items() for w in pair]
        assert said in complaint(run("generate", *words))
    assert {p: p.read_bytes() for p in Path("out").rglob("*") if p.is_file()} == held


def test_damaged_files_of_a_run_are_named(suite: Path) -> None:
    assert run("eval", "--model", "static", "--suite", suite, "--metrics", QUICK, "-o", "out").exit_code == 0
    (measured, *_) = Path("out/measurements/pixels").iterdir()
    results = Path("out/results.csv").read_bytes()
    for path in (Path("out/run.json"), Path("out/videos/1-0000.mkv"), Path("out/timings/2-0000.json"), measured):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        assert path.name in complaint(run("score", "out", "--metrics", QUICK))
        path.write_bytes(whole)
    assert Path("out/results.csv").read_bytes() == results
    assert run("score", "out", "--metrics", QUICK).exit_code == 0


def test_videos_made_elsewhere_are_scored_or_named(suite: Path) -> None:
    for line in (suite / "metadata.jsonl").read_text().splitlines():
        write_video(Path("made") / f"{json.loads(line)['id']}.mkv", np.full((20, 32, 32, 3), 90, np.uint8), 24)
    words = ("--model", "videos:made", "--suite", suite, "--metrics", QUICK)
    assert run("eval", *words).exit_code == 0
    assert (Path("runs/videos-made") / "results.csv").is_file()
    write_video(Path("made/2-0000.mkv"), np.zeros((12, 32, 32, 3), np.uint8), 24)
    assert "2-0000" in complaint(run("eval", *words, "-o", "short"))
    Path("made/2-0000.mkv").write_bytes(b"")
    assert "2-0000.mkv" in complaint(run("eval", *words, "-o", "empty"))
    Path("made/2-0000.mkv").unlink()
    assert "2-0000" in complaint(run("eval", *words, "-o", "missing"))


def test_an_interrupt_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("flashbench.runs.session.generate_run", interrupt)
    done = run("generate", "--model", "static")
    assert done.exit_code == 130
    assert (
        done.stderr.strip().splitlines()[-1] == "flashbench: interrupted; the same command goes on from what is saved"
    )


def test_no_terminal_no_bar(suite: Path) -> None:
    """In a log, progress is a few plain lines with the time left."""
    words = [
        sys.executable,
        "-m",
        "flashbench.cli",
        "generate",
        "--model",
        "static",
        "--suite",
        str(suite),
        "-o",
        "out",
    ]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "TERM": "dumb"})
    assert done.stdout == "out\n"
    assert done.stderr.splitlines()[-1] == "generate 6/6"
    assert "\x1b" not in done.stderr
