"""A user's own clip as a case: objects are marked on frame 0, a tracker follows them, and a sheet shows what it found.

The tracks are measured, not true: frames on which an object was not found are marked invisible, and the sheet and the
case's meta say how many they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flashbench.cases.case_files import boxes_of
from flashbench.cases.folder import SUITE_JSON, read_suite, save_suite
from flashbench.cases.schema import Case, Condition, ObjectTrack, Pictures, Suite, around, touches
from flashbench.cases.segment import mask_in
from flashbench.errors import InputError
from flashbench.files.atomic import read_json
from flashbench.files.fit import Fit
from flashbench.files.png import read_png, write_png
from flashbench.files.video import probe, read_video
from flashbench.tracking.protocol import ObjectTracker, ObjectTracks

Video = npt.NDArray[np.uint8]
LOW = 0.9  # share of frames on which an object must be found, below which it is said aloud


class Marked(NamedTuple):
    """An object on frame 0: its name, and its mask bool `[H, W]` or points `[P, 2]` px on it."""

    name: str
    mask: npt.NDArray[np.bool_] | None
    points: npt.NDArray[np.float32] | None = None


def from_boxes(path: Path, frame: Video) -> list[Marked]:
    """Objects of a JSON `[{"name": ..., "box": [x0, y0, x1, y1]}, ...]`, px of frame 0; their masks by GrabCut.

    Raises:
        InputError: not such a list; a box without area or outside the frame.
    """
    out = []
    for where, name, box in _entries(path, "box", "[x0, y0, x1, y1]", (4,)):
        inside = (box[2:] > box[:2]).all() and (box[:2] < frame.shape[1::-1]).all() and (box[2:] > 0).all()
        if not inside:
            raise InputError(path, f"{where}: box {box.tolist()}", "give a box inside frame 0")
        out.append(Marked(name, mask_in(frame, box)))
    return out


def from_points(path: Path, frame: Video) -> list[Marked]:
    """Objects of a JSON `[{"name": ..., "points": [[x, y], ...]}, ...]`, px of frame 0. How large they are stays open.

    Raises:
        InputError: not such a list; a point outside the frame.
    """
    out = []
    for where, name, points in _entries(path, "points", "[[x, y], ...]", (-1, 2)):
        inside = len(points) and ((points >= -0.5) & (points < np.array(frame.shape[1::-1]) - 0.5)).all()
        if not inside:
            raise InputError(path, f"{where}: points {points.tolist()}", "give points inside frame 0")
        out.append(Marked(name, None, points.astype(np.float32)))
    return out


def _entries(
    path: Path, field: str, form: str, shape: tuple[int, ...]
) -> Iterator[tuple[str, str, npt.NDArray[np.float64]]]:
    """Place, name and numbers of each entry `{"name": ..., FIELD: numbers}` of a JSON list."""
    held, mend = read_json(path), f'write {{"name": ..., "{field}": {form}}}'
    if not isinstance(held, list) or not held:
        raise InputError(path, "holds no objects", f"{mend}, one an object, in a list")
    for i, entry in enumerate(held):
        try:
            name, numbers = str(entry["name"]).strip(), np.array(entry[field], np.float64).reshape(shape)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(path, f"entry {i} cannot be read ({error})", mend) from error
        if not name or not np.isfinite(numbers).all():
            raise InputError(path, f"entry {i} has no name, or no finite numbers", mend)
        yield f"entry {i}", name, numbers


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
    """Follows the marked objects through a video uint8 `[T, H, W, 3]` and makes a case of what the tracker found.

    Raises:
        InputError: condition `masks` for an object of which points alone are marked.
    """
    if condition == "masks" and (bare := [m.name for m in marked if m.mask is None]):
        raise InputError("--condition", f"masks are asked, object {bare[0]!r} has points alone", "take boxes")
    n = len(video)
    told = [_told(m, n) for m in marked]
    found = tracker.track(video, Case(clip_id, prompt, video[0], tuple(told), fps, "boxes"))
    objects = [_found(found, i, asked) for i, asked in enumerate(told)]
    shares = {o.name: round(float(o.visible.mean()), 4) for o in objects}
    meta: dict[str, Any] = {"annotated_by": tracker.name, "found_share": shares}
    return Case(clip_id, prompt, video[0], tuple(objects), fps, condition, 0, meta)


def _told(m: Marked, frames: int) -> ObjectTrack:
    """What a tracker is told of an object: frame 0, repeated."""
    seen = np.ones(frames, np.bool_)
    if m.mask is not None:
        boxes = np.repeat(boxes_of(np.asarray(m.mask)[None]), frames, axis=0)
        return ObjectTrack(m.name, boxes, seen, m.mask[None])
    assert m.points is not None
    points = np.repeat(m.points[:, None], frames, axis=1)
    return ObjectTrack(m.name, around(points), seen, None, None, points, np.ones(points.shape[:2], np.bool_))


def _found(found: ObjectTracks, i: int, told: ObjectTrack) -> ObjectTrack:
    """Object i as the tracker found it, with what it was told on frame 0."""
    if told.masks is None:
        assert told.points is not None
        n, (height, width) = len(told.points), found.masks.shape[2:]
        points, seen = found.points[i, :n].astype(np.float32), found.point_visible[i, :n] & found.visible[i]
        points[:, 0], seen[:, 0] = told.points[:, 0], True
        boxes = around(points)
        return ObjectTrack(told.name, boxes, seen.any(0) & touches(boxes, width, height), None, None, points, seen)
    masks = found.masks[i].copy()
    masks[0] = told.masks[0]
    visible = np.asarray(found.visible[i] & masks.any(axis=(1, 2)))
    points, centres = found.points[i].astype(np.float32), found.centres[i].astype(np.float32)
    boxes = _sound(found.boxes[i], told.boxes)
    return ObjectTrack(told.name, boxes, visible, masks, centres, points, found.point_visible[i])


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
            elif o.masks is None and o.points is not None and o.point_visible is not None:
                for x, y in o.points[o.point_visible[:, t], t].round().astype(int):
                    cell[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = colours[i % len(colours)]
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
