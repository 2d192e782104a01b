"""Shards: every case belongs to one, several processes share a folder, and the whole is the same as without them."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flashbench.cases.folder import save_suite
from flashbench.errors import InputError
from flashbench.files.atomic import folder_lock
from flashbench.metrics.catalogue import choose
from flashbench.runs.session import generate_run, score_run
from flashbench.runs.shard import WHOLE, Shard, from_environment, parse

QUICK = choose(["psnr", "flicker"])


@given(st.integers(1, 40), st.integers(0, 100))
def test_every_case_belongs_to_one_shard(count: int, cases: int) -> None:
    ids = [f"c{i}" for i in range(cases)]
    parts = [Shard(i, count).of(ids) for i in range(count)]
    assert sorted(c for p in parts for c in p) == sorted(ids)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_parse() -> None:
    assert parse("2/4") == Shard(2, 4) and parse("0/1") == WHOLE and str(Shard(2, 4)) == "2-of-4"
    for bad in ("", "4", "4/4", "1/0", "-1/4", "1/4/2", "a/b", "1.0/2"):
        with pytest.raises(InputError, match="--shard: is .*write i/n"):
            parse(bad)


def test_what_a_launcher_says() -> None:
    assert from_environment({}) == WHOLE
    assert from_environment({"RANK": "3", "WORLD_SIZE": "8"}) == Shard(3, 8)
    array = {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "2"}
    assert from_environment(array) == Shard(3, 4)
    for bad, says in (
        ({"RANK": "3"}, "WORLD_SIZE=None"),
        ({"RANK": "x", "WORLD_SIZE": "2"}, "RANK='x'"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK=2 is not below WORLD_SIZE=2"),
    ):
        with pytest.raises(InputError, match=says):
            from_environment(bad)


@pytest.fixture(scope="module")
def suite(kit: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("suite") / "tiny"
    save_suite(kit.tiny_suite(9), root)
    return root


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def digest(run: Path) -> str:
    """Hash of everything that must not depend on shards."""
    held = hashlib.sha256()
    for path in sorted(run.rglob("*")):
        if path.is_file() and path.suffix in (".mkv", ".npz", ".csv", ".parquet"):
            held.update(str(path.relative_to(run)).encode() + path.read_bytes())
    held.update(json.dumps(json.loads((run / "results.json").read_text())["rows"]).encode())
    return held.hexdigest()


def work(suite: Path, run: Path, shard: Shard) -> None:
    generate_run("static", str(suite), None, 0, run, shard=shard)
    assert score_run(run, QUICK, str(suite), shard=shard) == []


@pytest.mark.parametrize("count", [2, 3, 7])
def test_shards_at_once_and_one_process_give_the_same(suite: Path, tmp_path: Path, count: int) -> None:
    generate_run("static", str(suite), None, 0, tmp_path / "whole")
    score_run(tmp_path / "whole", QUICK, str(suite))
    context = multiprocessing.get_context("spawn")
    jobs = [context.Process(target=work, args=(suite, tmp_path / "run", Shard(i, count))) for i in range(count)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0] * count
    assert len(score_run(tmp_path / "run", QUICK, str(suite))) == 2 * 3
    assert digest(tmp_path / "run") == digest(tmp_path / "whole")


def test_the_whole_refuses_holes(suite: Path, tmp_path: Path) -> None:
    for i in (0, 2):
        work(suite, tmp_path / "run", Shard(i, 3))
    with pytest.raises(InputError, match=r"3 of 9 cases were not generated yet \(first: c1\)"):
        score_run(tmp_path / "run", QUICK, str(suite))
    with pytest.raises(InputError, match=r"3 of 3 cases were not generated yet \(first: c1\)"):
        score_run(tmp_path / "run", QUICK, str(suite), shard=Shard(1, 3))


def test_a_shard_twice_and_the_whole_beside_a_shard_are_refused(suite: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    generate_run("static", str(suite), None, 0, run, shard=Shard(0, 2))
    with folder_lock(run, "0-of-2"):
        with pytest.raises(InputError, match="in use by another process"):
            generate_run("static", str(suite), None, 0, run, shard=Shard(0, 2))
        with pytest.raises(InputError, match="in use by another process"):
            generate_run("static", str(suite), None, 0, run)
        generate_run("static", str(suite), None, 0, run, shard=Shard(1, 2))  # another part may
    with folder_lock(run), pytest.raises(InputError, match="in use"):
        work(suite, run, Shard(0, 2))
    assert score_run(run, QUICK, str(suite))
