"""Tora: text files, one `x,y` a line on a canvas of 256 x 256, one file a track.

Documented by Tora's code (read_points, process_traj): whole numbers, canvas 256 x 256 whatever the video's shape; a
file with more lines than frames is thinned, one with fewer is filled in. The rest of the folder is ours, since Tora
takes its paths on the command line: `prompts.txt` (lines `ID,PROMPT`), `trajs/ID/00.txt ...`, `images/ID.png`,
`videos/ID.mp4`. Tora's tracks know no visibility.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Suite
from flashbench.errors import InputError
from flashbench.files.atomic import read_text, write_text
from flashbench.files.png import write_png
from flashbench.files.video import write_mp4
from flashbench.layouts.clips import Clip, Source
from flashbench.layouts.points import Paths, clip_of, one_line, paths_of, video_of

CANVAS = 256


def read(root: Path) -> Source:
    """The clips of `prompts.txt`.

    Raises:
        InputError: it is missing, or a line has no comma.
    """
    path = root / "prompts.txt"
    if not path.is_file():
        raise InputError(path, "is missing", "write lines ID,PROMPT; see docs/layouts.md")
    lines = [line for line in read_text(path).split("\n") if line.strip()]
    if bad := [k for k, line in enumerate(lines, 1) if "," not in line]:
        raise InputError(path, f"line {bad[0]} has no comma", "write ID,PROMPT")
    prompts = {i.strip(): p.strip() for i, _, p in (line.partition(",") for line in lines)}
    return Source(root.resolve().name, tuple(prompts), lambda i: _clip(root, i, prompts[i]))


def _clip(root: Path, clip_id: str, prompt: str) -> Clip:
    files = sorted((root / "trajs" / clip_id).glob("*.txt"))
    if not files:
        raise InputError(root / "trajs" / clip_id, "holds no track", "write one text file a track, lines x,y")
    _, video, _ = video_of(root, clip_id)
    n, height, width = video.shape[:3]
    scale = np.array([width / CANVAS, height / CANVAS])
    xy = np.stack([_spread(_points(f), n) * scale for f in files]).astype(np.float32)
    paths = Paths(xy, np.ones(xy.shape[:2], np.bool_))
    return clip_of(root, clip_id, prompt, paths, [f"object {k + 1}" for k in range(len(files))])


def _points(path: Path) -> npt.NDArray[np.float64]:
    try:
        points = np.array(
            [[float(v) for v in line.split(",")] for line in read_text(path).splitlines() if line.strip()]
        )
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read ({error})", "write lines x,y") from error
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise InputError(path, "holds no lines x,y", "write one point a line")
    return points


def _spread(points: npt.NDArray[np.float64], frames: int) -> npt.NDArray[np.float64]:
    """Points at equal steps of their list, one a frame."""
    at = np.linspace(0, len(points) - 1, frames)
    return np.stack([np.interp(at, np.arange(len(points)), points[:, k]) for k in range(2)], axis=1)


def write(suite: Suite, root: Path) -> None:
    """Writes a suite for Tora: one track an object, one line a frame, rounded to the canvas and kept on it."""
    lines = []
    for case_id in suite.case_ids:
        case, video = suite.load_case(case_id), suite.load_reference(case_id)
        height, width = case.size
        for k, xy in enumerate(paths_of(case).xy):
            on = np.clip(np.rint(xy / (width, height) * CANVAS), 0, CANVAS - 1).astype(int)
            write_text(root / "trajs" / case_id / f"{k:02d}.txt", "".join(f"{x},{y}\n" for x, y in on))
        write_png(root / "images" / f"{case_id}.png", case.first_frame)
        write_mp4(root / "videos" / f"{case_id}.mp4", video, case.fps)
        lines.append(f"{case_id},{one_line(case.prompt)}\n")
    write_text(root / "prompts.txt", "".join(lines))
