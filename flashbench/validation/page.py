"""docs/validity: the study as a page, a picture and CSVs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flashbench.files.atomic import replacing
from flashbench.metrics.catalogue import METRICS
from flashbench.models.corruptions import CORRUPTIONS
from flashbench.models.staging import STAGINGS
from flashbench.runs.scored import Scored
from flashbench.runs.table import ARROWS, short
from flashbench.validation.study import Verdict

# What stands beside each other on the page.
SHOWN = (
    "fvd_i3d", "mmd_i3d", "fid_lite0", "epe_lk", "miou_lk", "arrival_lk", "speed_ratio_lk", "text_lit", "subject_lite0",
    "stlpips",
)  # fmt: skip


def _table(verdicts: Sequence[Verdict]) -> tuple[list[str], list[str], dict[tuple[str, str], Verdict]]:
    metrics = list(dict.fromkeys(v.metric for v in verdicts))
    corruptions = list(dict.fromkeys(v.corruption for v in verdicts))
    return metrics, corruptions, {(v.metric, v.corruption): v for v in verdicts}


def cell(verdict: Verdict | None) -> str:
    """`2`: resolved from strength 2 on, in order; `2~`: not in order; `.`: never resolved."""
    if verdict is None or not verdict.first:
        return "."
    return f"{verdict.first}{'' if verdict.monotone else '~'}"


def picture(verdicts: Sequence[Verdict], path: Path) -> None:
    """The matrix of metrics and corruptions, darker where less damage is seen."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    metrics, corruptions, held = _table(verdicts)
    grid = np.array([[6 - (held[m, c].first or 6) for c in corruptions] for m in metrics], float)
    figure, axis = plt.subplots(figsize=(1.5 + 0.55 * len(corruptions), 1.6 + 0.27 * len(metrics)))
    axis.imshow(grid, cmap="Blues", vmin=0, vmax=5, aspect="auto")
    axis.set_xticks(range(len(corruptions)), corruptions, rotation=55, ha="right", fontsize=8)
    axis.set_yticks(range(len(metrics)), metrics, fontsize=8)
    for y, m in enumerate(metrics):
        for x, c in enumerate(corruptions):
            colour = "white" if grid[y, x] > 3 else "black"
            axis.text(x, y, cell(held[m, c]), ha="center", va="center", fontsize=8, color=colour)
    axis.set_title("first strength (of 5) at which a metric resolves the damage", fontsize=9)
    figure.tight_layout()
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    plt.close(figure)


def page(verdicts: Sequence[Verdict], beside: Sequence[Scored], cases: int, picture_name: str, csv_name: str) -> str:
    """The page in Markdown."""
    metrics, corruptions, held = _table(verdicts)
    lines = [
        "# What the metrics see",
        "",
        f"Written by `flashbench validate` over {cases} cases. Every corruption is applied to the reference videos at "
        "five strengths and scored like a model; a cell is the first strength from which on a metric resolves the "
        "damage as damage (paired over cases, Holm over the five strengths, 5 %). `~`: more strength is not always "
        f"more damage. `.`: never resolved. Every number with its interval: [{csv_name}]({csv_name}).",
        "",
        f"![first strength resolved, by metric and corruption]({picture_name})",
        "",
        f"| metric | {' | '.join(c.replace('_', ' ') for c in corruptions)} |",
        f"| - |{' - |' * len(corruptions)}",
    ]
    for m in metrics:
        lines.append(
            f"| {m} {ARROWS[METRICS[m].direction]} | {' | '.join(cell(held.get((m, c))) for c in corruptions)} |"
        )
    lines += ["", "## The corruptions", "", "| corruption | what | strengths 1 to 5 |", "| - | - | - |"]
    for c in corruptions:
        what, levels, _ = CORRUPTIONS.get(c) or STAGINGS[c]
        lines.append(f"| {c} | {what} | {', '.join(f'{v:g}' for v in levels)} |")
    lines += ["", "## Controls, cheats and models", "", *_beside(beside)]
    return "\n".join(lines) + "\n"


def _beside(runs: Sequence[Scored]) -> list[str]:
    """Models down, some metrics across, over all cases."""
    have = [m for m in SHOWN if any(r.metric == m for run in runs for r in run.rows)]
    lines = [f"| model | {' | '.join(f'{m} {ARROWS[METRICS[m].direction]}'.strip() for m in have)} |"]
    lines.append(f"| - |{' - |' * len(have)}")
    for run in runs:
        of = {r.metric: r.value for r in run.rows if r.stratum == "all"}
        lines.append(f"| {run.model} | {' | '.join(short(of[m]) if m in of else '' for m in have)} |")
    return lines
