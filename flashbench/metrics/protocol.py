"""What measures videos, and what measurements are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Case

Video = npt.NDArray[np.uint8]
Arrays = dict[str, npt.NDArray[Any]]


class Extractor(Protocol):
    """Measures videos.

    Attributes:
        name: of its folder, and what the catalogue's `needs` refer to.
        fingerprint: hash of weights + version of preprocessing and protocol: whatever changes a measurement changes it.
    """

    name: str

    @property
    def fingerprint(self) -> str: ...

    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        """Measures a video `[T, H, W, 3]`, given the complete case and its reference video (also `[T, H, W, 3]`)."""
        ...


@runtime_checkable
class Recalls(Protocol):
    """An extractor whose measurements save others work, also where they were made before."""

    def recall(self, video: Video, measured: Mapping[str, npt.NDArray[Any]]) -> None:
        """Is told what it measured of a video that is now before the other extractors."""
        ...
