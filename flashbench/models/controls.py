"""Controls: answers that need no network and show what a score is worth.

`reference` gives the ceiling, `static` a video without motion, `cutout` the training-free baseline that moves pieces
of the first frame, `shuffled` a good-looking video on the wrong paths.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Case, Suite, stratum_of
from flashbench.errors import InputError

Floats = npt.NDArray[np.float64]
VERSION = 1  # part of the fingerprints: raise it when a control makes other pixels


def _fingerprint(name: str, *parts: str) -> str:
    return hashlib.sha256(" ".join([name, str(VERSION), *parts]).encode()).hexdigest()


class Reference:
    """The true video, which no model sees: the ceiling of every score, and the floor of every tracker."""

    name = "reference"
    info: dict[str, Any] = {"kind": "control", "what": "the reference video itself"}

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self.fingerprint = _fingerprint(self.name)

    def generate(self, case: Case, seed: int) -> npt.NDArray[np.uint8]:
        """The reference video of the case, uint8 `[T, H, W, 3]`."""
        return self._suite.load_reference(case.id)


class Static:
    """The first frame, repeated."""

    name = "static"
    info: dict[str, Any] = {"kind": "control", "what": "the first frame, repeated"}

    def __init__(self, suite: Suite) -> None:
        self.fingerprint = _fingerprint(self.name)

    def generate(self, case: Case, seed: int) -> npt.NDArray[np.uint8]:
        """The first frame T times, uint8 `[T, H, W, 3]`."""
        return np.repeat(case.first_frame[None], case.frames, axis=0)


class Cutout:
    """Cuts the objects out of the first frame and moves and scales them with the asked boxes.

    The holes are inpainted once, so the background stands still. Objects are drawn in the order in which the case
    lists them, later ones over earlier ones, on the frames on which they are asked to be visible; they are resampled
    with a triangle filter as wide as the coarser of the two grids, so that motion is subpixel and antialiased.
    """

    name = "cutout"
    info: dict[str, Any] = {"kind": "baseline without training", "what": "first-frame cut-outs moved with the boxes"}

    def __init__(self, suite: Suite) -> None:
        self.fingerprint = _fingerprint(self.name)

    def generate(self, case: Case, seed: int) -> npt.NDArray[np.uint8]:
        """The cut-outs on their asked boxes, uint8 `[T, H, W, 3]`; frame 0 is the given one."""
        boxes = [np.asarray(o.boxes, np.float64) for o in case.objects]
        return move_cutouts(case, boxes, [o.visible for o in case.objects])


class Shuffled:
    """As `cutout`, but each object starts in its own place and follows another object's displacement.

    The donor is the next case of the suite, in a ring, with the same stratum, or the next one at all if there is
    none; object k follows its object k (counted in a ring). Only the displacement of the box centre is taken over:
    objects keep their size, and are drawn on every frame.
    """

    name = "shuffled"
    info: dict[str, Any] = {"kind": "control", "what": "cut-outs on the paths of another case's objects"}

    def __init__(self, suite: Suite) -> None:
        if len(suite) < 2:
            raise InputError("model 'shuffled'", "has no other case to take paths from", "use at least two cases")
        self._suite = suite
        self._boxes: dict[str, list[Floats]] = {}

    @cached_property
    def fingerprint(self) -> str:
        """Depends on the whole suite: another set of cases gives other donors."""
        return _fingerprint(self.name, self._suite.content_sha256)

    def generate(self, case: Case, seed: int) -> npt.NDArray[np.uint8]:
        """The cut-outs on paths that nobody asked for, uint8 `[T, H, W, 3]`; frame 0 is the given one."""
        paths = [(b[:, :2] + b[:, 2:]) / 2 for b in self._boxes_of(self.donor(case))]
        boxes = []
        for i, o in enumerate(case.objects):
            shift = paths[i % len(paths)] - paths[i % len(paths)][0]
            boxes.append(np.asarray(o.boxes[0], np.float64) + np.tile(shift, 2))
        return move_cutouts(case, boxes, [np.ones(case.frames, np.bool_)] * len(boxes))

    def donor(self, case: Case) -> str:
        """Id of the case whose paths `case` is given."""
        ids = self._suite.case_ids
        at = ids.index(case.id)
        ring = ids[at + 1 :] + ids[:at]
        same = (i for i in ring if stratum_of(len(self._boxes_of(i))) == case.stratum)
        return next(same, ring[0])

    def _boxes_of(self, case_id: str) -> list[Floats]:
        if case_id not in self._boxes:
            objects = self._suite.load_case(case_id).asked().objects
            self._boxes[case_id] = [np.asarray(o.boxes, np.float64) for o in objects]
        return self._boxes[case_id]


def move_cutouts(case: Case, boxes: list[Floats], visible: list[npt.NDArray[np.bool_]]) -> npt.NDArray[np.uint8]:
    """Draws the first-frame cut-outs of a case on given boxes.

    Args:
        case: first frame and frame-0 masks and boxes (an object without a mask is cut out along its box).
        boxes: per object float64 `[T, 4]` px; the cut-out's frame-0 box is carried to the box of each frame.
        visible: per object bool `[T]`: the frames on which it is drawn.

    Returns:
        uint8 `[T, H, W, 3]` RGB. Frame 0 is the first frame itself.
    """
    masks = [_frame0_mask(case, i) for i in range(len(case.objects))]
    ground = _inpainted(case.first_frame, np.logical_or.reduce(masks))
    video = np.empty((case.frames, *case.first_frame.shape), np.uint8)
    video[0] = case.first_frame
    pieces = [_cut(case.first_frame, mask) for mask in masks]
    starts = [np.asarray(o.boxes[0], np.float64) for o in case.objects]
    for t in range(1, case.frames):
        canvas = ground.astype(np.float64)
        for piece, start, box, seen in zip(pieces, starts, boxes, visible, strict=True):
            if piece is not None and seen[t]:
                _draw(canvas, *piece, start, box[t])
        video[t] = np.rint(canvas).clip(0, 255)
    return video


def _frame0_mask(case: Case, i: int) -> npt.NDArray[np.bool_]:
    o, (height, width) = case.objects[i], case.size
    if o.masks is not None:
        return np.asarray(o.masks[0])
    x, y = np.arange(width), np.arange(height)[:, None]
    x0, y0, x1, y1 = o.boxes[0]
    return np.asarray((x > x0) & (x < x1) & (y > y0) & (y < y1) & o.visible[0])


def _inpainted(frame: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """The frame with the masked pixels, and a rim of 2 px where objects blend into the ground, filled in (Telea)."""
    hole = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8))
    return np.asarray(cv2.inpaint(frame, hole, 3, cv2.INPAINT_TELEA), np.uint8) if hole.any() else frame


def _cut(frame: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]) -> tuple[Floats, int, int] | None:
    """The masked pixels as premultiplied RGBA float64 `[h, w, 4]`, with the left and top of the crop; None if empty."""
    if not mask.any():
        return None
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    crop = np.s_[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
    alpha = mask[crop][..., None].astype(np.float64)
    return np.concatenate([frame[crop] * alpha, alpha], axis=-1), int(xs[0]), int(ys[0])


def _draw(canvas: Floats, piece: Floats, left: int, top: int, start: Floats, box: Floats) -> None:
    """Blends a piece of the frame-0 box `start`, carried to `box`, into `canvas` `[H, W, 3]`."""
    x, wx = _weights(left, piece.shape[1], start[0], start[2], box[0], box[2], canvas.shape[1])
    y, wy = _weights(top, piece.shape[0], start[1], start[3], box[1], box[3], canvas.shape[0])
    if len(x) == 0 or len(y) == 0:
        return
    rgba = np.einsum("ya,abc,xb->yxc", wy, piece, wx, optimize=True)
    window = canvas[y[0] : y[-1] + 1, x[0] : x[-1] + 1]
    window *= 1 - rgba[..., 3:]
    window += rgba[..., :3]


def _weights(
    first: int, length: int, from0: float, from1: float, to0: float, to1: float, extent: int
) -> tuple[npt.NDArray[np.int64], Floats]:
    """One axis of the resampling that carries the interval [from0, from1] to [to0, to1].

    Args:
        first, length: pixels of the piece, `first ... first + length - 1`.
        extent: number of pixels of the canvas.

    Returns:
        The canvas pixels that the piece reaches, int64 `[n]`, and their weights on its pixels, float64 `[n, length]`.
    """
    scale = (from1 - from0) / (to1 - to0)  # piece pixels per canvas pixel
    radius = max(1.0, scale)
    centre = from0 + (np.arange(extent) - to0) * scale - first
    reached = np.flatnonzero((centre > -radius) & (centre < length - 1 + radius))
    pad = int(np.ceil(2 * radius))
    taps = np.arange(-pad, length + pad)
    weights = np.maximum(0.0, 1 - np.abs(taps - centre[reached, None]) / radius)
    weights /= weights.sum(axis=1, keepdims=True)
    return reached, weights[:, pad : pad + length]
