"""The tracker `lk`: OpenCV's pyramidal Lucas-Kanade, held to frame 0 by template alignment. Needs no weights.

It sees frames whose longer side is brought to 256 px (bicubic for small videos), several points an object with a
forward-backward check, and per object a robust similarity, with a little stretch, that carries the frame-0 mask through
the video. `follow` tells how. It is told nothing later than frame 0.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from flashbench.cases.schema import Case
from flashbench.tracking.ends import first_frame, first_masks, tracks_of
from flashbench.tracking.follow import Follower, Settings
from flashbench.tracking.gaps import fill
from flashbench.tracking.protocol import ObjectTracks, Video
from flashbench.tracking.views import Views

VERSION = 3


class LKTracker:
    """Follows the objects of a case from their frame-0 masks.

    Args:
        settings: parameters; the defaults are what `lk` means in a metric's name.
    """

    name = "lk"

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    @property
    def fingerprint(self) -> str:
        """Hash of version, parameters and OpenCV's version."""
        facts = {"name": self.name, "version": VERSION, "opencv": cv2.__version__, **dataclasses.asdict(self.settings)}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def track(self, video: Video, case: Case) -> ObjectTracks:
        """Finds the objects of `case` again in `video`, uint8 `[T, H, W, 3]` RGB of the case's frame size.

        Reads of the case only what is known on frame 0: masks (or boxes), centres, points.

        Raises:
            ValueError: a video of another kind or frame size.
        """
        if video.dtype != np.uint8 or video.ndim != 4 or video.shape[1:] != (*case.size, 3) or not len(video):
            height, width = case.size
            raise ValueError(f"video is {video.dtype} {video.shape}, expected uint8 [T, {height}, {width}, 3]")
        with _one_thread():
            masks = first_masks(case)
            views = Views(video, masks, self.settings.scale, self.settings.match)
            start = first_frame(case, masks, views)
            follower = Follower(self.settings, views, start.soft, views.enlarged(start.points))
            states, front = follower.run()
            fill(follower, states, front)
            return tracks_of(follower, states, front, start)


@contextmanager
def _one_thread() -> Iterator[None]:
    """OpenCV on one thread: videos are spread over processes, and its sums do not depend on the machine's cores."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
