"""What the README tells people to write works, and what it tells them to run is there."""

from __future__ import annotations

import importlib.util
import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from flashbench.cases.scenes import sprites_suite
from flashbench.metrics.catalogue import METRICS
from flashbench.models import registry
from flashbench.models.protocol import checked_video
from flashmotion.keyframes import case_from_keyframes


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def filler(root: Path) -> ModuleType:
    """scripts/fill_readme.py."""
    spec = importlib.util.spec_from_file_location("fill_readme", root / "scripts" / "fill_readme.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def block(readme: str, language: str, has: str) -> str:
    """The one fenced block of a language that holds a text."""
    (found,) = [b for b in re.findall(rf"```{language}\n(.*?)```", readme, re.DOTALL) if has in b]
    return str(found)


def test_the_model_is_one(readme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = block(readme, "python", "def generate")
    name, value = re.findall(r'^(\w+) = "(.*)"', block(readme, "toml", registry.GROUP), re.MULTILINE)[0]
    module = value.partition(":")[0]
    assert code.startswith(f"# {module}.py\n")
    (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, module, raising=False)
    point = EntryPoint(name, value, registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == registry.GROUP else [])
    suite = sprites_suite(2, 48, 9)
    model = registry.create_model(name, suite)
    for case_id in suite.case_ids:
        case = suite.load_case(case_id)
        video = checked_video(model.generate(case.asked(), 0), case, name)
        assert np.array_equal(video, np.repeat(case.first_frame[None], 9, axis=0))


def test_the_keyframes_are_a_case_of_the_nano_model(readme: str, tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(block(readme, "json", "keyframes"))
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    case = case_from_keyframes(image, "A red apple.", path, 121, condition="masks")
    (apple,) = case.objects
    assert apple.boxes[0].tolist() == [8, 20, 28, 40] and apple.boxes[120].tolist() == [36, 4, 52, 20]
    assert apple.visible.all()


def test_every_target_that_it_names_is_in_the_makefile(readme: str, root: Path) -> None:
    there = set(re.findall(r"^([\w-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([\w-]+)", readme))
    assert named and named <= there


def test_the_targets_are_filled_in(readme: str, filler: ModuleType) -> None:
    shown = readme.partition("<!-- targets -->")[2].partition("<!-- end of targets -->")[0]
    assert shown.strip() == filler.targets(filler.bench.read(filler.bench.CSV))


def test_a_target_is_met_missed_or_not_measured(filler: ModuleType) -> None:
    first, second, *rest = filler.TARGETS

    def measured(target: Any, value: str) -> dict[str, str]:
        facts = {"part": target.part, "quantity": target.quantity, "target": ""}
        return facts | {"value": value, "unit": target.unit, "machine": "a loom", "date": "1804-01-01"}

    lines = filler.targets([measured(first, "719.5"), measured(second, "4.5")]).splitlines()
    assert lines[2] == f"| {first.words} | < 720 s | 719.5 s | 1, 1804-01-01 |"
    assert lines[3] == f"| {second.words} | < 4 GiB | 4.5 GiB (**missed**) | 1, 1804-01-01 |"
    assert sum("| not measured |" in line for line in lines) == len(rest)
    assert lines[-1] == "Machine 1: a loom."


def test_targets_are_those_of_the_benchmarks(filler: ModuleType) -> None:
    held = {(r["part"], r["quantity"]): (r["target"], r["unit"]) for r in filler.bench.read(filler.bench.CSV)}
    for t in filler.TARGETS:
        assert held.get((t.part, t.quantity), (t.bound, t.unit)) == (t.bound, t.unit)
        assert (filler.bench.HERE / f"{t.part}.py").is_file()


def test_the_rows_of_the_table_are_metrics(filler: ModuleType) -> None:
    assert set(filler.COLUMNS) <= set(METRICS)
