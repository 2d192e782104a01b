"""`scripts/results.py`: signs that are there are shown, others are not, and what is not scored claims nothing."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from flashbench.runs.scored import Scored, read_scored
from flashbench.statistics.paired import Difference

SCRIPT = Path(__file__).parents[1] / "scripts" / "results.py"
Make = Callable[..., Path]
COLUMNS = ("fvd_i3d", "miou_lk")


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("results", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "results", module)
    spec.loader.exec_module(module)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("flashbench.comparison.default_cache", lambda: tmp_path / "cache")
    return module


def made(scored_run: Make, root: Path, name: str, overlap: float, shift: float = 0.2, seed: int = 0) -> Scored:
    """12 cases of an overlap, with a spread of their own, and features so far from the references'."""
    values = np.clip(overlap + 0.03 * np.random.default_rng(seed).standard_normal(12), 0, 1)
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    folder = scored_run((root / name).parent, Path(name).name, [2.5] * 12, shift, {"miou_lk": list(values)})
    return read_scored(folder)


def test_methods_and_variants_are_what_the_queue_makes(results: ModuleType, root: Path) -> None:
    spec = importlib.util.spec_from_file_location("train_queue", root / "scripts" / "train_queue.py")
    assert spec is not None and spec.loader is not None
    queue = importlib.util.module_from_spec(spec)
    sys.modules["train_queue"] = queue
    spec.loader.exec_module(queue)
    known = {f"queue/{e.name}" for e in queue.experiments()}
    asked = {f for a in ("controlnet", "resnet") for fs in results.methods(a).values() for f in fs}
    asked |= {f for _, f in results.VARIANTS}
    main = {"flashmotion-4step", "plugged-4step", "slow-50step"}
    assert {f for f in asked if not f.startswith("queue/")} == main and asked - main == known
    for adapter in ("controlnet", "resnet"):
        assert {n for c in results.CLAIMS for n in (c.first, c.second)} == set(results.methods(adapter))


def test_a_method_is_the_mean_of_its_seeds(results: ModuleType, scored_run: Make, tmp_path: Path) -> None:
    ours = [made(scored_run, tmp_path, f"a-{k}", 0.6 + 0.1 * k, 0.1 + 0.2 * k, seed=k) for k in range(3)]
    other = [made(scored_run, tmp_path, "b", 0.5, 0.9, seed=9)]
    d, by_seed = results.apart(ours, other, "miou_lk")
    means = [np.mean([float(c[5]) for c in run.cases if c[4] == "miou_lk"]) for run in (*ours, *other)]
    assert by_seed == pytest.approx([m - means[3] for m in means[:3]])
    assert d.value == pytest.approx(np.mean(by_seed)) and d.n == 12 and d.lo > 0
    d, by_seed = results.apart(ours, other, "fvd_i3d")
    assert d.value == pytest.approx(np.mean(by_seed)) and d.value < 0 and len(by_seed) == 3
    single, alone = results.apart(ours[:1], other, "fvd_i3d")
    assert single.value == pytest.approx(by_seed[0]) == alone[0]
    assert results.apart(ours[:2], ours, "miou_lk")[1] == []  # two seeds and three: nothing belongs together


@pytest.mark.parametrize(
    ("sign", "span", "says"),
    [
        ("+", (0.1, 0.3), "shown"),
        ("-", (0.1, 0.3), "**the opposite**"),
        ("-", (-0.3, -0.1), "shown"),
        ("+", (-0.1, 0.3), "not decided"),
        ("0", (-0.1, 0.3), "as claimed: not told apart"),
        ("0", (0.1, 0.3), "differs (+)"),
    ],
)
def test_verdicts(results: ModuleType, sign: str, span: tuple[float, float], says: str) -> None:
    assert results.verdict(sign, Difference(12, sum(span) / 2, *span)) == says


def test_why_there_is_no_verdict(results: ModuleType) -> None:
    assert results.verdict("+", Difference(3, 0.2, why="fewer than 8 cases")) == "fewer than 8 cases"


def table(lines: Sequence[str]) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")][2:]


def test_signs(results: ModuleType, scored_run: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "CLAIMS", tuple(
        results.Claim(c.words, c.first, c.second, {m: s for m, s in c.signs.items() if m in COLUMNS})
        for c in results.CLAIMS
    ))  # fmt: skip
    runs = tmp_path / "runs"
    made(scored_run, runs, "flashmotion-4step", 0.8)
    made(scored_run, runs, "plugged-4step", 0.5, shift=1.5, seed=1)
    made(scored_run, runs, "queue/gan-only", 0.4, seed=2)
    found = table(lines := results.signs(runs, "controlnet"))
    rows = {(row[0][:5].split()[0], row[1]): row for row in found}
    assert rows["(i)", "fvd_i3d"][-1] == rows["(i)", "miou_lk"][-1] == "shown"
    assert rows["(iii)", "miou_lk"][2] == "-" and rows["(iii)", "miou_lk"][-1] == "shown"
    assert len(found) == 4 and all(row[4] == "12" for row in found)
    assert "(ii)" in lines[-1] and "(diffusion-only)" in lines[-1] and "(fixed-lambda, diffusion-only)" in lines[-1]
    nothing = results.signs(runs, "resnet")
    assert table(nothing) == [] and nothing[-1].startswith("Not scored yet: (i)")


def test_variants_and_costs(
    results: ModuleType, scored_run: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "COLUMNS", COLUMNS)
    monkeypatch.setattr(results, "MORE", ("epe_lk",))
    runs = tmp_path / "runs"
    assert "lambda rises" in results.variants(runs)[-1]  # without the target nothing is compared
    made(scored_run, runs, "flashmotion-4step", 0.8)
    made(scored_run, runs, "queue/lambda-rising", 0.6, seed=1)
    lines = results.variants(runs)
    ((words, _, overlap, _),) = table(lines)
    assert (
        words == "lambda rises"
        and float(overlap.split()[0]) == pytest.approx(-0.2, abs=0.03)
        and "lambda = 0.225" in lines[-1]
    )
    run = results.read(runs, "flashmotion-4step")
    run.facts["model"]["info"]["weights"] = {
        "codec": {"command": "train codec", "steps": 1, "seconds": 1},
        "fast-adapter": {"command": "train fast-adapter", "steps": 400, "seconds": 90},
    }
    monkeypatch.setattr(results, "read", lambda folder, name: run if name == "flashmotion-4step" else None)
    assert table(results.costs(runs)) == [["flashmotion", "fast-adapter", "400", "90", "train fast-adapter"]]


def test_the_page_has_room_for_every_table(
    results: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "results.md"
    page.write_text(results.PAGE.read_text())
    monkeypatch.setattr(results, "PAGE", page)
    assert results.main.callback(tmp_path / "no-runs") is None
    assert page.read_text().count("Not scored yet") == 3
