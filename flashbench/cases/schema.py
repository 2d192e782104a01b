"""What a model is asked (Case, ObjectTrack) and a set of such questions (Suite).

Conventions, kept by every array of the package: frame index first, pixel centres at integers, origin top left,
`(x, y)` order for points, `(x0, y0, x1, y1)` for boxes. Boxes are continuous: the box of the pixel columns a..b
reaches from `a - 0.5` to `b + 0.5`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from flashbench.cases.content import case_sha256, suite_sha256
from flashbench.errors import InputError

Condition = Literal["masks", "boxes"]
Pictures = Literal["sprites", "photographs"]
STRATA = ("1", "2", "3", "4", "5", "6+")
SCHEMA_VERSION = 1
_HASHED = ("boxes", "visible", "masks", "centres", "points", "point_visible")  # of an object, in this order


def stratum_of(n_objects: int) -> str:
    """Name of the stratum of a case with `n_objects` foreground objects: MagicBench's 1, 2, 3, 4, 5, 6+."""
    return "6+" if n_objects >= 6 else str(n_objects)


def _check(ok: bool, where: object, what: str, mend: str) -> None:
    if not ok:
        raise InputError(where, what, mend)


def _check_array(at: str, field: str, array: npt.NDArray[Any], dtype: type, shape: tuple[int, ...]) -> None:
    ok = array.dtype == dtype and array.shape == shape
    asked = f"{np.dtype(dtype)} {list(shape)}"
    _check(ok, at, f"{field}: {array.dtype} {list(array.shape)} instead of {asked}", f"give {asked}")
    finite = dtype == np.bool_ or bool(np.isfinite(array).all())
    _check(finite, at, f"{field}: NaN or infinity", "give finite numbers on every frame")


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
        _check_array(at, "boxes", self.boxes, np.float32, (max(n, 1), 4))
        positive = bool((self.boxes[:, 2:] > self.boxes[:, :2]).all())
        _check(positive, at, "boxes: one has no area", "give x1 > x0 and y1 > y0 on every frame")
        _check_array(at, "visible", self.visible, np.bool_, (n,))
        if self.masks is not None:
            ok = self.masks.ndim == 3 and len(self.masks) in (1, n)
            _check(ok, at, f"masks: {list(self.masks.shape)}", f"give [{n}, H, W], or [1, H, W] for frame 0 alone")
            _check_array(at, "masks", self.masks, np.bool_, self.masks.shape)
        if self.centres is not None:
            _check_array(at, "centres", self.centres, np.float32, (n, 2))
        paired = (self.points is None) == (self.point_visible is None)
        _check(paired, at, "points or point_visible is missing", "give both or none")
        if self.points is not None and self.point_visible is not None:
            p = len(self.points)
            _check_array(at, "points", self.points, np.float32, (p, n, 2))
            _check_array(at, "point_visible", self.point_visible, np.bool_, (p, n))

    @property
    def path(self) -> npt.NDArray[np.float32]:
        """float32 `[T, 2]` px, (x, y): the asked path, the object's centre where known, else the box centre."""
        if self.centres is not None:
            return self.centres
        return np.asarray((self.boxes[:, :2] + self.boxes[:, 2:]) / 2, np.float32)

    @property
    def bare(self) -> bool:
        """Whether nothing but points is known of it: how large it is nobody says, and its boxes only stand round them.

        False for what a model is given (`Case.asked`), which holds no points.
        """
        return self.masks is None and self.points is not None and np.array_equal(self.boxes, around(self.points))


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
        _check(is_file_name(self.id), at, "id is not a plain file name", "use letters, digits, '-', '_' and '.'")
        _check(bool(self.prompt.strip()), at, "prompt is empty", "write a sentence")
        frame = self.first_frame
        ok = frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3 and frame.size > 0
        _check(ok, at, f"first_frame is {frame.dtype} {frame.shape}", "give uint8 [H, W, 3] RGB")
        _check(len(self.objects) > 0, at, "has zero objects", "give at least one object with a path")
        _check(self.condition in ("masks", "boxes"), at, f"condition is {self.condition!r}", "use masks or boxes")
        _check(_is_rate(self.fps), at, f"fps is {self.fps!r}", "give a positive frame rate")
        _check(_is_json(self.meta), at, "meta is not JSON", "use texts, finite numbers, lists and dicts with text keys")
        for o in self.objects:
            self._check_object(at, o)

    def _check_object(self, at: str, o: ObjectTrack) -> None:
        (height, width), n = self.size, len(o.boxes)
        what = f"object {o.name!r} has {n} frames, the first object has {self.frames}"
        _check(n == self.frames, at, what, "give all objects the same length")
        fits = o.masks is None or o.masks.shape[1:] == (height, width)
        _check(fits, at, f"masks of {o.name!r} do not fit the first frame", f"give [T, {height}, {width}]")
        outside = np.flatnonzero(o.visible & ~touches(o.boxes, width, height))
        what = f"boxes of {o.name!r}: frame {outside[0] if len(outside) else 0} lies outside the frame while visible"
        _check(len(outside) == 0, at, what, f"give pixels of {width}x{height}, or mark the object invisible there")

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
        """The part of the case that a model may see.

        With condition `boxes` only frame 0 keeps its mask. Points and centres are truth, never asked; `meta` stays
        behind too.
        """

        def strip(o: ObjectTrack) -> ObjectTrack:
            masks = o.masks if o.masks is None or self.condition == "masks" else o.masks[:1]
            return dataclasses.replace(o, masks=masks, points=None, point_visible=None, centres=None)

        return dataclasses.replace(self, objects=tuple(strip(o) for o in self.objects), meta={})

    def sha256(self, reference: npt.NDArray[np.uint8] | str) -> str:
        """Hex SHA-256 of the complete case together with its reference video (docs/suite-format.md).

        Args:
            reference: the video, uint8 `[T, H, W, 3]`, or its `content.reference_sha256`, so that a case is verified
                without decoding the video.
        """
        facts = {
            "condition": self.condition,
            "fps": float(self.fps),
            "id": self.id,
            "meta": self.meta,
            "names": [o.name for o in self.objects],
            "prompt": self.prompt,
            "seed": self.seed,
        }
        arrays: list[tuple[str, npt.NDArray[Any] | None]] = [("first_frame", self.first_frame)]
        for i, o in enumerate(self.objects):
            arrays += [(f"{kind}_{i}", getattr(o, kind)) for kind in _HASHED]
        return case_sha256(facts, arrays, reference)


