"""A user's own clip as a case: objects are marked on frame 0, a tracker follows them, and a sheet shows what it found.

The tracks are measured, not true: frames on which an object was not found are marked invisible, and the sheet and the
case's meta say how many they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flashbench.cases.case_files import boxes_of
from flashbench.cases.folder import SUITE_JSON, read_suite, save_suite
from flashbench.cases.schema import Case, Condition, ObjectTrack, Pictures, Suite
from flashbench.cases.segment import mask_in
from flashbench.errors import InputError
from flashbench.files.atomic import read_json
from flashbench.files.fit import Fit
from flashbench.files.png import read_png, write_png
from flashbench.files.video import probe, read_video
from flashbench.tracking.protocol import ObjectTracker

Video = npt.NDArray[np.uint8]
LOW = 0.9  # share of frames on which an object must be found, below which it is said aloud


class Marked(NamedTuple):
    """An object on frame 0: its name and its mask bool `[H, W]`."""

    name: str
    mask: npt.NDArray[np.bool_]


def from_boxes(path: Path, frame: Video) -> list[Marked]:
    """Objects of a JSON `[{"name": ..., "box": [x0, y0, x1, y1]}, ...]`, px of frame 0; their masks by GrabCut.

    Raises:
        InputError: not such a list; a box without area or outside the frame.
    """
    held = read_json(path)
    out = []
    for i, entry in enumerate(held if isinstance(held, list) else []):
        try:
            name, box = str(entry["name"]).strip(), np.array(entry["box"], np.float64).reshape(4)
        except (KeyError, TypeError, ValueError) as error:
            mend = 'write {"name": ..., "box": [x0, y0, x1, y1]}'
            raise InputError(path, f"entry {i} cannot be read ({error})", mend) from error
        inside = (box[2:] > box[:2]).all() and (box[:2] < frame.shape[1::-1]).all() and (box[2:] > 0).all()
        if not name or not np.isfinite(box).all() or not inside:
            raise InputError(path, f"entry {i}: box {box.tolist()} or its name", "give a name and a box inside frame 0")
        out.append(Marked(name, mask_in(frame, box)))
    if not out:
        raise InputError(path, "holds no objects", 'write a list of {"name": ..., "box": [x0, y0, x1, y1]}')
    return out


def from_masks(folder: Path, frame: Video) -> list[Marked]:
    """Objects of a folder of PNGs, one an object and named after it, white on black, of frame 0's size.

    Raises:
        InputError: no PNG, another size, nothing white.
    """
    out = []
    for path in sorted(folder.glob("*.png")) if folder.is_dir() else []:
        mask = read_png(path)[..., 0] > 127
        if mask.shape != frame.shape[:2] or not mask.any():
            what = f"is {mask.shape[1]}x{mask.shape[0]} px" if mask.any() else "is black all over"
            raise InputError(path, what, f"paint the object white on {frame.shape[1]}x{frame.shape[0]} px")
        out.append(Marked(path.stem.replace("_", " "), mask))
    if not out:
        raise InputError(folder, "holds no PNG", "give one mask an object, named after it: red_ball.png")
    return out


def case_of(
    clip_id: str,
    prompt: str,
    video: Video,
    fps: float,
    marked: Sequence[Marked],
    tracker: ObjectTracker,
    condition: Condition,
) -> Case:
    """Follows the marked objects through a video uint8 `[T, H, W, 3]` and makes a case of what the tracker found."""
    n = len(video)
    start = [np.repeat(boxes_of(np.asarray(m.mask)[None]), n, axis=0) for m in marked]
    seen = np.ones(n, np.bool_)
    told = tuple(ObjectTrack(m.name, b, seen, m.mask[None]) for m, b in zip(marked, start, strict=True))
    asked = Case(clip_id, prompt, video[0], told, fps, "boxes")
    found = tracker.track(video, asked)
    objects = []
    for i, m in enumerate(marked):
        masks = found.masks[i].copy()
        masks[0] = m.mask
        visible = np.asarray(found.visible[i] & masks.any(axis=(1, 2)))
        boxes = _sound(found.boxes[i], start[i])
        points = found.points[i].astype(np.float32)
        objects.append(
            ObjectTrack(
                m.name, boxes, visible, masks, found.centres[i].astype(np.float32), points, found.point_visible[i]
            )
        )
    shares = {m.name: round(float(o.visible.mean()), 4) for m, o in zip(marked, objects, strict=True)}
    meta: dict[str, Any] = {"annotated_by": tracker.name, "found_share": shares}
    return Case(clip_id, prompt, video[0], tuple(objects), fps, condition, 0, meta)


def _sound(boxes: npt.NDArray[np.float32], start: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Boxes with area on every frame: one without takes that of frame 0, moved nowhere."""
    good = np.asarray(np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1))
    return np.where(good[:, None], boxes, start).astype(np.float32)


