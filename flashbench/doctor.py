"""What this machine has of what flashbench can use, and the one thing that brings the rest."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

PACKAGES = ("torch", "torchvision", "diffusers", "transformers", "opencv-python-headless", "av")


class Finding(NamedTuple):
    """One line: what, whether it is there, its licence, and what brings it where it is not."""

    what: str
    state: str
    licence: str = ""
    mend: str = ""


def findings() -> list[Finding]:
    """Machine, packages, embedded weights, and networks whose weights the user brings."""
    return [*_machine(), *_packages(), *_embedded(), *_brought()]


def report() -> str:
    """One line a finding."""
    lines = []
    for f in findings():
        licence, mend = (f" ({f.licence})" if f.licence else ""), (f"; to get it: {f.mend}" if f.mend else "")
        lines.append(f"{f.what}{licence}: {f.state}{mend}")
    return "\n".join(lines)


def _machine() -> list[Finding]:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none: networks run on the CPU"
    return [Finding("python", sys.version.split()[0]), Finding("cores", str(cores)), Finding("gpu", gpu)]


def _packages() -> list[Finding]:
    found = []
    for name in PACKAGES:
        try:
            found.append(Finding(name, version(name)))
        except PackageNotFoundError:
            found.append(Finding(name, "missing", "", f"pip install {name}"))
    return found


def _embedded() -> list[Finding]:
    from flashbench.backbones import assets

    mend = {
        "ready": "",
        "absent": "flashbench assets fetch {} (or by itself, when needed)",
        "damaged": "flashbench assets fetch {}",
    }
    return [
        Finding(f"weights {s.asset.name}", s.state, s.asset.licence, mend[s.state].format(s.asset.name))
        for s in assets.status()
    ]


def _brought() -> list[Finding]:
    from flashbench.metrics.plugin import PLUGINS
    from flashbench.metrics.registry import BROKEN, install

    install()
    found = []
    for name, plugin in PLUGINS.items():
        metrics = ", ".join(metric.name for metric in plugin.metrics)
        absent = [m for m in plugin.requires if importlib.util.find_spec(m) is None]
        state = f"needs {', '.join(absent)}" if absent else f"for {metrics}: give --weights {name}=PATH"
        found.append(Finding(f"network {name}", state, plugin.licence, plugin.brings))
    return [*found, *(Finding(f"plugin {name}", f"broken: {why}") for name, why in BROKEN.items())]
