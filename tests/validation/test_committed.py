"""What docs/validity.md, as it is committed, shows of the overall order."""

from __future__ import annotations

from pathlib import Path

import pytest

from flashbench.models.corrupted import CHEATS
from flashbench.validation.study import CONTROLS

NO_MODELS = {*CHEATS, "static", "shuffled"}


@pytest.fixture(scope="module")
def ranks(root: Path) -> dict[str, tuple[int, int]]:
    """Model -> the ranks that it may have."""
    lines = iter((root / "docs" / "validity.md").read_text(encoding="utf-8").splitlines())
    header = next(line for line in lines if line.startswith("| model | overall"))
    at, found = header.split(" | ").index("rank"), {}
    next(lines)
    for line in lines:
        if not line.startswith("| "):
            break
        cells = line.strip("| ").split(" | ")
        low, _, high = cells[at].partition("-")
        found[cells[0]] = int(low), int(high or low)
    return found


def test_no_cheat_stands_above_a_model(ranks: dict[str, tuple[int, int]]) -> None:
    models = set(ranks) - NO_MODELS - set(CONTROLS)
    assert set(ranks) > NO_MODELS and len(models) >= 4
    worst = max(ranks[m][1] for m in models)
    assert all(ranks[cheat][0] > worst for cheat in NO_MODELS)
    assert ranks["reference"] == (1, 1)
