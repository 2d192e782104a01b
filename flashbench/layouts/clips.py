"""What every importer yields, and how clips of unlike size and length become a suite of one form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flashbench.cases.case_files import boxes_of
from flashbench.cases.schema import Case, Condition, ObjectTrack, Suite, touches
from flashbench.errors import InputError

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
    """The clips of a layout: ids in order, and a function that reads one."""

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
    so. A clip that is too short, or of another frame rate, is refused.

    Raises:
        InputError: no clips; while loading: what `case_of` refuses.
    """
    if not source.ids:
        raise InputError(source.name, "holds no clips", "see docs/layouts.md for what the layout looks like")
    first = source.load(source.ids[0])
    size = form.size or (first.video.shape[1], first.video.shape[2])
    frames, fps = form.frames or len(first.video), form.fps or first.fps

    @lru_cache(maxsize=2)
    def loaded(clip_id: str) -> tuple[Case, Video]:
        return case_of(source.load(clip_id), size, frames, fps, form.condition)

    return Suite(
        source.name,
        0,
        size,
        frames,
        fps,
        form.condition,
        source.ids,
        "",
        lambda i: loaded(i)[0],
        lambda i: loaded(i)[1],
    )


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
            clip.where, f"has {clip.fps:g} frames a second, {fps:g} are asked", "convert it, or give --fps"
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


@dataclass(frozen=True)
class Fit:
    """Cropping in the middle to the wanted shape, in whole pixels, then scaling: x' = (x - left + 0.5) * sx - 0.5."""

    left: int
    top: int
    crop: tuple[int, int]  # (h, w) px of the clip
    size: tuple[int, int]  # (H, W) px of the suite

    @classmethod
    def of(cls, found: tuple[int, ...], size: tuple[int, int]) -> Fit:
        height = min(found[0], round(found[1] * size[0] / size[1]))
        width = min(found[1], round(found[0] * size[1] / size[0]))
        return cls((found[1] - width) // 2, (found[0] - height) // 2, (height, width), size)

    @property
    def scale(self) -> npt.NDArray[np.float64]:
        """(sx, sy)."""
        return np.array([self.size[1] / self.crop[1], self.size[0] / self.crop[0]])

    def points(self, xy: npt.NDArray[np.floating]) -> Floats:
        """Points `[..., 2]` px."""
        return np.asarray((xy - (self.left, self.top) + 0.5) * self.scale - 0.5, np.float32)

    def boxes(self, boxes: Floats) -> Floats:
        """Boxes `[T, 4]` px."""
        return np.concatenate([self.points(boxes[:, :2]), self.points(boxes[:, 2:])], axis=1)

    def planes(self, planes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Frames `[T, h, w, ...]`: area averages when they become smaller, else bilinear."""
        cut = planes[:, self.top : self.top + self.crop[0], self.left : self.left + self.crop[1]]
        if self.crop == self.size:
            return np.ascontiguousarray(cut)
        how = cv2.INTER_AREA if self.size[0] < self.crop[0] else cv2.INTER_LINEAR
        return np.stack([cv2.resize(p, self.size[::-1], interpolation=how) for p in cut]).astype(np.uint8)

    def masks(self, masks: Bools) -> Bools:
        """Masks `[T, h, w]`: pixels that are at least half covered."""
        return np.asarray(self.planes(masks.astype(np.uint8) * 255) >= 128)


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
        present, boxes = seen.any(axis=0), _round(points)
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


def _round(points: Floats, least: float = 2.0) -> Floats:
    """Boxes `[T, 4]` around points `[P, T, 2]`, at least `least` px wide and high."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, least / 2)
    return np.asarray(np.concatenate([middle - half, middle + half], axis=1), np.float32)
