"""Where numbers come from: packages, machine, precision, code. Written to run.json and results.json."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import flashbench

PACKAGES = (
    "numpy", "scipy", "opencv-python-headless", "av", "torch", "torchvision", "diffusers", "transformers",
    "accelerate", "safetensors", "pandas", "pyarrow",
)  # fmt: skip
FLAG_CLASSES = ("amx_tile", "avx512_bf16", "avx512f", "avx2", "avx", "sse4_2")


def environment() -> dict[str, Any]:
    """Facts about this process that a number may depend on; JSON, the same every time on one machine."""
    return {
        "flashbench": flashbench.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "cpu": cpu(),
        "torch": torch_settings(),
        "decoder": decoder(),
        "code": code(Path(flashbench.__file__).parent),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def cpu() -> dict[str, Any]:
    """Model name, the widest instruction set that it reports (`FLAG_CLASSES`, best first), and usable cores."""
    facts: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            facts.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    widest = next((name for name in FLAG_CLASSES if name in flags), None)
    return {"model": facts.get("model name", platform.processor() or None), "flags": widest, "cores": cores()}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def torch_settings() -> dict[str, Any] | None:
    """What torch computes with: devices, instruction set, threads, and whether float32 may be rounded to TF32.

    `gpu` is the one that there is; it is used by the networks of `flashbench.field` alone. The embedded networks and
    the models of this repository run on the CPU wherever they are (`embedded_device`). None in a process without torch.
    """
    if (torch := sys.modules.get("torch")) is None:
        return None
    return {
        "embedded_device": "cpu",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "tf32_matmul": torch.backends.cuda.matmul.allow_tf32,
        "tf32_cudnn": torch.backends.cudnn.allow_tf32,
    }


def decoder() -> dict[str, Any]:
    """The one decoder in use: PyAV and the FFmpeg libraries inside it."""
    import av

    libraries = {name: list(version) for name, version in av.library_versions.items()}
    return {"name": "pyav", "version": av.__version__, "libraries": libraries}


def code(folder: Path) -> dict[str, Any]:
    """Commit of the repository that tracks the package, and whether it was changed since; None if it is installed."""
    tracked = _git(folder, "ls-files", "--error-unmatch", "__init__.py")
    commit = _git(folder, "rev-parse", "HEAD") if tracked else None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no") if commit else None
    return {"commit": commit, "dirty": None if changed is None else bool(changed)}


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
