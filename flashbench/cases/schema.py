"""What a model is asked (Case, ObjectTrack) and a set of such questions (Suite).

Conventions, kept by every array of the package: frame index first, pixel centres at integers, origin top left,
`(x, y)` order for points, `(x0, y0, x1, y1)` for boxes. Boxes are continuous: the box of the pixel columns a..b
reaches from `a - 0.5` to `b + 0.5`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from flashbench.errors import InputError

Condition = Literal["masks", "boxes"]
STRATA = ("1", "2", "3", "4", "5", "6+")
SCHEMA_VERSION = 1


def stratum_of(n_objects: int) -> str:
    """Name of the stratum of a case with `n_objects` foreground objects: MagicBench's 1, 2, 3, 4, 5, 6+."""
    return "6+" if n_objects >= 6 else str(n_objects)


def _check(ok: bool, where: object, what: str, mend: str) -> None:
    if not ok:
        raise InputError(where, what, mend)


@dataclass(frozen=True)
class ObjectTrack:
    """One foreground object and where it is asked to be.

    Attributes:
        name: noun phrase used in the prompt, such as `red apple`.
        boxes: float32 `[T, 4]` px, (x0, y0, x1, y1): tight box of the whole object, hidden parts included; may
            reach beyond the frame (the object is leaving), must be finite and have positive area.
        visible: bool `[T]`: True where at least one pixel of the object is seen.
        masks: bool `[T, H, W]` modal masks (hidden parts excluded), `[1, H, W]` where only frame 0 is given, or None.
        centres: float32 `[T, 2]` px, (x, y) of the object's centre, or None: then box centres are the asked path.
        points: float32 `[P, T, 2]` px, (x, y): points fixed on the object, starting inside its frame-0 mask, or None.
        point_visible: bool `[P, T]`, or None.
    """

    name: str
    boxes: npt.NDArray[np.float32]
    visible: npt.NDArray[np.bool_]
    masks: npt.NDArray[np.bool_] | None = None
    centres: npt.NDArray[np.float32] | None = None
    points: npt.NDArray[np.float32] | None = None
    point_visible: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        at, n = f"object {self.name!r}", len(self.boxes)
        _check(bool(self.name.strip()), "object", "name is empty", "give the noun that the prompt uses")
        _check(self.boxes.ndim == 2 and self.boxes.shape[1] == 4, at, f"boxes have shape {self.boxes.shape}", "give [T, 4]")
        _check(bool(np.isfinite(self.boxes).all()), at, "boxes hold NaN or infinity", "give a finite box on every frame")
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        _check(bool((sides > 0).all()), at, "a box has no area", "give x1 > x0 and y1 > y0 on every frame")
        _check(self.visible.shape == (n,), at, f"visible has shape {self.visible.shape}", f"give [{n}]")
        if self.masks is not None:
            ok = self.masks.ndim == 3 and self.masks.shape[0] in (1, n) and self.masks.dtype == np.bool_
            _check(ok, at, f"masks are {self.masks.dtype} {self.masks.shape}", f"give bool [{n}, H, W] or [1, H, W]")
        if self.centres is not None:
            _check(self.centres.shape == (n, 2), at, f"centres have shape {self.centres.shape}", f"give [{n}, 2]")
            _check(bool(np.isfinite(self.centres).all()), at, "centres hold NaN", "give finite centres")
        if self.points is not None:
            p = len(self.points)
            _check(self.points.shape == (p, n, 2), at, f"points have shape {self.points.shape}", f"give [P, {n}, 2]")
            _check(bool(np.isfinite(self.points).all()), at, "points hold NaN", "give finite points")
            seen = self.point_visible
            _check(seen is not None and seen.shape == (p, n), at, "point_visible does not fit points", f"give [{p}, {n}]")

    @property
    def path(self) -> npt.NDArray[np.float32]:
        """float32 `[T, 2]` px, (x, y): the asked path, the object's centre where known, else the box centre."""
        if self.centres is not None:
            return self.centres
        return np.asarray((self.boxes[:, :2] + self.boxes[:, 2:]) / 2, np.float32)


