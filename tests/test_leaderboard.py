"""Leaderboards: what may stand together, and files that are the same every time."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flashbench.errors import InputError
from flashbench.leaderboard import check_comparable, write_leaderboard
from flashbench.runs.score import RESULTS_VERSION
from flashbench.runs.scored import read_scored

Make = Callable[..., Path]
METRICS = {"epe_lk": "1" * 16, "fvd_i3d": "2" * 16}


def test_long_csv_markdown_and_cases(tmp_path: Path, scored_run: Make) -> None:
    runs = [scored_run(tmp_path, "walker", 2.5), scored_run(tmp_path, "a|b", 12.34567)]
    paths = write_leaderboard(runs, tmp_path / "boards" / "small.csv", tmp_path / "cache")
    assert [p.name for p in paths] == ["small.csv", "small.md", "small.cases.csv"]
    with open(paths[0], newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert [r["model"] for r in rows[::6]] == ["walker", "a|b"]
    assert rows[5] == {
        "model": "walker", "suite": "small", "metric": "epe_lk", "stratum": "all", "n": "2", "value": "2.5", "lo": "",
        "hi": "", "floor": "0.5", "n_failed": "0", "rank_lo": "1", "rank_hi": "2", "resolvable": "",
    }  # fmt: skip
    text = paths[1].read_text()
    assert "2 cases of 20 frames, 64 x 32 px, 24 frames a second, condition `boxes`, content `aaaaaaaaaaaaaaaa`" in text
    assert "| model | fvd_i3d ↓ | epe_lk ↓ | failed |" in text
    assert "| walker | 250.0 | 2.500 | 0 |" in text
    assert "| a\\|b | 1235 | 12.35 | 0 |" in text
    assert "| *floor* | 50.00 | 0.500 |  |" in text
    assert "definition and networks): epe_lk `1111111111111111`, fvd_i3d `2222222222222222`." in text
    assert "## epe_lk by number of objects" in text
    assert "| walker | `ffffffffffffffff` | 0 | `cccccccccccc` with changes | Some CPU (avx2) |" in text
    with open(paths[2], newline="") as file:
        cases = list(csv.DictReader(file))
    assert [(c["model"], c["case"], c["value"]) for c in cases[1:3]] == [
        ("walker", "2-0", "2.5"),
        ("a|b", "1-0", "12.34567"),
    ]


def test_the_same_runs_give_the_same_bytes(tmp_path: Path, scored_run: Make) -> None:
    runs, cache = [scored_run(tmp_path, "one"), scored_run(tmp_path, "two", 3.0)], tmp_path / "cache"
    first = [p.read_bytes() for p in write_leaderboard(runs, tmp_path / "x.csv", cache)]
    assert [p.read_bytes() for p in write_leaderboard(runs, tmp_path / "x.csv", cache)] == first


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"suite": {"name": "large"}}, "suite name is large, but small in"),
        ({"suite": {"content_sha256": "b" * 64}}, "suite content_sha256 is bbbb"),
        ({"case_ids": ["1-0"]}, "number of cases is 1, but 2 in"),
        (
            {"metrics": {**METRICS, "epe_lk": "9" * 16}},
            "fingerprint of metric epe_lk is 9999999999999999",
        ),
        ({"metrics": {"epe_lk": "1" * 16}}, "fingerprint of metric fvd_i3d is absent, but 2222222222222222 in"),
        (
            {"model": {"name": "two", "fingerprint": "f", "info": {"conformed": 1}}},
            "conforming of answers (--conform) is 1, but no in",
        ),
        ({"not_for_leaderboard": "2 of the suite's 48 cases"}, "not for a leaderboard: 2 of the suite's 48 cases"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    tmp_path: Path, scored_run: Make, changes: dict[str, Any], said: str
) -> None:
    runs = [scored_run(tmp_path, "one"), scored_run(tmp_path, "two", **changes)]
    with pytest.raises(InputError) as caught:
        write_leaderboard(runs, tmp_path / "x.csv")
    assert said in str(caught.value)
    assert str(runs[1]) in str(caught.value)
    assert not (tmp_path / "x.csv").exists()


def test_one_model_twice_is_refused(tmp_path: Path, scored_run: Make) -> None:
    runs = [read_scored(scored_run(tmp_path / folder, "one")) for folder in ("a", "b")]
    with pytest.raises(InputError, match="model 'one' is also that of"):
        check_comparable(runs)
    with pytest.raises(InputError, match="no run was given"):
        check_comparable([])


def test_a_run_without_results_or_with_damaged_ones_is_named(tmp_path: Path, scored_run: Make) -> None:
    with pytest.raises(InputError, match="has no results.json; run `flashbench score"):
        read_scored(tmp_path)
    run = scored_run(tmp_path, "one")
    held = json.loads((run / "results.json").read_text())
    for broken in (
        [],
        {"version": 0},
        {**held, "rows": [{"model": "one"}]},
        {**held, "rows": None},
        {"version": RESULTS_VERSION},
    ):
        (run / "results.json").write_text(json.dumps(broken))
        with pytest.raises(InputError, match="results.json: .*again"):
            read_scored(run)
    (run / "results.json").write_text(json.dumps(held))
    whole = (run / "cases.csv").read_text()
    for text in ("", "a,b\n1,2\n", whole + "x\n"):
        (run / "cases.csv").write_text(text)
        with pytest.raises(InputError, match="cases.csv"):
            read_scored(run)
    (run / "cases.csv").unlink()
    with pytest.raises(InputError, match="cases.csv"):
        read_scored(run)


FIELDS = [
    "not_for_leaderboard", "environment", "environment.code", "environment.code.dirty", "environment.cpu.model",
    "environment.flashbench", "failures", "suite.name", "suite.size", "suite.fps", "suite.condition", "seed",
    "model.name", "model.info", "metrics", "case_ids", "rows",
]  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_of_results_that_is_read_is_checked(tmp_path: Path, scored_run: Make, name: str) -> None:
    run = scored_run(tmp_path, "one")
    whole = (run / "results.json").read_text()
    for spoil in (lambda held, key: held.pop(key), lambda held, key: held.update({key: [None]})):
        facts = json.loads(whole)
        held = facts
        *above, key = name.split(".")
        for part in above:
            held = held[part]
        spoil(held, key)
        (run / "results.json").write_text(json.dumps(facts))
        with pytest.raises(InputError, match=rf"results.json: field {name}(\[0\])? .*; run `flashbench score .* again"):
            write_leaderboard([run], tmp_path / "x.csv", tmp_path / "cache")
    assert not (tmp_path / "x.csv").exists()


def test_a_row_with_a_text_for_a_number_is_named(tmp_path: Path, scored_run: Make) -> None:
    run = scored_run(tmp_path, "one")
    facts = json.loads((run / "results.json").read_text())
    facts["rows"][3]["value"] = "2.5"
    (run / "results.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match=r"results.json: field rows\[3\]\.value is missing or wrong"):
        read_scored(run)


@pytest.mark.parametrize("column", ["value", "floor"])
def test_a_cell_that_is_no_number_is_named(tmp_path: Path, scored_run: Make, column: str) -> None:
    run = scored_run(tmp_path, "one")
    with open(run / "cases.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    rows[1][column] = "much"
    with open(run / "cases.csv", "w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    with pytest.raises(InputError, match=rf"cases.csv: line 3: field {column} is 'much'; run"):
        read_scored(run)


def test_the_output_must_be_a_csv(tmp_path: Path, scored_run: Make) -> None:
    with pytest.raises(InputError, match="does not end with .csv"):
        write_leaderboard([scored_run(tmp_path, "one")], tmp_path / "board.md")


def test_ranks_stand_in_the_csv_and_the_page(tmp_path: Path, scored_run: Make) -> None:
    good = [1.0 + 0.1 * k for k in range(12)]
    runs = [
        scored_run(tmp_path, "bad", [v + 5 + 0.01 * k for k, v in enumerate(good)], shift=3.0),
        scored_run(tmp_path, "good", good),
        scored_run(tmp_path, "same", [v + 0.3 * (-1) ** (k // 2) for k, v in enumerate(good)]),
    ]
    paths = write_leaderboard(runs, tmp_path / "x.csv", tmp_path / "cache")
    with open(paths[0], newline="") as file:
        whole = {(r["model"], r["metric"]): r for r in csv.DictReader(file) if r["stratum"] == "all"}
    spans = {m: (whole[m, "epe_lk"]["rank_lo"], whole[m, "epe_lk"]["rank_hi"]) for m in ("bad", "good", "same")}
    assert spans == {"bad": ("3", "3"), "good": ("1", "2"), "same": ("1", "2")}
    assert (whole["bad", "fvd_i3d"]["rank_lo"], whole["bad", "fvd_i3d"]["rank_hi"]) == ("3", "3")
    assert 0 < float(whole["bad", "epe_lk"]["resolvable"]) < 5
    assert "| epe_lk ↓ | 3 | 1-2 | 1-2 |" in paths[1].read_text()


def test_one_run_has_no_ranks(tmp_path: Path, scored_run: Make) -> None:
    paths = write_leaderboard([scored_run(tmp_path, "one")], tmp_path / "x.csv", tmp_path / "cache")
    assert "## Ranks" not in paths[1].read_text() and ",,,\n" in paths[0].read_text()
