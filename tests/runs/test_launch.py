"""Runs shared between jobs, here with submitit's processes of this machine; `make test-slurm` has the same on Slurm."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from flashbench.cases.folder import save_suite
from flashbench.cli import main
from flashbench.errors import InputError
from flashbench.runs.launch import Work, launch, logs_of

pytest.importorskip("submitit")


@pytest.fixture(scope="module")
def suite(kit: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("suite") / "tiny"
    save_suite(kit.tiny_suite(5), root)
    return root


def work(suite: Path, output: Path) -> Work:
    return Work("static", str(suite), None, 0, output, ("psnr", "flicker"), {}, 1, False)


def test_two_jobs_give_what_one_process_gives(suite: Path, tmp_path: Path) -> None:
    args = ["eval", "--model", "static", "--suite", str(suite), "--metrics", "psnr,flicker", "-o"]
    run = CliRunner().invoke
    assert run(main, [*args, str(tmp_path / "one")], standalone_mode=False).return_value == 0
    shared = run(main, [*args, str(tmp_path / "two"), "--launcher", "local"], standalone_mode=False)
    assert shared.return_value == 0, shared.output
    assert len(list(logs_of(tmp_path / "two").glob("*_result.pkl"))) == 2
    same = [(tmp_path / name / "results.csv").read_text() for name in ("one", "two")]
    assert same[0] == same[1]


def test_a_job_that_dies_is_named(suite: Path, tmp_path: Path) -> None:
    lost = launch(dataclasses.replace(work(suite, tmp_path / "run"), model="no-such"), "local", 2, {}).lost
    assert len(lost) == 2 and all("unknown" in line and str(logs_of(tmp_path / "run")) in line for line in lost)
    args = ["eval", "--model", "static", "--suite", str(suite), "--metrics", "psnr", "--launcher", "local"]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "run.json").write_text("{}")
    result = CliRunner().invoke(main, [*args, "-o", str(tmp_path / "full")], standalone_mode=False)
    assert result.return_value == 1 and not (tmp_path / "full" / "results.csv").exists()


def test_a_preempted_job_goes_on_with_the_same_shard(suite: Path, tmp_path: Path) -> None:
    again = work(suite, tmp_path).checkpoint("1/2")
    assert again.function == work(suite, tmp_path) and again.args == ("1/2",)


@pytest.mark.parametrize(
    ("launcher", "jobs", "settings", "says"),
    [
        ("local", 1, {}, "--jobs: is 1; give at least 2"),
        ("slurm", 2, {}, "cannot be used here"),
        ("local", 2, {"no_such": "1"}, "--slurm: .*no_such"),
    ],
)
def test_bad_input(
    suite: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    launcher: str,
    jobs: int,
    settings: dict[str, str],
    says: str,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match=says):
        launch(work(suite, tmp_path), launcher, jobs, settings)
