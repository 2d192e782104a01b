"""Writes what was measured into the README, between its markers: the printed table of the main job and the rows.

python scripts/fill_readme.py runs/reference ... runs/flashmotion-4step
"""

from __future__ import annotations

import io
from pathlib import Path

import click
from rich.console import Console

from flashbench.files.atomic import write_bytes
from flashbench.metrics.catalogue import METRICS
from flashbench.runs.layout import read_run
from flashbench.runs.scored import Scored, check_same_measure, read_scored
from flashbench.runs.table import ARROWS, results_table, short

ROOT = Path(__file__).parents[1]
COLUMNS = ("fvd_i3d", "fid_lite0", "epe_lk", "miou_lk", "biou_lk", "psnr", "text_lit", "seconds")


def printed(run: Scored) -> str:
    """What `flashbench eval` prints."""
    info, out = read_run(run.folder), io.StringIO()
    Console(file=out, width=100, highlight=False, markup=False, emoji=False).print(results_table(run.rows))
    lines = "\n".join(line.rstrip() for line in out.getvalue().splitlines())
    head = f"{info.model} on {info.suite} (seed {info.seed}): runs/{run.folder.name}/results.csv"
    return f"```text\n{head}\n\n{lines.strip()}\n```"


def beside(runs: tuple[Scored, ...], main: str) -> str:
    """One line a model."""
    head = [f"{c} {ARROWS[METRICS[c].direction]}" for c in COLUMNS]
    lines = ["| model | " + " | ".join(head) + " |", "| - " * (len(head) + 1) + "|"]
    for run in runs:
        values = {r.metric: r.value for r in run.rows if r.stratum == "all"}
        shown = f"**{run.model}**" if run.model == main else run.model
        lines.append(f"| {shown} | " + " | ".join(short(values[c]) for c in COLUMNS) + " |")
    return "\n".join(lines)


def put(text: str, marker: str, content: str) -> str:
    """`text` with what stands between `<!-- marker -->` and `<!-- end of marker -->` replaced."""
    before, begin, rest = text.partition(f"<!-- {marker} -->\n")
    _, end, after = rest.partition(f"<!-- end of {marker} -->")
    if not begin or not end:
        raise click.UsageError(f"README.md has no markers for {marker!r}")
    return f"{before}{begin}{content}\n{end}{after}"


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--main", "main_job", default="flashmotion-4step", show_default=True)
def main(runs: tuple[Path, ...], main_job: str) -> None:
    """Puts the results of RUNS into README.md."""
    held = tuple(read_scored(run) for run in runs)
    check_same_measure(held)
    chosen = next(run for run in held if run.model == main_job)
    cpu = chosen.facts["environment"]["cpu"]
    text = (ROOT / "README.md").read_text()
    strata = {r.stratum: r.n for r in chosen.rows if r.metric == "psnr"}
    each = ", ".join(sorted({str(n) for stratum, n in strata.items() if stratum != "all"}))
    count = f"{strata['all']} cases, {each} for each number of objects"
    text = put(text, "machine", f"It prints ({count}; on {cpu['model']}, {cpu['cores']} cores):")
    text = put(text, "printed", printed(chosen))
    text = put(text, "rows", beside(held, main_job))
    write_bytes(ROOT / "README.md", text.encode())


if __name__ == "__main__":
    main()
