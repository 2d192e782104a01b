"""Rows and files of results."""

from __future__ import annotations

import csv
import json
import math
from math import nan as NAN
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from flashbench.metrics.catalogue import METRICS
from flashbench.runs.results import (
    CASE_COLUMNS,
    COLUMNS,
    CaseScore,
    Row,
    csv_text,
    summarise,
    write_results,
)
from flashbench.runs.table import short
from flashbench.statistics.paired import mean_interval


def case(i: int, stratum: str, value: float, failed: bool = False) -> CaseScore:
    features = {"i3d": np.full((3, 2), float(i)) + np.arange(3)[:, None]}
    return CaseScore(f"c{i}", stratum, failed, {"epe_lk": value}, {"epe_lk": value / 2}, features, features)


def test_strata_come_in_order_and_all_is_the_mean_over_videos() -> None:
    scores = [case(0, "6+", 4.0), case(1, "1", 1.0), case(2, "1", 3.0), case(3, "2", NAN)]
    rows = summarise("m", "s", scores, [METRICS["epe_lk"]])
    assert [(r.stratum, r.n, r.value, r.floor) for r in rows] == [
        ("1", 2, 2.0, 1.0),
        ("6+", 1, 4.0, 2.0),
        ("all", 3, pytest.approx(8 / 3), pytest.approx(4 / 3)),
    ]


def test_set_metrics_count_rows_of_features_and_have_no_interval() -> None:
    scores = [case(i, "1", 1.0) for i in range(8)]
    _, whole = summarise("m", "s", scores, [METRICS["fvd_i3d"]])
    assert (whole.n, whole.value) == (24, pytest.approx(0, abs=1e-12))
    assert math.isnan(whole.lo) and math.isnan(whole.hi)
    assert whole.floor > 0


def test_the_interval_is_of_the_mean_over_cases_and_needs_eight(rng: np.random.Generator) -> None:
    values = rng.lognormal(1, 1, 8)
    scores = [case(i, "1", v) for i, v in enumerate(values)]
    whole = summarise("m", "s", scores, [METRICS["epe_lk"]])[-1]
    assert (whole.lo, whole.hi) == mean_interval(values)
    few = summarise("m", "s", scores[:7], [METRICS["epe_lk"]])[-1]
    assert math.isnan(few.lo) and math.isnan(few.hi)


def test_the_interval_stays_in_the_metrics_range() -> None:
    values = np.eye(8)[0] * 0.1
    assert mean_interval(values)[0] < METRICS["epe_lk"].low == 0
    whole = summarise("m", "s", [case(i, "1", v) for i, v in enumerate(values)], [METRICS["epe_lk"]])[-1]
    assert (whole.lo, whole.hi) == (0, mean_interval(values)[1])


@pytest.mark.parametrize(
    ("value", "text"),
    [(NAN, ""), (0, "0.000"), (-4e-12, "0.000"), (3e-4, "3e-04"), (1.23456, "1.235"), (23.456, "23.46"),
     (123.456, "123.5"), (-1234.5, "-1234"), (2.5e7, "2e+07")],
)  # fmt: skip
def test_numbers_are_short(value: float, text: str) -> None:
    assert short(value) == text


def test_csv_keeps_numbers_exactly_and_leaves_nan_empty() -> None:
    text = csv_text(("a", "b", "c"), [(0.1 + 0.2, NAN, "x,y"), (1, None, "")])
    assert text == 'a,b,c\n0.30000000000000004,,"x,y"\n1,,\n'


def test_files_hold_the_same(tmp_path: Path) -> None:
    scores = [case(0, "1", 1.5), case(1, "2", 362.0, failed=True), case(2, "1", NAN)]
    rows = [Row("m", "s", "epe_lk", "all", 2, 181.75, NAN, NAN, 90.0, 1)]
    write_results(tmp_path, rows, scores, {"version": 1})
    with open(tmp_path / "results.csv", newline="") as file:
        header, line = list(csv.reader(file))
    assert ",".join(header) == "model,suite,metric,stratum,n,value,lo,hi,floor,n_failed" == ",".join(COLUMNS)
    assert line == ["m", "s", "epe_lk", "all", "2", "181.75", "", "", "90.0", "1"]
    with open(tmp_path / "cases.csv", newline="") as file:
        header, *lines = list(csv.reader(file))
    assert tuple(header) == CASE_COLUMNS
    assert lines == [
        ["m", "s", "c0", "1", "epe_lk", "1.5", "0.75", "0"],
        ["m", "s", "c1", "2", "epe_lk", "362.0", "181.0", "1"],
    ]
    table = parquet.read_table(tmp_path / "cases.parquet").to_pylist()
    assert [[str(v) for v in row.values()] for row in table] == lines
    held = json.loads((tmp_path / "results.json").read_text())
    assert held["version"] == 1
    assert held["rows"][0]["lo"] is None
