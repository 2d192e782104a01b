"""MoveBench, what Wan-Move reads: `LANG/MODE_track.txt`, `LANG/first_frame/ID.jpg`, `LANG/track/MODE/ID_*.npy`.

Documented by Wan-Move's code and example (generate.py, examples/): MODE is `single` or `multi`; lines `ID,CAPTION`
split at the first comma; `ID_tracks.npy` float32 `[1, T, N, 2]` px of the first frame, (x, y); `ID_visibility.npy` bool
`[1, T, N]`; 81 frames at 16 a second. Supposed: that each track lies on an object of its own, and where the true videos
lie (`LANG/videos/ID.mp4`).
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Suite
from flashbench.errors import InputError
from flashbench.files.atomic import read_text, write_bytes, write_text
from flashbench.files.video import write_mp4
from flashbench.layouts.clips import Clip, Source
from flashbench.layouts.points import Paths, clip_of, one_line, paths_of, write_jpeg

MODES = ("multi", "single")


def read(root: Path) -> Source:
    """The clips of `root` (the folder of one language), those with several objects first.

    Raises:
        InputError: neither list is there, or a line has no comma.
    """
    found: dict[str, tuple[str, str]] = {}
    for mode in MODES:
        listed = root / f"{mode}_track.txt"
        if not listed.is_file():
            continue
        for number, line in enumerate(read_text(listed).split("\n"), 1):
            name, comma, caption = line.partition(",")
            if line.strip() and not comma:
                raise InputError(listed, f"line {number} has no comma", "write ID,CAPTION")
            if line.strip():
                found.setdefault(Path(name.strip()).stem, (mode, caption.strip()))
    if not found:
        raise InputError(
            root / "single_track.txt", "is missing or empty", "give the folder of one language, such as en"
        )
    return Source(root.resolve().name, tuple(found), lambda i: _clip(root, i, *found[i]))


def _clip(root: Path, clip_id: str, mode: str, caption: str) -> Clip:
    folder = root / "track" / mode
    xy = _array(folder / f"{clip_id}_tracks.npy", 4)[0]
    seen = _array(folder / f"{clip_id}_visibility.npy", 3)[0].astype(np.bool_)
    if xy.shape != (*seen.shape, 2):
        what = f"tracks {xy.shape} and visibility {seen.shape} do not fit"
        raise InputError(folder / f"{clip_id}_tracks.npy", what, "give [1, T, N, 2] and [1, T, N]")
    if not np.isfinite(xy[seen]).all():
        what = "holds NaN or infinity where a point is visible"
        raise InputError(folder / f"{clip_id}_tracks.npy", what, "give finite numbers, or mark it hidden there")
    paths = Paths(np.nan_to_num(xy.transpose(1, 0, 2)).astype(np.float32), seen.T)
    return clip_of(root, clip_id, caption, paths, [f"object {n + 1}" for n in range(len(seen.T))])


def _array(path: Path, axes: int) -> npt.NDArray[np.generic]:
    """An array of so many axes; a leading axis of one is added where it lacks."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read ({error})", "restore the file") from error
    if array.ndim == axes - 1:
        array = array[None]
    if array.ndim != axes or array.dtype.kind not in "fbiu" or not array.size:
        raise InputError(path, f"is {array.dtype} {array.shape}", f"give {axes} axes of numbers")
    return np.asarray(array)


def write(suite: Suite, root: Path) -> None:
    """Writes a suite as one language of MoveBench: one track an object, along its asked path."""
    lines = []
    for case_id in suite.case_ids:
        case, video = suite.load_case(case_id), suite.load_reference(case_id)
        paths = paths_of(case)
        for mode in MODES:
            folder = root / "track" / mode
            _save(folder / f"{case_id}_tracks.npy", paths.xy.transpose(1, 0, 2)[None])
            _save(folder / f"{case_id}_visibility.npy", paths.visible.T[None])
        write_jpeg(root / "first_frame" / f"{case_id}.jpg", case.first_frame)
        write_mp4(root / "videos" / f"{case_id}.mp4", video, case.fps)
        lines.append((len(case.objects), f"{case_id},{one_line(case.prompt)}\n"))
    write_text(root / "multi_track.txt", "".join(line for n, line in lines if n > 1))
    write_text(root / "single_track.txt", "".join(line for n, line in lines if n == 1))


def _save(path: Path, array: npt.NDArray[np.generic]) -> None:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    write_bytes(path, out.getvalue())
