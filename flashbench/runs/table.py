"""Results as a table that is legible in a terminal of 100 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from flashbench.metrics.catalogue import METRICS, Metric
from flashbench.metrics.sight import SIGHT
from flashbench.runs.results import Row

ARROWS = {"higher": "↑", "lower": "↓", "none": " "}


def short(value: float) -> str:
    """A number in at most seven characters; an empty text for NaN. What is only rounding of zero is zero."""
    if value != value:
        return ""
    size = abs(value)
    if 1e-5 < size < 0.001 or size >= 1e6:
        return f"{value:.0e}"
    return f"{0 if size <= 1e-5 else value:.{0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 10 else 3}f}"


def results_table(rows: Sequence[Row]) -> RenderableType:
    """Metrics down, strata across, then the whole with its 95 % interval and the floor of the whole."""
    strata = list(dict.fromkeys(row.stratum for row in rows if row.stratum != "all"))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left", caption_justify="left")
    table.add_column("metric", no_wrap=True)
    for name in [*strata, "all", "95 %", "floor"]:
        table.add_column(name, justify="right", no_wrap=True)
    for name in dict.fromkeys(row.metric for row in rows):
        of = {row.stratum: row for row in rows if row.metric == name}
        whole = of["all"]
        values = [short(of[s].value) if s in of else "" for s in strata]
        span = f"{short(whole.lo)}..{short(whole.hi)}" if whole.lo == whole.lo else ""
        style = "dim" if METRICS[name].kind == "set" else ""
        cells = [Text(v, style=style) for v in values]
        table.add_row(f"{name} {ARROWS[METRICS[name].direction]}", *cells, short(whole.value), span, short(whole.floor))
    return Group(table, *notes(rows))


def notes(rows: Sequence[Row]) -> list[str]:
    """What a reader of the table must know: numbers of cases, small samples, failures."""
    whole = [row for row in rows if row.stratum == "all"]
    sets = [row for row in whole if METRICS[row.metric].kind == "set"]
    cases = max((row.n for row in whole if METRICS[row.metric].kind == "case"), default=0)
    lines = [f"{cases} cases; floor: the same metric on the reference videos."] if cases else []
    if sets:
        least = {row.metric: min(r.n for r in rows if r.metric == row.metric) for row in sets}
        counts = ", ".join(f"{row.metric} {row.n} (by stratum {least[row.metric]})" for row in sets)
        lines.append(
            f"Samples of set metrics: {counts}. At such n a Frechet distance is mostly bias: compare it at equal n, "
            "never between strata. Its floor is one half of the references against the other."
        )
    if failed := max((row.n_failed for row in whole), default=0):
        lines.append(f"{failed} cases have no answer and count as worst.")
    return lines


def left_out(rows: Sequence[Row], wanted: Sequence[Metric]) -> list[str]:
    """A line that names the wanted metrics without a value, and what no case of the suite holds for them; or none."""
    there = {row.metric for row in rows}
    absent = [f"{m.name} (wants {m.wants})" if m.wants else m.name for m in wanted if m.name not in there]
    return [f"Left out, since no case of the suite has what they want: {', '.join(absent)}."] if absent else []


def metrics_table(metrics: Sequence[Metric]) -> RenderableType:
    """The catalogue: one line of facts a metric, then its formula, source and blind spots."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_header=False)
    table.add_column("metric", no_wrap=True)
    table.add_column("what", overflow="fold")
    for m in metrics:
        span = f"{_bound(m.low)}..{_bound(m.high)}"
        better = "neither way" if m.direction == "none" else m.direction
        needs = f"measured by {', '.join(m.needs)}" if m.needs else "measured while generating"
        facts = f"{m.unit}; {better} is better; range {span}; no answer counts as {_worst(m)}; {needs}"
        lines = [
            facts,
            m.formula,
            f"cannot see: {m.blind}",
            *_seen(m.name),
            *([f"source: {m.source}"] if m.source else []),
        ]
        table.add_row(f"{m.name} {ARROWS[m.direction]}", "\n".join(lines), end_section=True)
    return table


def _seen(name: str) -> list[str]:
    """What was measured of the metric, in a line; or nothing."""
    if name not in SIGHT:
        return []
    sees, misses = (", ".join(c.replace("_", " ") for c in side) or "nothing" for side in SIGHT[name])
    return [f"measured to see a little of: {sees}; not to see: {misses} (docs/validity.md)"]


def _worst(metric: Metric) -> str:
    if metric.kind == "set":
        return "black frames"
    if metric.worst != metric.worst:
        return "absent"
    return "the whole duration" if metric.worst == float("inf") else _bound(metric.worst)


def _bound(value: float) -> str:
    return {float("inf"): "inf", float("-inf"): "-inf"}.get(value) or f"{value:.4g}"