def load_clip(path: Path, frames: int | None, size: tuple[int, int] | None) -> tuple[Video, float]:
    """A video, cut to `frames` and brought to `size` (H, W); its frame rate.

    Raises:
        InputError: unreadable, too short, without a frame rate.
    """
    video, fps = read_video(path), probe(path).fps
    if fps is None:
        raise InputError(path, "has no frame rate", "give a video file, not a folder of pictures")
    if frames is not None and len(video) < frames:
        raise InputError(path, f"has {len(video)} frames, {frames} are asked", "ask for fewer with --frames")
    video = video[: frames or len(video)]
    return (video if size is None else Fit.of(video.shape[1:3], size).planes(video)), fps


def add_case(case: Case, video: Video, folder: Path, name: str) -> Suite:
    """Adds a case to the suite in `folder`, or makes a suite of it.

    Raises:
        InputError: the suite has cases of another form, or one of this id.
    """
    form = (case.size, case.frames, case.fps, case.condition)
    known: dict[str, tuple[Case, Video]] = {}
    pictures: Pictures = "photographs"
    if (folder / SUITE_JSON).is_file():
        held = read_suite(folder)
        name, pictures = held.name, held.pictures
        if (held.size, held.frames, held.fps, held.condition) != form:
            size = f"{held.size[1]}x{held.size[0]} px"
            what = f"holds {held.frames} frames of {size} at {held.fps:g} a second, condition {held.condition}"
            raise InputError(folder / SUITE_JSON, what, "match it with --frames, --size, --condition, or take another")
        if case.id in held.case_ids:
            raise InputError(folder, f"has a case {case.id!r} already", "choose another id with --id")
        known = {i: (held.load_case(i), held.load_reference(i)) for i in held.case_ids}
    known[case.id] = (case, video)
    suite = Suite(
        name,
        0,
        case.size,
        case.frames,
        case.fps,
        case.condition,
        tuple(known),
        "",
        lambda i: known[i][0],
        lambda i: known[i][1],
        pictures=pictures,
    )
    return save_suite(suite, folder)


def sheet(case: Case, video: Video, path: Path, frames: int = 8) -> None:
    """A contact sheet: what was found, in colour; frames on which an object was not found are framed in red."""
    colours = np.array([[255, 80, 80], [80, 220, 80], [90, 120, 255], [240, 220, 60], [230, 90, 230], [80, 220, 220]])
    at = np.linspace(0, case.frames - 1, frames).astype(int)
    cells = []
    for t in at:
        cell = video[t].astype(np.float64)
        for i, o in enumerate(case.objects):
            if o.masks is not None and o.masks[t].any():
                cell[o.masks[t]] = 0.5 * cell[o.masks[t]] + 0.5 * colours[i % len(colours)]
        picture = np.ascontiguousarray(np.rint(cell), np.uint8)
        scale = max(1, round(256 / max(case.size)))
        picture = picture.repeat(scale, axis=0).repeat(scale, axis=1)
        if not all(o.visible[t] for o in case.objects):
            cv2.rectangle(picture, (0, 0), (picture.shape[1] - 1, picture.shape[0] - 1), (255, 0, 0), 4)
        cells.append(picture)
    half = (len(cells) + 1) // 2
    rows = [np.concatenate(cells[k : k + half], axis=1) for k in (0, half) if cells[k : k + half]]
    rows[-1] = np.pad(rows[-1], ((0, 0), (0, rows[0].shape[1] - rows[-1].shape[1]), (0, 0)))
    write_png(path, np.concatenate(rows, axis=0))


def poorly_found(case: Case) -> list[str]:
    """Sentences about objects that were not found on enough frames."""
    return [
        f"{o.name}: found on {o.visible.mean():.0%} of the frames; look at the sheet"
        for o in case.objects
        if o.visible.mean() < LOW
    ]
