"""docs/validity: the study as a page, a picture and CSVs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from flashbench import overall
from flashbench.files.atomic import replacing
from flashbench.markdown import table_lines
from flashbench.metrics.catalogue import METRICS
from flashbench.models.corrupted import DAMAGES
from flashbench.models.corruptions import STRENGTHS
from flashbench.runs.scored import Scored
from flashbench.runs.table import ARROWS, short
from flashbench.validation.study import Finding, Verdict
from flashbench.validation.study import verdicts as verdicts_of

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


# What is no business of a metric: how a video looks, of where objects go; where they go, of how it looks.
LOOKS = ("blur", "noise", "h264", "flicker", "colour")
PATHS = ("path_offset", "path_mirrored", "objects_swapped")
OF_LOOKS = ("fvd_i3d", "mmd_i3d", "fid_lite0", "text_lit", "subject_lite0", "background_lite0", "flicker")
CUTOUT = (
    "`cutout` fills in what is behind the objects and moves their pixels of frame 0 along the asked paths. It needs no "
    "model, and in a world of sprites over photographs that is nearly what the truth is: nothing turns its other side, "
    "bends, or stands in changing light. So its place in this table says how well pasting does in such a world, and "
    "of real footage it says nothing. A model below it has not learnt to paste; one above it need not have learnt more."
)


def page(
    found: Sequence[Finding],
    beside: Sequence[Scored],
    order: overall.Order,
    trackers: Mapping[str, Sequence[str]],
    cases: int,
    picture_name: str,
    csv_name: str,
) -> str:
    """The page in Markdown. trackers: tables (`trackers.lines`) by title."""
    verdicts = verdicts_of(found)
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
        *_matrix(verdicts),
        "",
        "Of `fvd_i3d`, `fid_lite0`, `psnr`, `ssim` and `stlpips` the reference video itself has the perfect value, so "
        "they resolve any change at all: what they say lies in how large it is.",
        "",
        "## What should not matter",
        "",
        "How a video looks is no business of metrics of paths, and where objects go none of metrics of looks. Where "
        f"they react all the same, the first strength of {', '.join(LOOKS)} or of {', '.join(PATHS)} is given, and in "
        "brackets the change at strength 5, as a share of the larger one of `static` and `shuffled`:",
        "",
        *_reactions(found, verdicts, beside),
        "",
        "## The corruptions",
        "",
        *_levels(list(dict.fromkeys(v.corruption for v in verdicts))),
        "",
        *(
            line.replace("## Overall", "## Controls, cheats and models")
            for line in overall.page([run.model for run in beside], order)
        ),
        "",
        *_beside(beside),
        "",
        CUTOUT,
    ]
    for title, table in trackers.items():
        lines += ["", f"## {title}", "", *table]
    return "\n".join(lines) + "\n"


def _arrow(metric: str) -> str:
    return f"{metric} {ARROWS[METRICS[metric].direction]}".strip()


def _matrix(verdicts: Sequence[Verdict]) -> list[str]:
    metrics, corruptions, held = _table(verdicts)
    rows = [[_arrow(m), *(cell(held.get((m, c))) for c in corruptions)] for m in metrics]
    return table_lines(["metric", *(c.replace("_", " ") for c in corruptions)], rows)


def _reactions(found: Sequence[Finding], verdicts: Sequence[Verdict], beside: Sequence[Scored]) -> list[str]:
    """Metrics with the corruptions that they should not see but do."""
    metrics, corruptions, held = _table(verdicts)
    last = {(f.metric, f.corruption): f.comparison.difference.value for f in found if f.strength == STRENGTHS[-1]}
    rows = []
    for m in metrics:
        others = LOOKS if "lk" in METRICS[m].needs else PATHS if m in OF_LOOKS else ()
        there = [c for c in others if c in corruptions]
        scale = _control_change(m, beside)
        seen = [f"{c} {cell(held[m, c])} ({100 * abs(last[m, c]) / scale:.0f} %)" for c in there if held[m, c].first]
        if there:
            rows.append([m, ", ".join(seen) or "none"])
    return table_lines(["metric", "reacts to"], rows)


def _control_change(metric: str, beside: Sequence[Scored]) -> float:
    """How far the farther one of `static` and `shuffled` is from the reference; NaN without them."""
    of = {run.model: r.value for run in beside for r in run.rows if (r.metric, r.stratum) == (metric, "all")}
    there = [abs(of[c] - of["reference"]) for c in ("static", "shuffled") if c in of and "reference" in of]
    return max(there, default=float("nan"))


def _levels(corruptions: Sequence[str]) -> list[str]:
    rows = []
    for c in corruptions:
        what, levels, _ = DAMAGES[c]
        rows.append([c, what, ", ".join(f"{v:g}" for v in levels)])
    return table_lines(["corruption", "what", "strengths 1 to 5"], rows)


def _beside(runs: Sequence[Scored]) -> list[str]:
    """Models down, some metrics across, over all cases."""
    have = [m for m in SHOWN if any(r.metric == m for run in runs for r in run.rows)]
    rows = []
    for run in runs:
        of = {r.metric: r.value for r in run.rows if r.stratum == "all"}
        rows.append([run.model, *(short(of[m]) if m in of else "" for m in have)])
    return table_lines(["model", *map(_arrow, have)], rows)
