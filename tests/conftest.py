"""What all tests share: two cores, no model hub, no window, the same examples every time."""

from __future__ import annotations

import os

# Before anything imports them.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MPLBACKEND", "Agg")

from collections.abc import Callable, Mapping, Sequence
from math import nan as NAN
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

from flashbench.files.atomic import write_npz
from flashbench.runs.results import CaseScore, Row, write_results
from flashbench.runs.score import RESULTS_VERSION

hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=50, database=None)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that starts at the same place in every test."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of values with a provenance."""
    return Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return Path(__file__).parent.parent


ENVIRONMENT = {
    "flashbench": "0.1.0",
    "cpu": {"model": "Some CPU", "flags": "avx2", "cores": 2},
    "code": {"commit": "c" * 40, "dirty": True},
}


@pytest.fixture
def scored_run(tmp_path: Path) -> Callable[..., Path]:
    """`scored_run(folder, model, epe, shift=0.0, more={}, **changes)`: a scored run of made-up values and features.

    epe: value of each case (a number: 2 cases of that value); shift: of its i3d features against the references'; more:
    metric -> value of each case, over a floor of 0.8; changes: of results.json. References lie in `tmp_path / "cache"`.
    """

    def features(path: Path, seed: int, shift: float) -> None:
        rows = np.random.default_rng(seed).normal(shift, 1, (3, 6)).astype(np.float32)
        write_npz(path, features=rows, key=np.array(path.stem))

    def make(
        folder: Path,
        model: str,
        /,
        epe: float | Sequence[float] = 2.5,
        shift: float = 0.0,
        more: Mapping[str, Sequence[float]] | None = None,
        **changes: Any,
    ) -> Path:
        more = more or {}
        values = [epe, epe] if isinstance(epe, float | int) else list(epe)
        ids = [f"{1 + k % 2}-{k // 2}" for k in range(len(values))]
        run = folder / model
        measured = {}
        for k, i in enumerate(ids):
            measured[i] = {"i3d": [f"{model}-{i}".replace("|", "-"), f"reference-{i}"]}
            features(run / "measurements" / "i3d" / f"{measured[i]['i3d'][0]}.npz", 100 + k, shift)
            features(tmp_path / "cache" / "i3d" / f"reference-{i}.npz", k, 0.0)
        mean = float(np.mean(values))
        rows = [
            Row(model, "small", metric, stratum, n, value, NAN, NAN, floor, 0)
            for metric, n, value, floor in (
                ("fvd_i3d", 3 * len(ids), 100 * mean, 50.0),
                ("epe_lk", len(ids), mean, 0.5),
                *((name, len(ids), float(np.mean(of)), 0.8) for name, of in more.items()),
            )
            for stratum in ("1", "2", "all")
        ]
        cases = [
            CaseScore(i, i[0], False, own, {**dict.fromkeys(own, 0.8), "epe_lk": 0.5}, {}, {})
            for i, own in (
                (i, {"epe_lk": values[k], **{name: of[k] for name, of in more.items()}}) for k, i in enumerate(ids)
            )
        ]
        suite = {
            "name": "small", "content_sha256": "a" * 64, "seed": 0, "size": [32, 64], "frames": 20, "fps": 24.0,
            "condition": "boxes", "cases": len(ids),
        }  # fmt: skip
        facts: dict[str, Any] = {
            "version": RESULTS_VERSION,
            "model": {"name": model, "fingerprint": "f" * 64, "info": {}},
            "suite": suite,
            "seed": 0,
            "cases": len(ids),
            "case_ids": ids,
            "failures": {},
            "not_for_leaderboard": None,
            "metrics": {"epe_lk": "1" * 16, "fvd_i3d": "2" * 16},
            "measured": measured,
            "extractors": {},
            "environment": ENVIRONMENT,
        }
        facts["suite"] = {**suite, **changes.pop("suite", {})}
        facts["metrics"] = changes.pop("metrics", facts["metrics"])
        write_results(run, rows, cases, {**facts, **changes})
        return run

    return make
