"""Arrows between the rooms go one way, at every level, and flashbench does not know flashmotion.

Every import counts: at the top of a file, inside functions, for types only, and `import_module` of a literal name.
Entry points do not: they are names in setup.cfg.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest


def files_of(package: Path) -> dict[str, Path]:
    """Module name -> file; a package's name -> its `__init__.py`."""
    names = {p: ".".join(p.relative_to(package.parent).with_suffix("").parts) for p in sorted(package.rglob("*.py"))}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


def imports(name: str, files: dict[str, Path]) -> Iterator[str]:
    """What a module imports. `from a import b` is `a.b` where that is one of `files`, else `a`."""
    holder = name if files[name].name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(files[name].read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                base = resolve_name("." * node.level + (node.module or ""), holder)
                for alias in node.names:
                    inner = f"{base}.{alias.name}"
                    yield inner if inner in files else base
            case ast.Call(
                func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(start)) | ast.JoinedStr(values=[ast.Constant(value=str(start)), *_]), *_],
            ):
                yield start.rstrip(".")


def child(parent: str, name: str) -> str | None:
    """Which child of a package a module is, or lies in; None: it lies elsewhere."""
    if name == parent:
        return "__init__"
    return name.removeprefix(f"{parent}.").split(".")[0] if name.startswith(f"{parent}.") else None


def graphs(package: Path) -> dict[str, dict[str, set[str]]]:
    """For the package and for each one in it: child -> the other children that it imports."""
    files = files_of(package)
    arrows = [(name, target) for name in files for target in imports(name, files)]
    found = {}
    for parent in (name for name, path in files.items() if path.name == "__init__.py"):
        graph: dict[str, set[str]] = {inside: set() for name in files if (inside := child(parent, name))}
        for tail, head in ((child(parent, a), child(parent, b)) for a, b in arrows):
            if tail and head and tail != head:
                graph[tail].add(head)
        found[parent] = graph
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Children that import each other in a circle, each the next one; empty: there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


@pytest.mark.parametrize("package", ["flashbench", "flashmotion"])
def test_packages_do_not_import_each_other_in_circles(root: Path, package: str) -> None:
    found = graphs(root / package)
    assert found[package]["cli"]
    assert {parent: at for parent, graph in found.items() if (at := circle(graph))} == {}


def test_flashbench_does_not_import_flashmotion(root: Path) -> None:
    files = files_of(root / "flashbench")
    assert [name for name in files if any(child("flashmotion", i) for i in imports(name, files))] == []


def written(folder: Path, sources: dict[str, str]) -> Path:
    """A package of these files."""
    for name, source in sources.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return folder


@pytest.mark.parametrize(
    "back",
    [
        "from p.trainer import loop",
        "import p.trainer.loop",
        "from p import trainer",
        "from .. import trainer",
        "from ..trainer.loop import run",
        "def f():\n    from p.trainer import loop",
        "if TYPE_CHECKING:\n    from p.trainer.loop import run",
        "importlib.import_module('p.trainer.loop')",
        "import_module(f'p.trainer.{name}')",
    ],
)
def test_a_circle_of_packages_is_seen(tmp_path: Path, back: str) -> None:
    """Though their modules go in none: trainer.start -> stages.base -> trainer.loop."""
    start = {"trainer/start": "from p.stages.base import Base", "trainer/loop": "import os", "stages/base": ""}
    package = written(tmp_path / "p", {"__init__": "", "trainer/__init__": "", "stages/__init__": "", **start})
    straight = graphs(package)["p"]
    assert straight == {"__init__": set(), "trainer": {"stages"}, "stages": set()} and circle(straight) == []
    written(package, {"stages/base": back})
    assert set(circle(graphs(package)["p"])) == {"trainer", "stages"}


def test_a_circle_of_modules_is_seen(tmp_path: Path) -> None:
    sources = {"__init__": "", "q/__init__": "", "q/a": "from p.q import b", "q/b": "import p.q.a"}
    found = graphs(written(tmp_path / "p", sources))
    assert circle(found["p"]) == [] and circle(found["p.q"]) in (["a", "b", "a"], ["b", "a", "b"])
