"""A small suite for all models."""

from __future__ import annotations

import pytest

from flashbench.cases.scenes import sprites_suite
from flashbench.cases.schema import Suite


@pytest.fixture(scope="session")
def suite() -> Suite:
    """Twelve cases, two a stratum, of 13 frames of 48x48."""
    return sprites_suite(12, 48, 13)
