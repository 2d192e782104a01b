"""What an installation holds: entry points, package data, licences, tested versions."""

from __future__ import annotations

import configparser
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

DISTRIBUTION = "flashbench"
MODELS = {"slow-50step", "slow-4step", "plugged-4step", "flashmotion-4step"}


@pytest.fixture(scope="module")
def setup(root: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(root / "setup.cfg", encoding="utf-8")
    return parser


def requirement_names(text: str) -> set[str]:
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    return {re.split(r"[<>=!\[; ]", line)[0].lower().replace("_", "-") for line in lines if line}


def bounded(text: str) -> dict[str, tuple[int, ...]]:
    """name -> version of lines such as `name>=1.2` or `name==1.2.3`."""
    pairs = re.findall(r"^\s*([A-Za-z0-9_.-]+)[>=]=([0-9.]+)", text, re.MULTILINE)
    return {n.lower().replace("_", "-"): tuple(map(int, v.strip(".").split("."))) for n, v in pairs}


@pytest.mark.parametrize("script", ["flashbench", "flashmotion"])
def test_console_script_answers(script: str) -> None:
    """Run as a user does: from another folder, through the installed script."""
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name=script)
    assert entry.value == f"{script}.cli:main"
    done = subprocess.run(
        [str(Path(sys.executable).with_name(script)), "--help"], cwd="/", capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_models_are_found_through_entry_points() -> None:
    entries = {e.name: e for e in importlib.metadata.entry_points(group="flashbench.models")}
    assert set(entries) >= MODELS
    for name in MODELS:
        assert callable(entries[name].load()), name


def test_version_is_the_package_version() -> None:
    import flashbench

    assert importlib.metadata.version(DISTRIBUTION) == flashbench.__version__


def test_every_folder_of_code_is_a_package(root: Path) -> None:
    """setuptools' `find:` and importlib.resources leave out a folder without __init__.py."""
    folders = {p.parent for name in ("flashbench", "flashmotion") for p in (root / name).rglob("*.py")}
    assert not [str(f.relative_to(root)) for f in folders if not (f / "__init__.py").exists()]


def test_every_data_file_is_named_in_package_data(root: Path, setup: configparser.ConfigParser) -> None:
    for package in ("flashbench", "flashmotion"):
        patterns = setup["options.package_data"][package].split()
        listed = {p for pattern in patterns for p in (root / package).glob(pattern)}
        tracked = subprocess.run(
            ["git", "ls-files", "--", package], cwd=root, capture_output=True, text=True
        ).stdout.splitlines()
        missing = [f for f in tracked if not f.endswith((".py", ".pyi")) and (root / f) not in listed]
        assert not missing, f"add their endings to [options.package_data] in setup.cfg: {missing}"


def test_a_wheel_holds_code_and_data(root: Path, tmp_path: Path) -> None:
    """Built by setuptools from a copy of the tracked files: everything that is tracked in the packages is in it."""
    import tarfile
    import zipfile

    tracked = subprocess.run(
        ["git", "ls-files", "flashbench", "flashmotion"], cwd=root, capture_output=True, text=True
    ).stdout.splitlines()
    if not tracked:
        pytest.skip("not a git checkout")
    copy = tmp_path / "copy"
    copy.mkdir()
    names = [*tracked, "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "NOTICE"]
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        for name in names:
            if (root / name).exists():
                tar.add(root / name, name)
    with tarfile.open(tmp_path / "t.tar") as tar:
        tar.extractall(copy, filter="data")
    code = "from setuptools import build_meta; import sys; print(build_meta.build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=copy, check=True, capture_output=True, timeout=200)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert [name for name in tracked if (root / name).exists() and name not in held] == []
    assert any(name.endswith("NOTICE") for name in held)
    assert any(name.endswith("LICENSE") for name in held)


def test_every_direct_requirement_has_a_tested_version(root: Path, setup: configparser.ConfigParser) -> None:
    text = (root / "constraints.txt").read_text(encoding="utf-8")
    direct = setup["options"]["install_requires"] + "".join(setup["options.extras_require"].values())
    assert requirement_names(direct) <= requirement_names(text)
    tested, lower = bounded(text), bounded(direct)
    assert not [name for name, bound in lower.items() if tested[name] < bound], "a tested version is below its bound"


def test_imports_are_declared(root: Path, setup: configparser.ConfigParser) -> None:
    """Every third-party module that the packages import belongs to a declared requirement."""
    import ast

    module_of = {
        "huggingface_hub": "huggingface_hub",
        "huggingface-hub": "huggingface_hub",
        "opencv-python-headless": "cv2",
        "pillow": "PIL",
        "pypi-simple": "pypi_simple",
        "pyyaml": "yaml",
    }
    extras = setup["options.extras_require"]["train"] + setup["options.extras_require"]["slurm"]
    declared = requirement_names(setup["options"]["install_requires"] + extras)
    modules = {module_of.get(name, name) for name in declared} | {"flashbench", "flashmotion"}
    for path in [p for name in ("flashbench", "flashmotion") for p in (root / name).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in (n.split(".")[0] for n in names):
                assert name in sys.stdlib_module_names or name in modules, f"{path.relative_to(root)} imports {name}"


def test_kernels_import_without_torch() -> None:
    """The metric kernels are for everybody: no torch, no OpenCV, nothing fetched."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from flashbench.metrics.frechet import frechet_distance\n"
        "from flashbench.metrics.mmd import mmd2\n"
        "from flashbench.metrics.tracks import tapvid\n"
        "from flashbench.metrics.regions import mask_iou, box_iou\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_licence_and_credits(root: Path) -> None:
    licence = (root / "LICENSE").read_text(encoding="utf-8")
    assert "Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    notice = (root / "NOTICE").read_text(encoding="utf-8")
    for part in ("Fluent Emoji", "I3D", "EfficientNet-Lite0", "all-MiniLM-L6-v2", "ST-LPIPS", "atlas/CREDITS.md"):
        assert part in notice, part
    assert (root / "flashbench/cases/scenes/atlas/CREDITS.md").exists()


def test_readme_names_its_test_command_where_ci_reads_it(root: Path) -> None:
    readme = (root / "README.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- tests -->\n```sh\n(.*?)\n```\n<!-- end of tests -->", readme, re.DOTALL)
    assert block and block.group(1) == "make test"
    assert "make eval" in readme


def test_shipped_weights_stay_small(root: Path) -> None:
    files = [p for name in ("flashbench", "flashmotion") for p in (root / name).rglob("*.safetensors")]
    assert sum(p.stat().st_size for p in files) < 60e6
