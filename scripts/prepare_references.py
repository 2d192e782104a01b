"""Measures the reference videos of `sprites-v1` with i3d and lk, for flashbench/runs/references.

    python scripts/prepare_references.py          # makes the folder again
    python scripts/prepare_references.py --check  # measures afresh, and says how far what is shipped differs

To be made again whenever the fingerprint of one of the two extractors changes, or the world (a test says so). The other
extractors are quick to run (pixels), or their files large (lite0, 15 MB).
"""

from __future__ import annotations

import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

import click
import cv2
import numpy as np
import torch

from flashbench.cases.schema import Suite
from flashbench.cases.suites import open_suite
from flashbench.files.atomic import write_json
from flashbench.metrics.protocol import Extractor
from flashbench.runs import provenance
from flashbench.runs.extractors import extractors
from flashbench.runs.measure import SHIPPED, Measurer, Stored
from flashbench.workers import spread

NAMES = ("i3d", "lk")


def measure(suite: Suite, found: list[Extractor], folder: Path, case_id: str) -> str:
    """One case's reference, into `folder`."""
    video = suite.load_reference(case_id)
    Measurer(suite.load_case(case_id), video).measure(video, found, folder)
    return case_id


def measure_all(folder: Path) -> None:
    """All references, one thread a process as in `flashbench score`."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    suite, found = open_suite("sprites-v1"), list(extractors(NAMES).values())
    start, ids = time.perf_counter(), suite.case_ids
    for done, _ in enumerate(spread(partial(measure, suite, found, folder), ids, provenance.cores()), 1):
        click.echo(f"\r{done}/{len(ids)}", nl=False, err=True)
    click.echo(f"\r{len(ids)} references measured in {time.perf_counter() - start:.0f} s", err=True)
    facts = {
        "command": "python scripts/prepare_references.py",
        "suite": {"name": suite.name, "content_sha256": suite.content_sha256},
        "extractors": {e.name: e.fingerprint for e in found},
        "environment": provenance.environment(),
    }
    write_json(folder / "manifest.json", facts)


def compare(fresh: Path) -> None:
    """The largest difference of each array from what is shipped."""
    names = {str(p.relative_to(fresh)) for p in fresh.rglob("*.npz")}
    if names != {str(p.relative_to(SHIPPED)) for p in SHIPPED.rglob("*.npz")}:
        raise click.ClickException("the shipped files are of other extractors or cases: make them again")
    largest: dict[str, float] = {}
    for name in sorted(names):
        ours, theirs = Stored(fresh / name), Stored(SHIPPED / name)
        for key in set(ours) - {"key"}:
            apart = np.nanmax(np.abs(ours[key].astype(np.float64) - theirs[key]), initial=0.0)
            label = f"{name.split('/')[0]} {key}"
            largest[label] = max(largest.get(label, 0.0), float(apart))
    for label, apart in sorted(largest.items()):
        click.echo(f"{label}: largest difference {apart:.3g}")


@click.command()
@click.option("--check", is_flag=True, help="Only say how far what is shipped differs from what is measured here.")
def main(check: bool) -> None:
    """Makes or checks what is shipped."""
    with tempfile.TemporaryDirectory() as made_in:
        fresh = Path(made_in, "references")
        measure_all(fresh)
        if check:
            return compare(fresh)
        if SHIPPED.is_dir():
            shutil.rmtree(SHIPPED)
        shutil.copytree(fresh, SHIPPED)


if __name__ == "__main__":
    main()
