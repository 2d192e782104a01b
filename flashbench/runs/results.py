"""From per-case scores to rows by stratum, and the files that hold them."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan as NAN
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import STRATA
from flashbench.files.atomic import replacing, write_json, write_text
from flashbench.metrics.catalogue import Metric
from flashbench.metrics.values import SET_METRICS
from flashbench.statistics.paired import LEAST, mean_interval

Features = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Row:
    """One line of results.csv: a metric's value over a stratum (`all`: over every case).

    Attributes:
        n: what the value is taken over: cases, or for set metrics windows or frames (see the catalogue).
        value: mean over cases, or the set metric; lo, hi: its 95 % interval; floor: the same metric on the reference
            videos. NaN where there is none (an empty field in the file).
        n_failed: cases without an answer, which count as worst.
    """

    model: str
    suite: str
    metric: str
    stratum: str
    n: int
    value: float
    lo: float
    hi: float
    floor: float
    n_failed: int


COLUMNS = tuple(f.name for f in dataclasses.fields(Row))
CASE_COLUMNS = ("model", "suite", "case", "stratum", "metric", "value", "floor", "failed")


@dataclass(frozen=True)
class CaseScore:
    """What is left of a case after measuring: numbers and the features of the set metrics.

    Attributes:
        values, floors: per-case metrics of the answer and of the reference video, NaN where undefined.
        features, reference: extractor -> rows of features `[F, D]`, in a fixed order of positions in the video; arrays,
            or what NumPy reads from a file.
        keys: extractor -> names of the measurement files that the two come from.
    """

    case_id: str
    stratum: str
    failed: bool
    values: Mapping[str, float]
    floors: Mapping[str, float]
    features: Features
    reference: Features
    keys: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict)


def summarise(model: str, suite: str, scores: Sequence[CaseScore], metrics: Iterable[Metric]) -> list[Row]:
    """Rows of every metric, strata in order and then `all`. A metric that no case defines has no row."""
    strata = [s for s in STRATA if any(c.stratum == s for c in scores)]
    rows = []
    for metric in metrics:
        for stratum in [*strata, "all"]:
            members = [c for c in scores if stratum in (c.stratum, "all")]
            summary = _set_summary if metric.kind == "set" else _case_summary
            n, value, lo, hi, floor = summary(metric, members)
            if n:
                failed = sum(c.failed for c in members)
                rows.append(Row(model, suite, metric.name, stratum, n, value, lo, hi, floor, failed))
    return rows


def _case_summary(metric: Metric, members: Sequence[CaseScore]) -> tuple[int, float, float, float, float]:
    values = np.array([c.values.get(metric.name, NAN) for c in members])
    floors = np.array([c.floors.get(metric.name, NAN) for c in members])
    values, floors = values[np.isfinite(values)], floors[np.isfinite(floors)]
    if not len(values):
        return 0, NAN, NAN, NAN, NAN
    floor = float(floors.mean()) if len(floors) else NAN
    lo, hi = mean_interval(values) if len(values) >= LEAST else (NAN, NAN)
    lo, hi = max(lo, metric.low), min(hi, metric.high)  # where a mean cannot lie; NaN stays
    return len(values), float(values.mean()), lo, hi, floor


def _set_summary(metric: Metric, members: Sequence[CaseScore]) -> tuple[int, float, float, float, float]:
    (extractor,) = metric.needs
    ours = [c.features[extractor] for c in members]
    theirs = [c.reference[extractor] for c in members]
    n = sum(len(f) for f in ours)
    distance = SET_METRICS[metric.name]
    # No interval: a Frechet distance is biased by far more than its spread, and none would cover its limit.
    return n, distance.paired(ours, theirs), NAN, NAN, distance.floor(theirs)


def write_results(folder: Path, rows: Sequence[Row], scores: Sequence[CaseScore], facts: Mapping[str, Any]) -> None:
    """results.csv, cases.csv, cases.parquet and, last, results.json, which says that the others are complete."""
    first = rows[0] if rows else Row("", "", "", "", 0, NAN, NAN, NAN, NAN, 0)
    lines = list(case_lines(first.model, first.suite, scores))
    write_text(folder / "results.csv", csv_text(COLUMNS, (dataclasses.astuple(row) for row in rows)))
    write_text(folder / "cases.csv", csv_text(CASE_COLUMNS, lines))
    _write_parquet(folder / "cases.parquet", lines)
    held = [{k: None if v != v else v for k, v in dataclasses.asdict(row).items()} for row in rows]
    write_json(folder / "results.json", {**facts, "rows": held})


def case_lines(model: str, suite: str, scores: Sequence[CaseScore]) -> Iterable[tuple[Any, ...]]:
    """Lines of cases.csv: one a case and per-case metric, in the order of the cases."""
    for c in scores:
        for metric, value in c.values.items():
            floor = c.floors.get(metric, NAN)
            if math.isfinite(value) or math.isfinite(floor):
                yield model, suite, c.case_id, c.stratum, metric, value, floor, int(c.failed)


def csv_text(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    """CSV with a header. Numbers in their shortest exact form; NaN is an empty field."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for line in lines:
        writer.writerow(["" if v is None or v != v else repr(float(v)) if isinstance(v, float) else v for v in line])
    return out.getvalue()


def _write_parquet(path: Path, lines: Sequence[tuple[Any, ...]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    kinds = [pa.string()] * 5 + [pa.float64()] * 2 + [pa.int8()]
    columns = zip(*lines, strict=True) if lines else [()] * len(kinds)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    with replacing(path) as temp:
        parquet.write_table(pa.table(arrays, names=list(CASE_COLUMNS)), temp)
