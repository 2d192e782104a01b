"""MagicData and MagicBench: `MagicData.csv`, `videos/ID.mp4`, `masks/ID/...png`, `boxs/ID/...png`.

Documented (MagicMotion's repository and data card): the three folders, the file names `annotated_frame_00000.png`, the
CSV's columns `text`, `path`, `num_frames`, the maps (filled masks; box outlines with masks on frame 0; one colour an
object on black). Supposed: that MagicBench has the same layout, that maps may also be `ID.mp4`, and that captions do
not name the objects one by one (they are called `object 1`, ...).
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Case, Suite
from flashbench.errors import InputError
from flashbench.files.atomic import replacing
from flashbench.files.png import write_png
from flashbench.files.video import probe, read_video, write_mp4
from flashbench.layouts.clips import Clip, ClipObject, Source, check_numbers, table
from flashbench.layouts.colour_maps import colours_of, masks_of, outlines_of

CAPTIONS = ("text", "caption", "prompt", "validation_prompt")
PATHS = ("path", "video", "video_path", "file_name", "id")
FRAME = "annotated_frame_{:05d}.png"
COLOURS = np.array(
    [[163, 81, 255], [255, 64, 64], [255, 161, 160], [255, 118, 51], [255, 182, 51], [209, 212, 53], [76, 251, 18],
     [148, 207, 26], [64, 222, 138], [27, 150, 64], [0, 214, 193], [46, 156, 170]], np.uint8,
) // 2  # fmt: skip


def read(root: Path) -> Source:
    """The clips of a folder in this layout.

    Raises:
        InputError: no CSV, no column of captions or paths, a row whose video is missing.
    """
    tables = sorted(root.glob("*.csv"))
    if not tables:
        raise InputError(root, "holds no CSV", "give the folder with MagicData.csv, videos/, masks/ and boxs/")
    rows, (caption, path) = table(tables[0], CAPTIONS, PATHS)
    known = {Path(row[path]).stem: row[caption].strip() for row in rows}

    def load(clip_id: str) -> Clip:
        return _clip(root, clip_id, known[clip_id])

    return Source(root.resolve().name, tuple(known), load)


def _clip(root: Path, clip_id: str, prompt: str) -> Clip:
    path = root / "videos" / f"{clip_id}.mp4"
    if not path.is_file():
        raise InputError(path, "is missing, though the CSV names it", "restore it, or drop the row")
    video, fps = read_video(path), probe(path).fps or 24.0
    filled, drawn = (_maps(root / kind, clip_id, video) for kind in ("masks", "boxs"))
    if filled is None and drawn is None:
        raise InputError(root / "masks" / clip_id, "is missing, and boxs too", "restore the maps, or drop the row")
    colours = colours_of(filled if filled is not None else drawn)  # type: ignore[arg-type]
    masks = None if filled is None else masks_of(filled, colours)
    boxes = None if drawn is None else outlines_of(drawn, colours)
    objects = []
    for n in range(len(colours)):
        box = None if boxes is None or masks is not None else boxes[n]
        objects.append(ClipObject(f"object {n + 1}", None if masks is None else masks[n], box))
    return Clip(clip_id, prompt or "A video.", video, fps, tuple(objects), path)


def _maps(folder: Path, clip_id: str, video: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8] | None:
    """Maps `[T, H, W, 3]` of the video's frames, or None where there are none."""
    path = next((p for p in (folder / clip_id, folder / f"{clip_id}.mp4") if p.exists()), None)
    if path is None:
        return None
    maps = read_video(path)
    if path.is_dir():
        check_numbers(path, sorted(p.stem for p in path.glob("*.png")))
    if maps.shape[1:3] != video.shape[1:3] or len(maps) < len(video):
        found, asked = (f"{len(v)} frames of {v.shape[2]}x{v.shape[1]} px" for v in (maps, video))
        what = f"maps are {found}, the video is {asked}"
        raise InputError(path, what, "give maps of the video's size and length")
    return maps[: len(video)]


def write(suite: Suite, root: Path) -> None:
    """Writes a suite in this layout: what MagicMotion reads. Boxes are outlines with filled masks on frame 0."""
    lines = []
    for case_id in suite.case_ids:
        case, video = suite.load_case(case_id), suite.load_reference(case_id)
        write_mp4(root / "videos" / f"{case_id}.mp4", video, case.fps)
        for kind, maps in (("masks", _drawn(case, boxes=False)), ("boxs", _drawn(case, boxes=True))):
            for t, frame in enumerate(maps):
                write_png(root / kind / case_id / FRAME.format(t), frame)
        lines.append([case.prompt, f"videos/{case_id}.mp4", case.frames])
    with replacing(root / "MagicData.csv") as temporary, Path(temporary).open("w", newline="") as file:
        csv.writer(file).writerows([["text", "path", "num_frames"], *lines])


def _drawn(case: Case, boxes: bool) -> npt.NDArray[np.uint8]:
    height, width = case.size
    out = np.zeros((case.frames, height, width, 3), np.uint8)
    line = max(1, min(height, width) // 100)
    for n, o in enumerate(case.objects):
        colour = COLOURS[n % len(COLOURS)]
        if o.masks is None:
            raise InputError(f"case {case.id!r}", f"object {o.name!r} has no masks", "export suites with masks")
        filled = o.masks if not boxes else o.masks[:1]
        out[: len(filled)][filled] = colour
        for t in np.flatnonzero(o.visible) if boxes else []:
            if t:
                x0, y0 = np.ceil(o.boxes[t, :2]).astype(int)
                x1, y1 = np.floor(o.boxes[t, 2:]).astype(int)
                ys, xs = np.mgrid[:height, :width]
                inside = (xs >= x0) & (xs <= x1) & (ys >= y0) & (ys <= y1)
                inner = (xs >= x0 + line) & (xs <= x1 - line) & (ys >= y0 + line) & (ys <= y1 - line)
                out[t][inside & ~inner] = colour
    return out
