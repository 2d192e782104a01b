"""Measures the reference videos of `sprites-v1` with i3d and lk, for flashbench/runs/references.

    python scripts/prepare_references.py          # makes the folder again
    python scripts/prepare_references.py --check  # measures afresh, and says how far what is shipped differs

To be made again whenever the fingerprint of one of the two extractors changes, or the world (a test says so). The other
extractors are quick to run (pixels), or their files large (lite0, 15 MB).
"""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path

import click
import numpy as np

from flashbench.cases.content import suite_sha256
from flashbench.cases.schema import Suite
from flashbench.cases.suites import open_suite
from flashbench.files.atomic import building, write_json
from flashbench.metrics.protocol import Extractor
from flashbench.runs import provenance
from flashbench.runs.extractors import extractors
from flashbench.runs.measure import SHIPPED, Measurer, Stored
from flashbench.runs.progress import progress
from flashbench.runs.score import each

NAMES = ("i3d", "lk")


def measure(suite: Suite, found: list[Extractor], folder: Path, case_id: str) -> tuple[str, str]:
    """One case's reference, into `folder`; id and hash of the case."""
    video = suite.load_reference(case_id)
    measurer = Measurer(suite.load_case(case_id), video)
    measurer.measure(video, found, folder)
    return case_id, measurer.case_sha256


def measure_all(folder: Path) -> None:
    """All references, as `flashbench score` does it."""
    suite, found = open_suite("sprites-v1"), list(extractors(NAMES).values())
    with progress() as tick:
        work = partial(measure, suite, found, folder)
        hashes = dict(each(work, suite.case_ids, provenance.cores(), tick, "measure"))
    facts = {
        "command": "python scripts/prepare_references.py",
        "suite": {"name": suite.name, "content_sha256": suite_sha256(hashes[i] for i in suite.case_ids)},
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
            apart = np.nanmax(
                np.abs(np.asarray(ours[key], np.float64) - np.asarray(theirs[key], np.float64)), initial=0.0
            )
            label = f"{name.split('/')[0]} {key}"
            largest[label] = max(largest.get(label, 0.0), float(apart))
    for label, apart in sorted(largest.items()):
        click.echo(f"{label}: largest difference {apart:.3g}")


@click.command()
@click.option("--check", is_flag=True, help="Only say how far what is shipped differs from what is measured here.")
def main(check: bool) -> None:
    """Makes or checks what is shipped."""
    if check:
        with tempfile.TemporaryDirectory() as fresh:
            measure_all(Path(fresh))
            compare(Path(fresh))
        return
    with building(SHIPPED) as made:
        measure_all(made)
        shutil.rmtree(SHIPPED, ignore_errors=True)


if __name__ == "__main__":
    main()