@dataclass(frozen=True)
class Case:
    """One question: first frame, prompt, and a path for each foreground object.

    Attributes:
        id: file-name-safe identifier, unique in its suite.
        prompt: a sentence in English.
        first_frame: uint8 `[H, W, 3]` RGB.
        objects: at least one ObjectTrack, all of the same length T and frame size.
        fps: frames a second of the asked video.
        condition: `masks` (masks on every frame) or `boxes` (masks on frame 0, boxes after it).
        seed: seed from which models may derive their noise.
        meta: free facts of the case (motion families, weather, camera), JSON-compatible.
    """

    id: str
    prompt: str
    first_frame: npt.NDArray[np.uint8]
    objects: tuple[ObjectTrack, ...]
    fps: float = 24.0
    condition: Condition = "boxes"
    seed: int = 0
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        at = f"case {self.id!r}"
        safe = bool(self.id) and all(c.isalnum() or c in "-_." for c in self.id) and self.id[0] != "."
        _check(safe, at, "id is not a plain file name", "use letters, digits, '-', '_' and '.'")
        _check(bool(self.prompt.strip()), at, "prompt is empty", "write a sentence")
        frame = self.first_frame
        ok = frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3
        _check(ok, at, f"first_frame is {frame.dtype} {frame.shape}", "give uint8 [H, W, 3] RGB")
        _check(len(self.objects) > 0, at, "has zero objects", "give at least one object with a path")
        _check(self.condition in ("masks", "boxes"), at, f"condition is {self.condition!r}", "use masks or boxes")
        _check(self.fps > 0, at, f"fps is {self.fps}", "give a positive frame rate")
        for o in self.objects:
            _check(len(o.boxes) == self.frames, at, f"object {o.name!r} has {len(o.boxes)} frames, the first has {self.frames}", "give all objects the same length")
            _check(o.masks is None or o.masks.shape[1:] == frame.shape[:2], at, f"masks of {o.name!r} do not fit the first frame", f"give [T, {frame.shape[0]}, {frame.shape[1]}]")
            _check(bool(_touches(o.boxes, frame.shape[1], frame.shape[0])[o.visible].all()), at, f"a box of {o.name!r} lies outside the frame while the object is visible", "give pixels of this frame size, or mark the object invisible there")

    @property
    def frames(self) -> int:
        """Number of frames T of the asked video, the given first one included."""
        return len(self.objects[0].boxes)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.first_frame.shape[0], self.first_frame.shape[1]

    @property
    def stratum(self) -> str:
        return stratum_of(len(self.objects))

    def asked(self) -> Case:
        """The part of the case that a model may see: with condition `boxes` only frame 0 keeps its mask, no points."""
        def strip(o: ObjectTrack) -> ObjectTrack:
            masks = o.masks if o.masks is None or self.condition == "masks" else o.masks[:1]
            return dataclasses.replace(o, masks=masks, points=None, point_visible=None, centres=None)

        return dataclasses.replace(self, objects=tuple(strip(o) for o in self.objects))


def _touches(boxes: npt.NDArray[np.float32], width: int, height: int) -> npt.NDArray[np.bool_]:
    return np.asarray((boxes[:, 0] < width) & (boxes[:, 1] < height) & (boxes[:, 2] > -1) & (boxes[:, 3] > -1))


@dataclass(frozen=True)
class Suite:
    """An ordered set of cases of one size, length and frame rate, with their reference videos.

    Attributes:
        name: such as `sprites-v1`.
        seed: seed that the whole suite was made from.
        size: (H, W) px; frames: T; fps: frames a second; condition: see Case.
        case_ids: in order; content_sha256: hash over decoded content (see `cases.folder`).
        load_case: id -> Case (complete: with truth); load_reference: id -> uint8 [T, H, W, 3].
        root: the folder it was read from, or None.
    """

    name: str
    seed: int
    size: tuple[int, int]
    frames: int
    fps: float
    condition: Condition
    case_ids: tuple[str, ...]
    content_sha256: str
    load_case: Callable[[str], Case] = field(repr=False)
    load_reference: Callable[[str], npt.NDArray[np.uint8]] = field(repr=False)
    root: Path | None = None

    def __post_init__(self) -> None:
        _check(len(self.case_ids) > 0, f"suite {self.name!r}", "has no cases", "give at least one")
        _check(len(set(self.case_ids)) == len(self.case_ids), f"suite {self.name!r}", "two cases share an id", "give each its own")

    def __len__(self) -> int:
        return len(self.case_ids)
