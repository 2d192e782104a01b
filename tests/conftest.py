"""What all tests share: two cores, no model hub, no window, the same examples every time."""

from __future__ import annotations

import os

# Before anything imports them.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MPLBACKEND", "Agg")

from pathlib import Path

import hypothesis
import numpy as np
import pytest

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
