"""What layouts of bare point tracks have in common: paths of objects, first frames, and the videos beside them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Case
from flashbench.errors import InputError
from flashbench.files.atomic import write_bytes
from flashbench.files.video import probe, read_video
from flashbench.layouts.clips import Clip, ClipObject

VIDEOS = ("videos", "video")
KINDS = (".mp4", ".mkv", ".webm")


class Paths(NamedTuple):
    """xy: float32 `[N, T, 2]` px; visible: bool `[N, T]`."""

    xy: npt.NDArray[np.float32]
    visible: npt.NDArray[np.bool_]


def paths_of(case: Case) -> Paths:
    """The asked path of each object, and where it is visible."""
    return Paths(np.stack([o.path for o in case.objects]), np.stack([o.visible for o in case.objects]))


def one_line(prompt: str) -> str:
    """A prompt for a list of one line a clip."""
    return " ".join(prompt.split())


def video_of(root: Path, clip_id: str) -> tuple[Path, npt.NDArray[np.uint8], float]:
    """The reference video of a clip, which layouts of tracks leave out: `videos/ID.mp4` beside them.

    Raises:
        InputError: there is none.
    """
    for folder in VIDEOS:
        for kind in KINDS:
            path = root / folder / f"{clip_id}{kind}"
            if path.is_file():
                return path, read_video(path), probe(path).fps or 24.0
    what = "has no reference video, which the layout itself does not hold"
    raise InputError(root / VIDEOS[0] / f"{clip_id}.mp4", what, "put the true videos there")


def clip_of(root: Path, clip_id: str, prompt: str, paths: Paths, names: list[str]) -> Clip:
    """A clip with one object a track; tracks and video must be of one length."""
    path, video, fps = video_of(root, clip_id)
    n = len(video)
    if paths.xy.shape[1] < n:
        what = f"has {n} frames, its tracks {paths.xy.shape[1]}"
        raise InputError(path, what, "cut the video, or give longer tracks")
    objects = tuple(
        ClipObject(name, None, None, xy[None, :n].astype(np.float32), seen[None, :n])
        for name, xy, seen in zip(names, paths.xy, paths.visible, strict=True)
    )
    return Clip(clip_id, prompt, video, fps, objects, path)


def write_jpeg(path: Path, frame: npt.NDArray[np.uint8]) -> None:
    """A frame uint8 `[H, W, 3]` RGB as JPEG at quality 95."""
    good, data = cv2.imencode(".jpg", np.ascontiguousarray(frame[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert good
    write_bytes(path, data.tobytes())
