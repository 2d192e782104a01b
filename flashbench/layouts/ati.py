"""ATI: `test.yaml`, a list of {image, text, track}; a track file is `torch.save` of the bytes of an npz.

Documented by ATI's code and examples: the npz has `array`, float32 `[N, 121, 1, 3]` = 8 x (x, y, visible), px of the
image; 121 frames at 24 a second, shorter tracks padded with their last point. Read with `weights_only=True`. Supposed:
where the true videos lie (`videos/NAME.mp4`), which ATI does not have.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Suite
from flashbench.errors import InputError
from flashbench.files.atomic import read_text, write_bytes, write_text
from flashbench.files.png import write_png
from flashbench.files.video import write_mp4
from flashbench.layouts.clips import Clip, Source
from flashbench.layouts.points import Paths, clip_of, paths_of

FRAMES, SCALE = 121, 8.0
LIST = "test.yaml"


def read(root: Path) -> Source:
    """The entries of `test.yaml`.

    Raises:
        InputError: it is missing or no list of {image, text, track}.
    """
    import yaml

    path = root / LIST
    try:
        entries = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise InputError(path, f"cannot be read ({type(error).__name__})", "give the folder with test.yaml") from error
    good = isinstance(entries, list) and all(isinstance(e, dict) and {"text", "track"} <= set(e) for e in entries)
    if not good or not entries:
        raise InputError(path, "is no list of {image, text, track}", "write one entry a video")
    held = {Path(str(e["track"])).stem: e for e in entries}
    return Source(root.resolve().name, tuple(held), lambda i: _clip(root, i, held[i]))


def _clip(root: Path, clip_id: str, entry: dict[str, Any]) -> Clip:
    named = Path(str(entry["track"]))
    track = next((p for p in (root / named, root / "tracks" / named.name) if p.is_file()), root / named)
    array = read_track(track)
    paths = Paths(array[:, :, :2], array[:, :, 2] > 0.5)
    return clip_of(root, clip_id, str(entry["text"]).strip(), paths, [f"object {n + 1}" for n in range(len(array))])


def read_track(path: Path) -> npt.NDArray[np.float32]:
    """Tracks `[N, T, 3]`: x, y in px of the image, and 1 where visible.

    Raises:
        InputError: not the bytes of an npz with such an array; code in the file.
    """
    import torch

    try:
        data = torch.load(path, weights_only=True)
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            array = np.asarray(held["array"], np.float32) / SCALE
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(path, f"is no track file ({type(error).__name__})", "give ATI's .pth") from error
    if array.ndim != 4 or array.shape[2:] != (1, 3):
        raise InputError(path, f"holds {array.shape}", "give [N, T, 1, 3]")
    if not np.isfinite(array).all():
        raise InputError(path, "holds NaN or infinity", "give finite numbers, and 0 as third where it is hidden")
    return array[:, :, 0]


def write(suite: Suite, root: Path) -> None:
    """Writes a suite for ATI: one track an object, held at its last point to 121 frames, or cut there."""
    import torch
    import yaml

    entries = []
    for case_id in suite.case_ids:
        case, video = suite.load_case(case_id), suite.load_reference(case_id)
        paths, at = paths_of(case), np.minimum(np.arange(FRAMES), case.frames - 1)
        array = np.concatenate([paths.xy, paths.visible[..., None]], axis=2)[:, at, None]
        npz, out = io.BytesIO(), io.BytesIO()
        np.savez_compressed(npz, array=(SCALE * array).astype(np.float32))
        torch.save(npz.getvalue(), out)
        write_bytes(root / "tracks" / f"{case_id}.pth", out.getvalue())
        write_png(root / "images" / f"{case_id}.png", case.first_frame)
        write_mp4(root / "videos" / f"{case_id}.mp4", video, case.fps)
        names = {"image": f"images/{case_id}.png", "text": case.prompt, "track": f"tracks/{case_id}.pth"}
        entries.append(names)
    write_text(root / LIST, yaml.safe_dump(entries, sort_keys=False, allow_unicode=True))