def is_file_name(name: str) -> bool:
    """Whether a case may be called so: letters, digits, `-`, `_` and `.`, which does not come first."""
    plain = all(c.isascii() and (c.isalnum() or c in "-_.") for c in name)
    return bool(name) and plain and name[0] != "."


def touches(boxes: npt.NDArray[np.float32], width: int, height: int) -> npt.NDArray[np.bool_]:
    """bool `[T]`: True where a box shares area with the frame, which reaches from -0.5 to its side - 0.5."""
    inside = (boxes[:, 0] < width - 0.5) & (boxes[:, 1] < height - 0.5) & (boxes[:, 2] > -0.5) & (boxes[:, 3] > -0.5)
    return np.asarray(inside)


def around(points: npt.NDArray[np.float32], least: float = 2.0) -> npt.NDArray[np.float32]:
    """Boxes `[T, 4]` px round points `[P, T, 2]` px, at least `least` px wide and high."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, least / 2)
    return np.asarray(np.concatenate([middle - half, middle + half], axis=1), np.float32)


def _is_json(value: object) -> bool:
    """True where `value` comes back from JSON as it went in: what is hashed is then what is stored."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError, RecursionError):
        return False


def _is_rate(fps: object) -> bool:
    """True for a positive, finite number."""
    return isinstance(fps, int | float) and 0 < fps < float("inf")


