"""A case of one object."""

from __future__ import annotations

import numpy as np
import pytest

from flashbench.cases.schema import Case, ObjectTrack


@pytest.fixture
def case() -> Case:
    boxes = np.tile(np.array([4, 4, 20, 20], np.float32), (40, 1))
    first = np.zeros((48, 64, 3), np.uint8)
    return Case("one", "a red cup goes left.", first, (ObjectTrack("red cup", boxes, np.ones(40, np.bool_)),))
