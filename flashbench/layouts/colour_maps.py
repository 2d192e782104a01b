"""Objects drawn as colours on black, one colour an object: MagicData's masks and boxes.

Maps of few colours (PNGs) are taken as they are: each colour is an object. Compressed video changes colours and blends
them with black at edges: there the colours are those of evenly coloured patches, a pixel belongs to the nearest of
which it is at least half and whose hue it has, and specks are dropped.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Maps = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
DARK = 24  # brightest channel of what counts as background
NEAR = 45.0  # largest distance in RGB of a pixel from the line between black and its object's colour
SPECK = 0.05  # parts smaller than this share of an object's largest part are compression
LEAST = 12  # pixels of the smallest object that is taken for one in compressed maps
FEW = 64  # most colours of maps that were never compressed
EVEN = 12  # largest difference of a pixel of an evenly coloured patch from its neighbours
EDGE = 4.0  # px from a patch's border within which compressed colours run over
LUMA = np.array([0.299, 0.587, 0.114])  # of BT.601
DRIFT = 20.0  # largest distance in RGB between two pixels of one object's evenly coloured patches


def _share(pixels: npt.NDArray[np.generic], colour: npt.NDArray[np.generic]) -> tuple[Floats, Floats]:
    """How much of a colour pixels `[..., 3]` are (1 = all, 0 = black), and their distance from its line to black."""
    p, c = pixels.astype(np.float64), colour.astype(np.float64)
    share = np.clip(p @ c / (c @ c), 0, 1.2)
    return share, np.linalg.norm(p - share[..., None] * c, axis=-1)


def colours_of(maps: Maps) -> npt.NDArray[np.uint8]:
    """Colours of the objects of maps `[T, H, W, 3]`: `[N, 3]`, those of frame 0 before the later ones, large first.

    In compressed maps those of frame 0 alone: what comes later there, in a hue of its own, is in no mask.
    """
    few = _distinct(maps)
    if len(few) <= FEW:
        size = {tuple(c): [int((frame == c).all(axis=-1).sum()) for frame in (maps[0], maps)] for c in few}
        ordered = sorted(size, key=lambda c: (size[c][0], size[c][1]), reverse=True)
        return np.array(ordered, np.uint8).reshape(-1, 3)
    frame = maps[0]
    found = _commonest(
        frame[_even(frame)], lambda values, c: np.linalg.norm(values.astype(np.float64) - c, axis=-1) <= DRIFT
    )
    if not len(found):  # nothing but thin lines
        found = _commonest(frame.reshape(-1, 3), lambda values, c: _share(values, c)[1] <= NEAR)
    return found


def _distinct(maps: Maps) -> npt.NDArray[np.uint8]:
    """The colours of maps `[T, H, W, 3]` but black, `[K, 3]`."""
    there = np.zeros(2**24, np.bool_)
    for frame in maps:
        there[frame.astype(np.int64) @ (1 << 16, 1 << 8, 1)] = True
    codes = np.flatnonzero(there[1:]) + 1
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.uint8)


def _even(frame: Maps) -> Bools:
    """Pixels `[H, W]` of patches of one colour."""
    square = np.ones((3, 3), np.uint8)
    low, high = cv2.erode(frame, square), cv2.dilate(frame, square)
    return np.asarray((high.astype(np.int16) - low <= EVEN).all(axis=-1))


def _commonest(pixels: Maps, alike: Callable[[Maps, Maps], Bools]) -> npt.NDArray[np.uint8]:
    """Colours `[N, 3]` among pixels `[K, 3]` that are not dark, the commonest first; each takes those alike to it."""
    values, counts = np.unique(pixels[pixels.max(axis=1) > DARK], axis=0, return_counts=True)
    out: list[Maps] = []
    while len(values):
        colour = values[counts.argmax()]
        near = alike(values, colour)
        if counts[near].sum() >= LEAST:
            out.append(colour)
        values, counts = values[~near], counts[~near]
    return np.array(out, np.uint8).reshape(-1, 3)


def masks_of(maps: Maps, colours: npt.NDArray[np.uint8]) -> Bools:
    """Filled masks of each of the maps' colours, bool `[N, T, H, W]`, of maps `[T, H, W, 3]`."""
    if len(_distinct(maps)) <= FEW:
        return np.stack([(maps == c).all(axis=-1) for c in colours])
    out = np.zeros((len(colours), *maps.shape[:3]), np.bool_)
    for t, frame in enumerate(maps):
        nearest = _nearest(frame, colours)
        bright = frame @ LUMA
        for n, colour in enumerate(colours):
            out[n, t] = _without_specks((nearest == n) & (bright >= 0.5 * (colour @ LUMA)))
    return out


def _nearest(frame: Maps, colours: Maps) -> npt.NDArray[np.int64]:
    """The number of each pixel's colour `[H, W]`, -1 for none.

    Colour is stored more coarsely than brightness and runs over an object's edge: there a pixel is of the colour of
    the evenly coloured patch next to it.
    """
    away = np.stack([_share(frame, c)[1] for c in colours])
    nearest = np.where(away.min(axis=0) <= NEAR, away.argmin(axis=0), -1)
    even = _even(frame) & (frame.max(axis=-1) > DARK)
    if not even.any():
        return nearest
    distance, patch = cv2.distanceTransformWithLabels(
        np.logical_not(even).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_patch = np.full(int(patch.max()) + 1, -1)
    of_patch[patch[even]] = nearest[even]
    return np.where(distance <= EDGE, of_patch[patch], nearest)


def _without_specks(mask: Bools) -> Bools:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    return np.asarray((areas >= SPECK * areas.max())[labels])


def outlines_of(maps: Maps, colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Boxes `[N, T, 4]` px around what is drawn in each colour (outlines or filled); NaN where nothing is."""
    masks = masks_of(maps, colours)
    out = np.full((*masks.shape[:2], 4), np.nan, np.float32)
    for n, t in zip(*np.nonzero(masks.any(axis=(2, 3))), strict=True):
        rows, columns = np.flatnonzero(masks[n, t].any(1)), np.flatnonzero(masks[n, t].any(0))
        out[n, t] = columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5
    return out
