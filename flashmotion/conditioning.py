"""Masks and boxes as colour-map video (MagicMotion's maps; the paper, section 3).

Black background, one colour an object. Frame 0 always shows filled masks; later frames show filled masks
(`masks`) or box outlines, max(1, min(H, W) // 100) px wide (`boxes`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Case
from flashbench.errors import InputError

# Far apart in RGB, so that a linear codec keeps them apart; half strength as in MagicMotion (opacity 0.5 on black).
# fmt: off
PALETTE = np.array(
    [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [255, 0, 255], [0, 255, 255], [255, 140, 0], [160, 160, 255],
     [150, 255, 150], [255, 150, 190], [190, 110, 40], [255, 255, 255]],
    np.uint8,
) // 2 + 63
# fmt: on
COLOURS = np.concatenate([np.zeros((1, 3), np.uint8), PALETTE])  # by index: 0 where nothing is


def _outline(canvas: npt.NDArray[np.uint8], box: npt.NDArray[np.float32], colour: int) -> None:
    h, w = canvas.shape
    width = max(1, min(h, w) // 100)
    x0, y0 = np.ceil(box[:2]).astype(int)
    x1, y1 = np.floor(box[2:]).astype(int)
    for k in range(width):
        for x in (x0 + k, x1 - k):
            if 0 <= x < w:
                canvas[max(y0, 0) : max(y1 + 1, 0), x] = colour
        for y in (y0 + k, y1 - k):
            if 0 <= y < h:
                canvas[y, max(x0, 0) : max(x1 + 1, 0)] = colour


def index_maps(
    masks: npt.NDArray[np.bool_],
    boxes: npt.NDArray[np.float32],
    visible: npt.NDArray[np.bool_],
    condition: str,
) -> npt.NDArray[np.uint8]:
    """Draws the condition in numbers of colours.

    Args:
        masks: bool `[N, F, H, W]`, or `[N, 1, H, W]` where only frame 0 is needed.
        boxes: float32 `[N, F, 4]` px.
        visible: bool `[N, F]`; boxes of unseen objects are left out.
        condition: `masks` or `boxes`.

    Returns:
        uint8 `[F, H, W]`, 0 where nothing is.
    """
    n, f = visible.shape
    maps = np.zeros((f, *masks.shape[2:]), np.uint8)
    for i in range(n):
        colour = 1 + i % len(PALETTE)
        filled = masks[i] if condition == "masks" else masks[i, :1]
        maps[: len(filled)][filled] = colour
        if condition == "boxes":
            for k in np.flatnonzero(visible[i]):
                if k > 0:
                    _outline(maps[k], boxes[i, k], colour)
    return maps


def colour_maps(
    masks: npt.NDArray[np.bool_], boxes: npt.NDArray[np.float32], visible: npt.NDArray[np.bool_], condition: str
) -> npt.NDArray[np.uint8]:
    """Draws the condition, as `index_maps` takes it: uint8 `[F, H, W, 3]`."""
    return COLOURS[index_maps(masks, boxes, visible, condition)]


def maps_of(case: Case) -> npt.NDArray[np.uint8]:
    """Colour maps uint8 `[T, H, W, 3]` of a case as it is asked.

    Raises:
        InputError: an object lacks masks that the maps show: on frame 0, under condition `masks` on every frame.
    """
    frames = case.frames if case.condition == "masks" else 1
    for o in case.objects:
        if o.masks is None or len(o.masks) < frames:
            lacking = "frame 0" if o.masks is None else "every frame"
            what = f"object {o.name!r} has no mask on {lacking}, which the model needs"
            raise InputError(f"case {case.id!r}", what, f"give a suite with masks on {lacking}, or use another model")
    masks = np.stack([o.masks[:frames] for o in case.objects if o.masks is not None])
    boxes, visible = np.stack([o.boxes for o in case.objects]), np.stack([o.visible for o in case.objects])
    return colour_maps(masks, boxes, visible, case.condition)