@dataclass(frozen=True)
class Suite:
    """An ordered set of cases of one size, length and frame rate, with their reference videos.

    Attributes:
        name: such as `sprites-v1`.
        seed: seed that the whole suite was made from.
        size: (H, W) px; frames: T; fps: frames a second; condition: see Case.
        case_ids: in order.
        known_sha256: the `content_sha256` where it is known beforehand, else an empty string.
        load_case: id -> Case (complete: with truth); load_reference: id -> uint8 [T, H, W, 3].
        root: the folder it was read from, or None.
        hash_case: id -> hash of the case where it is known without loading (a folder states it), or None.
        pictures: what the frames show, `sprites` or `photographs` (real footage): which text agreement can read them.
        prepare: loads what cases share. Called before processes are forked, it lies in memory once for all of them.
    """

    name: str
    seed: int
    size: tuple[int, int]
    frames: int
    fps: float
    condition: Condition
    case_ids: tuple[str, ...]
    known_sha256: str
    load_case: Callable[[str], Case] = field(repr=False)
    load_reference: Callable[[str], npt.NDArray[np.uint8]] = field(repr=False)
    root: Path | None = None
    hash_case: Callable[[str], str] | None = field(default=None, repr=False)
    pictures: Pictures = "photographs"
    prepare: Callable[[], None] = field(default=lambda: None, repr=False)

    def __post_init__(self) -> None:
        at = f"suite {self.name!r}"
        _check(bool(self.name.strip()), "suite", "name is empty", "give it a name")
        pair = isinstance(self.size, tuple) and len(self.size) == 2
        ok = pair and all(type(n) is int and n > 0 for n in self.size)  # of NumPy's integers no JSON is made
        _check(ok, at, f"size is {self.size!r}", "give (height, width), whole numbers of px")
        ok = type(self.frames) is int and self.frames > 0
        _check(ok, at, f"frames is {self.frames!r}", "give the number of frames")
        _check(_is_rate(self.fps), at, f"fps is {self.fps!r}", "give a positive frame rate")
        _check(self.condition in ("masks", "boxes"), at, f"condition is {self.condition!r}", "use masks or boxes")
        ok = self.pictures in ("sprites", "photographs")
        _check(ok, at, f"pictures is {self.pictures!r}", "use sprites or photographs")
        _check(len(self.case_ids) > 0, at, "has no cases", "give at least one")
        _check(len(set(self.case_ids)) == len(self.case_ids), at, "two cases share an id", "give each its own")

    def __len__(self) -> int:
        return len(self.case_ids)

    def asked(self) -> Suite:
        """The part of the suite that a model may see: its cases as `Case.asked()`, its hashes, no reference video.

        Raises:
            InputError: by its `load_reference`, always.
        """

        def refuse(case_id: str) -> npt.NDArray[np.uint8]:
            what = f"case {case_id!r}: a model is never given the reference video"
            raise InputError(f"suite {self.name!r}", what, "answer from the first frame, the prompt and the paths")

        return dataclasses.replace(
            self,
            load_case=lambda case_id: self.load_case(case_id).asked(),
            load_reference=refuse,
            root=None,  # the truth lies there
            hash_case=lambda case_id: self.case_hashes[case_id],
        )

    @cached_property
    def case_hashes(self) -> dict[str, str]:
        """id -> hash over the decoded content of that case, in order. Loads every case where no hash is known."""
        if self.hash_case is not None:
            return {i: self.hash_case(i) for i in self.case_ids}
        return {i: self.load_case(i).sha256(self.load_reference(i)) for i in self.case_ids}

    @cached_property
    def content_sha256(self) -> str:
        """Hash over the decoded content of all cases, never over container bytes (docs/suite-format.md)."""
        return self.known_sha256 or suite_sha256(self.case_hashes.values())
