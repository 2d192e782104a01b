"""One case in a suite folder: a row of `metadata.jsonl`, a PNG, an npz and a video (docs/suite-format.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flashbench.bits import Bits
from flashbench.cases.boxes import tight
from flashbench.cases.content import reference_sha256
from flashbench.cases.schema import Case, Condition, ObjectTrack, around, is_file_name, touches
from flashbench.errors import InputError
from flashbench.files.atomic import leads_out, read_npz, write_npz
from flashbench.files.png import read_png, write_png
from flashbench.files.video import read_video_as, write_video

Arrays = dict[str, npt.NDArray[Any]]
RESTORE = "restore the folder, or build it again"
KINDS = ("masks", "masks_shape", "centres", "points", "point_visible")  # arrays of one object, `KIND_INDEX` in the npz


@dataclass(frozen=True)
class Form:
    """What all cases of a suite share: (H, W) px, number of frames, frames a second, condition."""

    size: tuple[int, int]
    frames: int
    fps: float
    condition: Condition


@dataclass(frozen=True)
class Row:
    """A line of `metadata.jsonl`, without what follows from the rest. Hashes may be missing in hand-made suites."""

    file_name: str
    id: str
    prompt: str
    names: tuple[str, ...]
    seed: int = 0
    meta: dict[str, Any] = field(default_factory=dict)
    sha256: str | None = None
    reference_sha256: str | None = None

    @property
    def first_frame(self) -> str:
        return f"first_frames/{self.id}.png"

    @property
    def tracks(self) -> str:
        return f"tracks/{self.id}.npz"


def row_to_json(row: Row, stratum: str) -> dict[str, Any]:
    """The line as it is written. `meta` is JSON in a text, so that tables with typed columns can hold any of it."""
    return {
        "file_name": row.file_name,
        "id": row.id,
        "prompt": row.prompt,
        "names": list(row.names),
        "n_objects": len(row.names),
        "stratum": stratum,
        "seed": row.seed,
        "meta": json.dumps(row.meta, ensure_ascii=False),
        "sha256": row.sha256,
        "reference_sha256": row.reference_sha256,
    }


def row_from_json(value: Any, where: object) -> Row:
    """A row from its JSON value. Raises InputError, with `where` as the place, for a field that is missing or wrong."""
    if not isinstance(value, dict):
        raise InputError(where, "is not a JSON object", RESTORE)

    def get(name: str, kind: type, default: Any = None) -> Any:
        found = value.get(name, default)
        if not isinstance(found, kind) or isinstance(found, bool):
            raise InputError(where, f"field {name!r} is {found!r}", f"give a {kind.__name__}")
        return found

    names, meta, hashes = (
        get("names", list),
        value.get("meta") or {},
        (value.get("sha256"), value.get("reference_sha256")),
    )
    if not names:
        raise InputError(where, "field 'names' is empty: the case has zero objects", "name at least one object")
    if not all(isinstance(name, str) for name in names):
        raise InputError(where, f"field 'names' is {names!r}", "give a list of texts")
    if value.get("n_objects", len(names)) != len(names):
        raise InputError(where, f"field 'n_objects' is {value['n_objects']!r}, names are {len(names)}", RESTORE)
    if isinstance(meta, str):
        try:
            meta = json.loads(meta)
        except json.JSONDecodeError as error:
            raise InputError(where, f"field 'meta' is not JSON: {error}", RESTORE) from error
    if not isinstance(meta, dict):
        raise InputError(where, f"field 'meta' is {meta!r}", "give a JSON object")
    if hashes != (None, None) and not all(isinstance(h, str) and len(h) == 64 for h in hashes):
        raise InputError(where, "fields 'sha256' and 'reference_sha256' do not hold hashes", "give both or none")
    row = Row(
        get("file_name", str), get("id", str), get("prompt", str), tuple(names), get("seed", int, 0), meta, *hashes
    )
    if not is_file_name(row.id):
        raise InputError(where, f"field 'id' is {row.id!r}", "use letters, digits, '-', '_' and '.'")
    return row


def inside(root: Path, name: str) -> Path:
    """The file `name` of the suite folder `root`. Raises InputError where it is missing or leads out of the folder."""
    path = root / name
    if leads_out(root, path):
        raise InputError(root, f"{name!r} leads out of the suite folder", "put the file itself there, not a link")
    if not path.exists():
        raise InputError(path, "is missing", RESTORE)
    return path


def write_case(root: Path, case: Case, reference: npt.NDArray[np.uint8], form: Form) -> Row:
    """Writes the files of a case below `root` and returns its row.

    Raises:
        InputError: the case does not have the suite's form, or a file cannot be written.
    """
    at = f"case {case.id!r}"
    found = Form(case.size, case.frames, case.fps, case.condition)
    if found != form:
        raise InputError(at, f"is {found}, the suite is {form}", "give all cases of a suite one form")
    asked = (form.frames, *form.size, 3)
    if reference.dtype != np.uint8 or reference.shape != asked:
        raise InputError(at, f"reference is {reference.dtype} {reference.shape}", f"give uint8 {asked}")
    video = reference_sha256(reference)
    names = tuple(o.name for o in case.objects)
    file_name = f"videos/{case.id}.mkv"
    row = Row(file_name, case.id, case.prompt, names, case.seed, case.meta, case.sha256(video), video)
    write_png(root / row.first_frame, case.first_frame)
    write_npz(root / row.tracks, **_pack(case))
    write_video(root / row.file_name, reference, case.fps)
    return row


def load_case(root: Path, row: Row, form: Form) -> Case:
    """Reads a case and compares it with its row's hash.

    Raises:
        InputError: a file is missing or damaged, an array has a wrong shape or wrong values, or the hash differs.
    """
    frame = read_png(inside(root, row.first_frame))
    if frame.shape[:2] != form.size:
        what = f"size is {frame.shape[1]}x{frame.shape[0]} px, the suite's is {form.size[1]}x{form.size[0]}"
        raise InputError(root / row.first_frame, what, RESTORE)
    path = inside(root, row.tracks)
    try:
        objects = _unpack(read_npz(path), row.names, form)
        case = Case(row.id, row.prompt, frame, objects, form.fps, form.condition, row.seed, row.meta)
    except InputError as error:
        if error.where == str(path):
            raise
        raise InputError(path, f"{error.where}: {error.what}", error.mend) from error
    if row.sha256 is not None and case.sha256(str(row.reference_sha256)) != row.sha256:
        what = f"case {row.id!r}: its content does not match 'sha256' in metadata.jsonl"
        raise InputError(path, what, RESTORE)
    return case


def load_reference(root: Path, row: Row, form: Form) -> npt.NDArray[np.uint8]:
    """Reads a reference video, uint8 `[T, H, W, 3]`, and compares it with its row's hash.

    Raises:
        InputError: missing, damaged, of another size, length or frame rate than the suite, or the hash differs.
    """
    path = inside(root, row.file_name)
    video = read_video_as(path, form.frames, form.size, form.fps, f"case {row.id!r}")
    if row.reference_sha256 is not None and reference_sha256(video) != row.reference_sha256:
        what = f"case {row.id!r}: its content does not match 'reference_sha256' in metadata.jsonl"
        raise InputError(path, what, RESTORE)
    return video


def _pack(case: Case) -> Arrays:
    arrays: Arrays = {
        "boxes": np.stack([o.boxes for o in case.objects]),
        "visible": np.stack([o.visible for o in case.objects]),
    }
    for i, o in enumerate(case.objects):
        if o.masks is not None:
            arrays[f"masks_{i}"] = Bits.of(o.masks).packed.reshape(len(o.masks), -1)
            arrays[f"masks_shape_{i}"] = np.array(o.masks.shape, np.int64)
        for name, array in (("centres", o.centres), ("points", o.points), ("point_visible", o.point_visible)):
            if array is not None:
                arrays[f"{name}_{i}"] = array
    return arrays


def _unpack(arrays: Arrays, names: tuple[str, ...], form: Form) -> tuple[ObjectTrack, ...]:
    known = {f"{kind}_{i}" for kind in KINDS for i in range(len(names))}
    strange = sorted(set(arrays) - known - {"boxes", "visible"})
    if strange:
        raise InputError("arrays", f"{strange[0]!r} belongs to none of {len(names)} objects", RESTORE)
    for name, tail in (("boxes", (form.frames, 4)), ("visible", (form.frames,))):
        shape = (len(names), *tail)
        if name in arrays and arrays[name].shape != shape:
            raise InputError(f"array {name!r}", f"has shape {arrays[name].shape}", f"give {shape}")
    return tuple(_unpack_object(arrays, i, name, form) for i, name in enumerate(names))


def _unpack_object(arrays: Arrays, i: int, name: str, form: Form) -> ObjectTrack:
    masks = _unpack_masks(arrays, i, form)
    whole = masks is not None and len(masks) == form.frames
    own = {kind: arrays.get(f"{kind}_{i}") for kind in KINDS[2:]}
    centres, points = (None if own[k] is None else _as(own[k], np.float32, f"{k}_{i}") for k in ("centres", "points"))
    seen = None if own["point_visible"] is None else _as(own["point_visible"], np.bool_, f"point_visible_{i}")
    if "boxes" in arrays:
        boxes = _as(arrays["boxes"][i], np.float32, "boxes")
    elif masks is not None and whole and masks.any():
        boxes = boxes_of(masks)
    elif points is not None and points.ndim == 3 and points.size and points.shape[2] == 2:
        boxes = around(points)
    else:
        raise InputError(f"object {name!r}", "has neither boxes, points nor masks on every frame", "give one of them")
    if "visible" in arrays:
        visible = _as(arrays["visible"][i], np.bool_, "visible")
    elif masks is not None and whole:
        visible = np.asarray(masks.any(axis=(1, 2)))
    else:
        visible = touches(boxes, form.size[1], form.size[0])
        if seen is not None and seen.shape[1:] == visible.shape and "boxes" not in arrays:
            visible &= seen.any(axis=0)
    return ObjectTrack(name, boxes, visible, masks, centres, points, seen)


def _as(array: Any, dtype: Any, name: str) -> npt.NDArray[Any]:
    number = array.dtype.kind in "fiu" if dtype == np.float32 else array.dtype.kind == "b"
    if not number:
        raise InputError(f"array {name!r}", f"is {array.dtype}", f"give {np.dtype(dtype)}")
    return np.asarray(array, dtype)


def _unpack_masks(arrays: Arrays, i: int, form: Form) -> npt.NDArray[np.bool_] | None:
    packed = arrays.get(f"masks_{i}")
    if packed is None:
        return None
    shape = tuple(int(n) for n in arrays.get(f"masks_shape_{i}", np.array([len(packed), *form.size])).ravel())
    pixels = form.size[0] * form.size[1]
    at = f"array 'masks_{i}'"
    if shape not in ((1, *form.size), (form.frames, *form.size)):
        raise InputError(at, f"shape is {shape}", f"give {(form.frames, *form.size)} or {(1, *form.size)}")
    if packed.dtype != np.uint8 or packed.shape != (shape[0], -(-pixels // 8)):
        what = f"is {packed.dtype} {packed.shape}"
        raise InputError(at, what, f"give uint8 {(shape[0], -(-pixels // 8))}: the bits of {shape}, frame by frame")
    return np.asarray(Bits(shape, packed))


def boxes_of(masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Tight boxes of masks; a frame without any pixel takes the box of the last frame that had some, or of the first.

    Args:
        masks: bool `[T, H, W]`, True somewhere.

    Returns:
        float32 `[T, 4]` px.
    """
    boxes = tight(masks).astype(np.float32)
    seen = np.isfinite(boxes[:, 0])
    source = np.maximum.accumulate(np.where(seen, np.arange(len(masks)), -1))
    return boxes[np.where(source < 0, seen.argmax(), source)]
