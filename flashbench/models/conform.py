"""Answers of another length, frame rate or size, brought to what was asked: never unasked, and always said.

Protocol 1. Time: frame k is the answer's frame that is nearest to k / fps seconds, so that every frame is one that the
model made. Space: cropped in the middle to the asked shape, then scaled (area averages downward, bilinear upward).
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Case
from flashbench.errors import InputError
from flashbench.files.fit import Fit
from flashbench.models.folder import FolderModel
from flashbench.models.protocol import VideoModel

Video = npt.NDArray[np.uint8]
PROTOCOL = 1


def conform(video: Video, fps: float, case: Case, where: object) -> Video:
    """A video `[T', H', W', 3]` at `fps` frames a second in the form that `case` asks, uint8 `[T, H, W, 3]`.

    Raises:
        InputError: it ends more than half a frame of its own before the asked one does.
    """
    times = np.arange(case.frames) / case.fps * fps
    if times[-1] > len(video) - 0.5 + 1e-6:
        lasts, asked = len(video) / fps, case.frames / case.fps
        raise InputError(where, f"lasts {lasts:.2f} s, {asked:.2f} s are asked", "make a longer video")
    picked = np.minimum(np.floor(times + 0.5).astype(int), len(video) - 1)
    return Fit.of(video.shape[1:3], case.size).planes(video[picked])


class Conformed:
    """A model whose answers are conformed. Its frame rate is its videos' own, or `info["fps"]`, or the asked one."""

    def __init__(self, model: VideoModel) -> None:
        self.model, self.name = model, model.name
        self.fingerprint = hashlib.sha256(f"conform {PROTOCOL} {model.fingerprint}".encode()).hexdigest()
        self.info: dict[str, Any] = {**model.info, "conformed": PROTOCOL}

    def generate(self, case: Case, seed: int) -> Video:
        """See VideoModel.generate."""
        where = f"model {self.name!r}, case {case.id!r}"
        if isinstance(self.model, FolderModel):
            path, video, fps = self.model.read(case)
            return conform(video, fps or case.fps, case, path)
        video = self.model.generate(case, seed)
        if not isinstance(video, np.ndarray) or video.dtype != np.uint8 or video.ndim != 4 or video.shape[3] != 3:
            return video  # for checked_video to refuse
        return conform(video, float(self.info.get("fps", case.fps)), case, where)
