"""From an image, a prompt and box keyframes to a case: what a person draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Case, Condition, ObjectTrack, touches
from flashbench.cases.segment import mask_in
from flashbench.errors import InputError
from flashbench.files.atomic import read_json
from flashbench.files.png import read_png


def carried(
    mask: npt.NDArray[np.bool_], track: npt.NDArray[np.float32], visible: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """A frame-0 mask `[H, W]` moved and stretched with its box `[T, 4]` px: bool `[T, H, W]`, empty where unseen."""
    import cv2

    out = np.zeros((len(track), *mask.shape), np.bool_)
    out[0] = mask
    first, size = track[0], mask.shape[::-1]
    for t in np.flatnonzero(visible[1:]) + 1:
        scale = (first[2:] - first[:2]) / (track[t, 2:] - track[t, :2])
        back = np.array([[scale[0], 0, 0], [0, scale[1], 0]], np.float64)  # from frame t to frame 0
        back[:, 2] = first[:2] - scale * track[t, :2]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        out[t] = cv2.warpAffine(mask.astype(np.float32), back, size, flags=flags) > 0.5
    return out


def _object(
    where: Path, i: int, entry: Any, image: npt.NDArray[np.uint8], frames: int, folder: Path, condition: str
) -> ObjectTrack:
    field = f"objects[{i}]"
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"].strip():
        raise InputError(where, f"{field}.name is missing", "name each object")
    keys = entry.get("keyframes")
    if not isinstance(keys, list) or not keys:
        raise InputError(where, f"{field}.keyframes is empty", 'give [{"frame": 0, "box": [x0, y0, x1, y1]}, ...]')
    try:
        at = np.array([int(k["frame"]) for k in keys])
        boxes = np.array([k["box"] for k in keys], np.float64).reshape(len(keys), 4)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            where, f"{field}.keyframes cannot be read ({error})", "give each a frame and a box of four numbers, px"
        ) from error
    if at[0] != 0 or (np.diff(at) <= 0).any() or at[-1] >= frames or not np.isfinite(boxes).all():
        raise InputError(
            where,
            f"{field}.keyframes are not rising frames from 0 to {frames - 1} with finite boxes",
            "begin with frame 0 and sort them",
        )
    if not (boxes[:, 2:] > boxes[:, :2]).all():
        raise InputError(where, f"{field}.keyframes: a box has no area", "give x1 > x0 and y1 > y0")
    track = np.stack([np.interp(np.arange(frames), at, boxes[:, k]) for k in range(4)], axis=1).astype(np.float32)
    h, w = image.shape[:2]
    visible = touches(track, w, h)
    if not visible[0]:
        raise InputError(where, f"{field} lies outside the image on frame 0", f"give a box inside {w}x{h} px")
    if "mask" in entry:
        if not isinstance(entry["mask"], str):
            raise InputError(where, f"{field}.mask is no file name", "give the path of a PNG, beside this file")
        mask = read_png(folder / entry["mask"])[..., 0] > 127
        if mask.shape != (h, w):
            raise InputError(
                where, f"{field}.mask is {mask.shape[1]}x{mask.shape[0]} px", f"give {w}x{h} px, as the image"
            )
        if not mask.any():
            raise InputError(where, f"{field}.mask is black all over", "paint the object white")
    else:
        mask = mask_in(image, track[0])
    masks = carried(mask, track, visible) if condition == "masks" else mask[None]
    return ObjectTrack(entry["name"], track, visible, masks)


def case_from_keyframes(
    image: npt.NDArray[np.uint8],
    prompt: str,
    path: Path,
    frames: int,
    fps: float = 24.0,
    condition: Condition = "boxes",
) -> Case:
    """Reads a JSON `{"objects": [{"name", "keyframes": [{"frame", "box"}], "mask"?: PNG}]}`.

    Boxes are px and go in straight lines from keyframe to keyframe. Under condition `masks` the frame-0 mask is moved
    and stretched with the box: what a model that was trained with masks can be asked.

    Raises:
        InputError: the file cannot be read or a field is wrong.
    """
    data = read_json(path)
    objects = data.get("objects") if isinstance(data, dict) else None
    if not isinstance(objects, list) or not objects:
        raise InputError(path, "objects is missing or empty", 'give {"objects": [{"name": ..., "keyframes": [...]}]}')
    tracks = tuple(_object(path, i, o, image, frames, path.parent, condition) for i, o in enumerate(objects))
    return Case("sample", prompt, image, tracks, fps, condition)
