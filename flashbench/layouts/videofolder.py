"""`videofolder` of Hugging Face's datasets: videos and `metadata.jsonl` (or `.csv`), one line a video.

Documented by `datasets`: the names of the lists and `file_name`, relative to the list; other columns are free. Ours:
`prompt` (or `text`, `caption`); `names`, one noun phrase an object; and per object `boxes` `[N][T][x0, y0, x1, y1]` px
or `points` `[N][T][x, y]` px, null on frames on which the object is not seen. In a CSV they are JSON in a cell.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Suite
from flashbench.errors import InputError
from flashbench.files.atomic import leads_out, read_text, write_text
from flashbench.files.video import probe, read_video, write_mp4
from flashbench.layouts.clips import Clip, ClipObject, Source, table

LISTS = ("metadata.jsonl", "metadata.csv")
PROMPTS = ("prompt", "text", "caption")
KINDS = {"boxes": 4, "points": 2}


def read(root: Path) -> Source:
    """The videos of a folder in this layout.

    Raises:
        InputError: no list, a line that is no JSON, without `file_name`, without a prompt, or without paths.
    """
    path = next((root / name for name in LISTS if (root / name).is_file()), None)
    if path is None:
        raise InputError(root, "holds neither metadata.jsonl nor metadata.csv", "list the videos in one of them")
    rows = _csv(path) if path.suffix == ".csv" else _jsonl(path)
    known: dict[str, tuple[str, dict[str, Any]]] = {}
    for number, row in enumerate(rows, start=2 if path.suffix == ".csv" else 1):
        where = f"{path}, line {number}"
        name = row.get("file_name")
        if not isinstance(name, str) or not name:
            raise InputError(where, "field 'file_name' is missing", "name the video, relative to the list")
        stem = Path(name).stem
        known[stem if stem not in known else f"{stem}-{number}"] = where, row
    return Source(root.resolve().name, tuple(known), lambda i: _clip(root, i, *known[i]))


def _jsonl(path: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(
                    f"{path}, line {number}", f"is not JSON: {error}", "write one object a line"
                ) from error
            if not isinstance(row, dict):
                raise InputError(f"{path}, line {number}", "is not a JSON object", "write one object a line")
            rows.append(row)
    return rows


def _csv(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [*table(path, ("file_name",))[0]]
    for number, row in enumerate(rows, start=2):
        for name in ("names", *KINDS):
            if row.get(name):
                try:
                    row[name] = json.loads(row[name])
                except json.JSONDecodeError as error:
                    raise InputError(
                        f"{path}, line {number}", f"field {name!r} is not JSON: {error}", "quote it as one cell"
                    ) from error
    return rows


def _clip(root: Path, clip_id: str, where: str, row: dict[str, Any]) -> Clip:
    path = root / row["file_name"]
    if leads_out(root, path):
        raise InputError(
            where, f"field 'file_name': {row['file_name']!r} leads out of the folder", "put the file there"
        )
    if not path.exists():
        raise InputError(path, "is missing, though the list names it", "restore it, or drop the line")
    prompt = next((row[name] for name in PROMPTS if isinstance(row.get(name), str) and row[name].strip()), None)
    if prompt is None:
        raise InputError(where, f"has no {' or '.join(PROMPTS)}", "give the video a sentence")
    video, fps = read_video(path), probe(path).fps or 24.0
    kind = next((k for k in KINDS if row.get(k)), None)
    if kind is None:
        mend = "give boxes or points, or make the case with `flashbench annotate`"
        raise InputError(where, "has neither boxes nor points of its objects", mend)
    if not isinstance(row[kind], list):
        raise InputError(where, f"field {kind!r} is no list", f"give one list of {kind} an object")
    paths = [
        _path(values, kind, len(video), f"{where}, field {kind!r}, object {n}") for n, values in enumerate(row[kind])
    ]
    names = row.get("names") or [f"object {n + 1}" for n in range(len(paths))]
    if not isinstance(names, list) or len(names) != len(paths) or not all(isinstance(n, str) for n in names):
        raise InputError(where, f"field 'names' does not name the {len(paths)} objects", "give one text an object")
    objects = []
    for name, values in zip(names, paths, strict=True):
        if kind == "boxes":
            objects.append(ClipObject(name, boxes=values))
        else:
            seen = np.asarray(np.isfinite(values).all(-1), np.bool_)
            objects.append(ClipObject(name, points=_filled(values)[None], point_visible=seen[None]))
    return Clip(clip_id, prompt.strip(), video, fps, tuple(objects), path)


def _path(values: Any, kind: str, frames: int, where: str) -> npt.NDArray[np.float32]:
    """`[T, 2]` or `[T, 4]`, NaN where the object is not seen."""
    width = KINDS[kind]
    try:
        rows = [[np.nan] * width if v is None else [float(x) for x in v] for v in values]
        array = np.array(rows, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(where, "is not a list of numbers", f"give {width} numbers or null a frame") from error
    if array.ndim != 2 or array.shape[1] != width or len(array) < frames:
        what = f"has shape {list(array.shape)}, the video has {frames} frames"
        raise InputError(where, what, f"give {width} numbers or null for each frame")
    if not np.isfinite(array[[v is not None for v in values]]).all():
        raise InputError(where, "holds NaN or infinity", "write null where the object is not seen")
    return array[:frames]


def _filled(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Points with the last known one where they are not seen; the first known one before it."""
    seen = np.asarray(np.isfinite(points).all(-1), np.bool_)
    if not seen.any():
        return np.zeros_like(points)
    last = np.maximum.accumulate(np.where(seen, np.arange(len(points)), int(seen.argmax())))
    return points[last]


def write(suite: Suite, root: Path) -> None:
    """Writes a suite in this layout: boxes, or paths where an object of a case is points alone; null where hidden."""
    lines = []
    for case_id in suite.case_ids:
        case = suite.load_case(case_id)
        write_mp4(root / f"{case_id}.mp4", suite.load_reference(case_id), case.fps)
        kind = "points" if any(o.bare for o in case.objects) else "boxes"
        paths = [_written(o.path if kind == "points" else o.boxes, o.visible) for o in case.objects]
        names = [o.name for o in case.objects]
        row = {"file_name": f"{case_id}.mp4", "prompt": case.prompt, "names": names, kind: paths}
        lines.append(json.dumps(row, ensure_ascii=False))
    write_text(root / "metadata.jsonl", "\n".join(lines) + "\n")


def _written(values: npt.NDArray[np.float32], visible: npt.NDArray[np.bool_]) -> list[list[float] | None]:
    return [[round(float(x), 3) for x in v] if seen else None for v, seen in zip(values, visible, strict=True)]
