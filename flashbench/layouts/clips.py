"""What every importer yields, and how clips of unlike size and length become a suite of one form."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flashbench.cases.case_files import boxes_of
from flashbench.cases.schema import Case, Condition, ObjectTrack, Suite, around, touches
from flashbench.errors import InputError
from flashbench.files.atomic import read_text
from flashbench.files.fit import Fit

Video = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ClipObject:
    """An object of a clip, with what its layout knows: masks, boxes or points; at least one of them.

    Attributes:
        name: noun phrase.
        masks: bool `[T, H, W]`, or None. boxes: float32 `[T, 4]` px with NaN where the object is absent, or None.
        points: float32 `[P, T, 2]` px, point_visible: bool `[P, T]`, or None.
    """

    name: str
    masks: Bools | None = None
    boxes: Floats | None = None
    points: Floats | None = None
    point_visible: Bools | None = None


@dataclass(frozen=True)
class Clip:
    """A video with what is known of its objects. video: uint8 `[T, H, W, 3]`; where: the file, for complaints."""

    id: str
    prompt: str
    video: Video
    fps: float
    objects: tuple[ClipObject, ...]
    where: object
    meta: dict[str, Any] = field(default_factory=dict)


class Source(NamedTuple):
    """The clips of a layout: their names in order, whatever characters these have, and a function that reads one."""

    name: str
    ids: tuple[str, ...]
    load: Callable[[str], Clip]


class Form(NamedTuple):
    """What all cases of a suite share; None takes the first clip's."""

    size: tuple[int, int] | None = None  # (H, W) px
    frames: int | None = None
    fps: float | None = None
    condition: Condition = "masks"


ANY = Form()


def suite_of(source: Source, form: Form = ANY) -> Suite:
    """A suite of the clips, read when they are asked for.

    Clips are cut to the suite's length, scaled to cover its frame and cropped in the middle; the meta of a case says
    so. A clip that is too short, or of another frame rate, is refused. A name that is no plain file name becomes one.

    Raises:
        InputError: no clips; while loading: what `case_of` refuses.
    """
    if not source.ids:
        raise InputError(source.name, "holds no clips", "see docs/layouts.md for what the layout looks like")
    named = plain_ids(source.ids)
    first = source.load(source.ids[0])
    size = form.size or (first.video.shape[1], first.video.shape[2])
    frames, fps = form.frames or len(first.video), form.fps or first.fps

    @lru_cache(maxsize=2)
    def loaded(case_id: str) -> tuple[Case, Video]:
        clip = source.load(named[case_id])
        return case_of(replace(clip, id=case_id), size, frames, fps, form.condition)

    return Suite(
        source.name,
        0,
        size,
        frames,
        fps,
        form.condition,
        tuple(named),
        "",
        lambda i: loaded(i)[0],
        lambda i: loaded(i)[1],
    )


def plain_ids(names: Iterable[str]) -> dict[str, str]:
    """Plain file names, each of its own, of names with spaces, Unicode or anything else; id -> name, in order."""
    out: dict[str, str] = {}
    for number, name in enumerate(names, start=1):
        key = plain_id(name)
        while key in out:
            key = f"{key}-{number}"
        out[key] = name
    return out


def plain_id(name: str) -> str:
    """A name as the id of a case: every run of other characters than letters, digits, `_`, `.` is one `-`."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "clip"


def check_numbers(folder: Path, names: Iterable[str]) -> None:
    """Refuses frames whose names are numbers with a gap: what comes after it would come too early."""
    numbers = [int(m[1]) for name in names if (m := re.search(r"(\d+)$", name))]
    for before, after in pairwise(numbers):
        if after != before + 1:
            raise InputError(
                folder, f"frame {before + 1} is missing: {after} comes after {before}", "restore the frames"
            )


def table(path: Path, *columns: tuple[str, ...]) -> tuple[list[dict[str, str]], list[str]]:
    """The rows of a CSV in UTF-8, and of each wanted column the one of its names that the table has.

    Raises:
        InputError: another encoding, no such column, no rows, a row with fewer or more cells than the header.
    """
    rows = list(csv.DictReader(io.StringIO(read_text(path), newline="")))
    found = []
    for names in columns:
        there = [name for name in names if rows and name in rows[0]]
        if not there:
            raise InputError(path, f"has no column {' or '.join(names)}, or no rows", "name the columns so")
        found.append(there[0])
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise InputError(f"{path}, line {number}", "has not as many cells as the header", "quote cells with commas")
    return rows, found


def case_of(clip: Clip, size: tuple[int, int], frames: int, fps: float, condition: Condition) -> tuple[Case, Video]:
    """A clip as a case of the given form, with its reference video.

    Raises:
        InputError: too short, another frame rate, no object with a path from frame 0 on, no masks where the condition
            asks for them.
    """
    if len(clip.video) < frames:
        raise InputError(clip.where, f"has {len(clip.video)} frames, {frames} are asked", "ask for fewer with --frames")
    if abs(clip.fps - fps) > 0.01:
        raise InputError(
            clip.where, f"has {clip.fps:g} frames a second, the first clip {fps:g}", "give all clips one rate"
        )
    fit = Fit.of(clip.video.shape[1:3], size)
    video = fit.planes(clip.video[:frames])
    objects = tuple(o for o in (_track(c, fit, frames, clip.where) for c in clip.objects) if o is not None)
    if not objects:
        raise InputError(clip.where, "no object is there on frame 0", "leave the clip out")
    if condition == "masks" and (bare := [o.name for o in objects if o.masks is None]):
        raise InputError(clip.where, f"object {bare[0]!r} has no masks", "import with --condition boxes")
    meta = {**clip.meta, "import": {"frames": len(clip.video), "size": list(clip.video.shape[1:3])}}
    return Case(clip.id, clip.prompt, video[0], objects, fps, condition, 0, meta), video


def _track(o: ClipObject, fit: Fit, frames: int, where: object) -> ObjectTrack | None:
    """An object of a case, or None where it is absent on frame 0: nobody could ask for it by a first frame."""
    masks = None if o.masks is None else fit.masks(o.masks[:frames])
    boxes = None if o.boxes is None else fit.boxes(o.boxes[:frames])
    points = None if o.points is None else fit.points(o.points[:, :frames])
    seen = None if o.point_visible is None else o.point_visible[:, :frames]
    if boxes is None and masks is not None:
        present, boxes = masks.any(axis=(1, 2)), boxes_of(masks)
    elif boxes is not None:
        present = np.asarray(np.isfinite(boxes).all(axis=1))
        boxes = _held(boxes, present)
    elif points is not None and seen is not None:
        present, boxes = seen.any(axis=0), around(points)
    else:
        raise InputError(where, f"object {o.name!r} has neither masks, boxes nor points", "mend the file")
    visible = present & touches(boxes, fit.size[1], fit.size[0])
    if not visible[0]:
        return None
    return ObjectTrack(o.name, boxes, visible, masks, None, points, seen)


def _held(boxes: Floats, present: Bools) -> Floats:
    """Absent frames take the box of the last frame before them that has one (before the first: of that one)."""
    if not present.any():
        return np.tile(np.array([0, 0, 1, 1], np.float32), (len(boxes), 1))
    last = np.maximum.accumulate(np.where(present, np.arange(len(boxes)), -1))
    return np.asarray(boxes[np.where(last < 0, np.argmax(present), last)], np.float32)
