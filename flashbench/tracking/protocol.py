"""What trackers are told and what they give back.

A tracker is told frame 0 and nothing later: masks or points on frame 0, never the asked path. One that used the path
as a prior would find objects where they should be, and flatter the model.

Conventions: `(x, y)` px of the video, pixel centres at integers; boxes `(x0, y0, x1, y1)` continuous; frame axis after
the object or point axis.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from flashbench.bits import Bits
from flashbench.cases.schema import Case

Video = npt.NDArray[np.uint8]


class PointTracks(NamedTuple):
    """Tracked points: `points` float32 `[N, T, 2]` px and `visible` bool `[N, T]`. On frame 0 they are the queries."""

    points: npt.NDArray[np.float32]
    visible: npt.NDArray[np.bool_]


class RegionTracks(NamedTuple):
    """Tracked regions: modal `masks` bool `[N, T, H, W]`, empty where a region is not seen."""

    masks: npt.NDArray[np.bool_]


class ObjectTracks(NamedTuple):
    """N objects with P points each, on T frames.

    Attributes:
        centres: float32 `[N, T, 2]` px. Where the object is not found: where it was last, or is guessed to be.
        visible: bool `[N, T]`: found on that frame.
        masks: bool `[N, T, H, W]` modal masks, empty where the object is not found; held as bits.
        boxes: float32 `[N, T, 4]` px: tight boxes of the whole objects, hidden parts included.
        points: float32 `[N, P, T, 2]` px.
        point_visible: bool `[N, P, T]`.
    """

    centres: npt.NDArray[np.float32]
    visible: npt.NDArray[np.bool_]
    masks: Bits
    boxes: npt.NDArray[np.float32]
    points: npt.NDArray[np.float32]
    point_visible: npt.NDArray[np.bool_]


@runtime_checkable
class PointTracker(Protocol):
    """Follows single points, as CoTracker3 and TAPNext do.

    Attributes:
        name: what metrics carry as suffix, such as `cotracker3`.
        fingerprint: hash of weights, parameters and versions: what changes a number changes it.
    """

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    def track_points(self, video: Video, queries: npt.NDArray[np.float32]) -> PointTracks:
        """Follows points of frame 0. `video` uint8 `[T, H, W, 3]` RGB; `queries` float32 `[N, 2]` px."""
        ...


@runtime_checkable
class RegionTracker(Protocol):
    """Follows regions given as masks, as SAM2 does. Attributes as for PointTracker."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    def track_regions(self, video: Video, masks: npt.NDArray[np.bool_]) -> RegionTracks:
        """Follows regions of frame 0. `video` uint8 `[T, H, W, 3]` RGB; `masks` bool `[N, H, W]`, may be empty."""
        ...


@runtime_checkable
class ObjectTracker(Protocol):
    """Follows the objects of a case with all that the trajectory metrics need. Attributes as for PointTracker."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    def track(self, video: Video, case: Case) -> ObjectTracks:
        """Finds the case's objects again. Reads of `case` only frame 0: masks, centres, points."""
        ...
