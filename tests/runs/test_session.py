"""The commands over one folder: who may work in it, and what a kill at any moment leaves."""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from flashbench.cases.folder import save_suite
from flashbench.errors import InputError
from flashbench.files.atomic import folder_lock
from flashbench.metrics.catalogue import choose
from flashbench.runs.session import generate_run, score_run

QUICK = choose(["psnr", "flicker", "seconds"])

# The two commands, slowed down so that they are killed in the middle of everything.
PROGRAM = """
import time
from pathlib import Path
from flashbench.metrics.catalogue import choose
from flashbench.models import registry
from flashbench.runs import extractors
from flashbench.runs.session import generate_run, score_run

class Slow(registry.BUILT_IN["static"]):
    def generate(self, case, seed):
        time.sleep(0.02)
        return super().generate(case, seed) - (seed % 7)

measure = extractors.PixelsExtractor.measure
def slow(*args):
    time.sleep(0.02)
    return measure(*args)

extractors.PixelsExtractor.measure = slow
registry.BUILT_IN["static"] = Slow
generate_run("static", suite, None, 0, Path(root))
score_run(Path(root), choose(["psnr", "ssim", "flicker", "seconds"]), workers=2)
"""


@pytest.fixture(scope="module")
def folder(kit: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("suite") / "tiny"
    save_suite(kit.tiny_suite(8), root)
    return root


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_generate_and_score_by_name(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = generate_run("static", str(folder), 3, 0, None)
    assert made.root == Path("runs/static")
    assert made.failed == []
    rows = score_run(made.root, QUICK)
    assert {r.n for r in rows if r.stratum == "all"} == {3}
    assert rows == score_run(made.root, QUICK, made.suite, workers=1)


def test_a_suite_that_was_moved_is_named_anew(folder: Path, tmp_path: Path) -> None:
    suite = tmp_path / "here"
    folder.rename(suite)
    generate_run("static", str(suite), None, 0, tmp_path / "run")
    suite.rename(folder)
    with pytest.raises(InputError, match="here"):
        score_run(tmp_path / "run", QUICK)
    assert score_run(tmp_path / "run", QUICK, str(folder))


def test_a_folder_in_use_is_refused_and_untouched(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    generate_run("static", str(folder), 2, 0, root)
    before = sorted(root.rglob("*"))
    code = f"from flashbench.files.atomic import folder_lock\nwith folder_lock({str(root)!r}):\n"
    code += "    print('held', flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    for command in (lambda: generate_run("static", str(folder), 2, 0, root), lambda: score_run(root, QUICK)):
        with pytest.raises(InputError, match=rf"{root}: is in use by another process \(pid {holder.pid}\)"):
            command()
    assert sorted(root.rglob("*")) == before
    holder.communicate("\n")
    assert score_run(root, QUICK)


def test_refusals_write_nothing(folder: Path, tmp_path: Path) -> None:
    for model, suite in (("statik", str(folder)), ("static", "sprites-v9"), ("videos:nowhere", str(folder))):
        with pytest.raises(InputError):
            generate_run(model, suite, None, 0, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        generate_run("static", str(folder), None, 0, other)
    assert [p.name for p in other.iterdir()] == ["thesis.tex"]


def test_leftovers_of_a_killed_writer_are_removed(folder: Path, tmp_path: Path) -> None:
    made = generate_run("static", str(folder), 2, 0, tmp_path / "run")
    left = made.root / "videos" / ".c0.mkv.123-abcd.tmp"
    left.write_bytes(b"half")
    generate_run("static", str(folder), 2, 0, made.root)
    assert not left.exists()


def untimed(root: Path) -> list[str]:
    names = ("results.csv", "cases.csv")
    return [x for name in names for x in (root / name).read_text().splitlines() if ",seconds," not in x]


@pytest.mark.timeout(600)
def test_killed_at_any_moment_it_goes_on_and_ends_the_same(folder: Path, tmp_path: Path) -> None:
    """kill -9 at moments spread over both commands; each run begins where the last was killed."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["torch", "cv2", "av", "pyarrow.parquet", "flashbench.runs.session"])

    def start(root: Path) -> BaseProcess:
        process = server.Process(target=exec, args=(PROGRAM, {"suite": str(folder), "root": str(root)}))
        process.start()
        return process

    def end(process: BaseProcess) -> float:
        begun = time.monotonic()
        process.join(200)
        assert process.exitcode == 0
        return time.monotonic() - begun

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    end(start(tmp_path / "warm-up"))
    shutil.rmtree(tmp_path / "cache")
    duration, kills = end(start(whole)), 0
    shutil.rmtree(tmp_path / "cache")
    for moment in np.random.default_rng(0).uniform(0, 1, 12):
        process = start(broken)
        process.join(moment * duration)
        kills += process.is_alive()
        process.kill()
        process.join()
    timings = {p: p.read_bytes() for p in (broken / "timings").glob("*.json")}
    end(start(broken))
    assert kills >= 3
    assert untimed(broken) == untimed(whole)
    assert {p: p.read_bytes() for p in timings} == timings  # seconds of the first time
    held = [{str(p.relative_to(r)) for p in r.rglob("*") if p.is_file()} for r in (broken, whole)]
    assert held[0] == held[1]


@pytest.mark.timeout(600)
def test_a_full_disk_is_one_line_and_loses_nothing(folder: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk: writes end with EFBIG, as they end with ENOSPC there."""
    root = tmp_path / "run"
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))\n"
    code = "from flashbench.cli import main\nmain()"
    words = ["eval", "--model", "static", "--suite", str(folder), "--metrics", "psnr,flicker", "-o", str(root)]
    full = subprocess.run([sys.executable, "-c", limit + code, *words], capture_output=True, text=True, timeout=220)
    assert full.returncode == 2, full.stderr
    assert full.stderr.splitlines()[-1].startswith("flashbench: ")
    assert "the disk is full" in full.stderr.splitlines()[-1]
    assert "Traceback" not in full.stderr
    again = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=220)
    assert again.returncode == 0, again.stderr
    assert (root / "results.json").is_file()
    assert not list(root.rglob("*.tmp"))


def test_a_lock_of_this_process_is_refused_too(tmp_path: Path, folder: Path) -> None:
    made = generate_run("static", str(folder), 2, 0, tmp_path / "run")
    with folder_lock(made.root), pytest.raises(InputError, match="in use"):
        score_run(made.root, QUICK)
