"""Facts about where numbers come from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flashbench.runs import provenance


def test_environment_is_json_and_the_same_twice() -> None:
    import torch  # noqa: F401

    facts = provenance.environment()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts == provenance.environment()
    assert facts["cpu"]["cores"] >= 1
    assert facts["packages"]["numpy"]
    assert facts["torch"]["float32_matmul_precision"] in ("highest", "high", "medium")
    assert {"tf32_matmul", "tf32_cudnn", "cpu_capability", "embedded_device", "gpu"} <= set(facts["torch"])
    assert facts["decoder"]["libraries"]["libavcodec"]


def test_a_process_without_torch_says_so_and_does_not_import_it() -> None:
    code = "import sys; from flashbench.runs.provenance import environment; print(environment()['torch'])"
    code += "; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "None\nFalse\n", done.stderr


def test_no_path_of_this_machine_is_in_it() -> None:
    assert str(Path.home()) not in json.dumps(provenance.environment())


def test_code_is_named_by_commit_and_changes(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True)

    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    assert provenance.code(package) == {"commit": None, "dirty": None}
    git("init")
    git("commit", "--allow-empty", "-m", "another project")
    assert provenance.code(package) == {"commit": None, "dirty": None}  # installed below a repository, not of it
    git("add", "package")
    git("commit", "-m", "package")
    held = provenance.code(package)
    assert len(held["commit"]) == 40
    assert held["dirty"] is False
    (package / "__init__.py").write_text("x = 1")
    assert provenance.code(package)["dirty"] is True


def test_a_machine_without_git_or_cpuinfo_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert provenance.code(Path(__file__).parent) == {"commit": None, "dirty": None}
