"""TAP-Vid pickles: {clip: {`video` uint8 [T, H, W, 3], `points` [N, T, 2] as (x, y) in 0..1, `occluded` [N, T]}}.

Documented (tapnet): the fields, a dict by clip (DAVIS) or a list (Kinetics, RoboTAP). Videos of JPEG bytes, as some
shards have them, are decoded. Supposed: 24 frames a second, and one object a clip that all points belong to, since
TAP-Vid does not say which point is on which object. A pickle can run code: only NumPy arrays, bytes and plain
containers are let through.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Suite
from flashbench.errors import InputError
from flashbench.files.atomic import write_bytes
from flashbench.layouts.clips import Clip, ClipObject, Source

FPS = 24.0
ALLOWED = {
    ("numpy", "ndarray"), ("numpy", "dtype"), ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"), ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"), ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"), ("_codecs", "encode"),
}  # fmt: skip


class _Plain(pickle.Unpickler):
    """Refuses every global but NumPy's own reconstruction."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"names {module}.{name}, which may run code")
        if (module, name) == ("_codecs", "encode"):  # how Python 2 wrote bytes
            return _encode
        return super().find_class(module, name)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin1" if encoding != "latin1" else encoding)


def load_plain(path: Path) -> Any:
    """A pickle of arrays and containers.

    Raises:
        InputError: anything else is in it, or it is damaged.
    """
    try:
        return _Plain(io.BytesIO(path.read_bytes())).load()
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "give a TAP-Vid pickle") from error
    except Exception as error:  # a damaged pickle raises nearly anything
        raise InputError(path, f"is no pickle of arrays ({error})", "give a TAP-Vid pickle") from error


def read(path: Path) -> Source:
    """The clips of one pickle.

    Raises:
        InputError: see `load_plain`; no dict or list of clips.
    """
    held = load_plain(path)
    clips = (
        held
        if isinstance(held, dict)
        else {f"{k:05d}": c for k, c in enumerate(held if isinstance(held, list) else [])}
    )
    if not clips or not all(isinstance(c, dict) for c in clips.values()):
        raise InputError(path, "holds no clips", "give a dict or a list of {video, points, occluded}")
    ids = {str(k): c for k, c in clips.items()}
    return Source(path.stem, tuple(ids), lambda i: _clip(path, i, ids[i]))


def _clip(path: Path, clip_id: str, held: dict[str, Any]) -> Clip:
    where = f"{path} ({clip_id})"
    try:
        video = _video(held["video"])
        points, occluded = np.asarray(held["points"], np.float64), np.asarray(held["occluded"], np.bool_)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(where, f"lacks video, points or occluded ({error})", "give TAP-Vid's fields") from error
    if (
        video.dtype != np.uint8
        or video.ndim != 4
        or points.shape != (*occluded.shape, 2)
        or occluded.shape[1:] != (len(video),)
    ):
        what = f"video {video.shape}, points {points.shape}, occluded {occluded.shape} do not fit"
        raise InputError(where, what, "give [T, H, W, 3], [N, T, 2], [N, T]")
    if not np.isfinite(points[~occluded]).all():
        raise InputError(where, "points: NaN or infinity where one is not occluded", "mark it occluded there")
    height, width = video.shape[1:3]
    px = np.nan_to_num(points) * (width, height) - 0.5  # 0..1 from edge to edge; pixel centres at integers
    seen = ~occluded
    kept = seen[:, 0]  # a point that is not seen on frame 0 cannot be asked for
    object_ = ClipObject("scene", None, None, px[kept].astype(np.float32), seen[kept])
    objects = (object_,) if kept.any() else ()
    return Clip(clip_id, f"A video of {clip_id.replace('-', ' ').replace('_', ' ')}.", video, FPS, objects, where)


def _video(value: Any) -> npt.NDArray[np.uint8]:
    if isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 4:
        return value
    frames = []
    for data in value:
        frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if frame is None:
            raise ValueError("a frame is no JPEG")
        frames.append(np.asarray(frame[..., ::-1], np.uint8))
    return np.stack(frames)


def write(suite: Suite, path: Path) -> None:
    """Writes the points of a suite as a TAP-Vid pickle; cases without points are refused."""
    out = {}
    for case_id in suite.case_ids:
        case, video = suite.load_case(case_id), suite.load_reference(case_id)
        if any(o.points is None for o in case.objects):
            raise InputError(f"case {case_id!r}", "an object has no points", "export suites with points")
        points = np.concatenate([o.points for o in case.objects if o.points is not None])
        seen = np.concatenate([o.point_visible for o in case.objects if o.point_visible is not None])
        height, width = case.size
        unit = ((points + 0.5) / (width, height)).astype(np.float32)
        out[case_id] = {"video": video, "points": unit, "occluded": ~seen}
    write_bytes(path, pickle.dumps(out, protocol=4))
