"""The JSON schema: what we write fits it, and what does not fit is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from flashbench.cases.folder import save_suite
from flashbench.cases.form import check_form, schema
from flashbench.cases.scenes import sprites_suite
from flashbench.cli import main
from flashbench.errors import InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("form") / "suite"
    save_suite(sprites_suite(2, 32, 9), path)
    return path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    for name in ("suite.json", "metadata.jsonl"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    return tmp_path


def test_the_schema_is_one() -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema())


def test_what_is_written_fits(folder: Path) -> None:
    check_form(folder)
    assert CliRunner().invoke(main, ["check", str(folder)]).exit_code == 0


def test_every_field_that_is_written_is_described(folder: Path) -> None:
    held = schema()["$defs"]
    assert set(json.loads((folder / "suite.json").read_text())) <= set(held["suite"]["properties"])
    for line in (folder / "metadata.jsonl").read_text().splitlines():
        assert set(json.loads(line)) == set(held["case"]["properties"])


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("suite.json", lambda d: d.update(fps=0), "suite.json: field 'fps'"),
        ("suite.json", lambda d: d.update(size=[32]), "field 'size'"),
        ("suite.json", lambda d: d.update(condition="points"), "field 'condition'"),
        ("suite.json", lambda d: d.pop("frames"), "'frames' is a required property"),
        ("metadata.jsonl", lambda d: d.update(id="../x"), "metadata.jsonl, line 1: field 'id'"),
        ("metadata.jsonl", lambda d: d.update(names=[]), "field 'names'"),
        ("metadata.jsonl", lambda d: d.update(file_name="../x.mkv"), "field 'file_name'"),
        ("metadata.jsonl", lambda d: d.update(sha256="abc"), "field 'sha256'"),
    ],
)
def test_what_does_not_fit_is_named(copy: Path, name: str, change: Callable[[dict[str, Any]], Any], says: str) -> None:
    lines = (copy / name).read_text().split("\n") if name.endswith("l") else [(copy / name).read_text()]
    held = json.loads(lines[0])
    change(held)
    (copy / name).write_text("\n".join([json.dumps(held), *lines[1:]]))
    with pytest.raises(InputError, match=says):
        check_form(copy)
