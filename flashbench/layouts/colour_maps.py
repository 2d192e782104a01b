"""Objects drawn as colours on black, one colour an object: MagicData's masks and boxes.

Compressed video changes colours and blends them with black at edges: a pixel belongs to the colour of frame 0 of which
it is at least half, whose hue it has, and specks are dropped. In maps that hold nothing but frame 0's colours (PNGs)
pixels are taken as they are.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Maps = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
DARK = 24  # brightest channel of what counts as background
NEAR = 45.0  # largest distance in RGB of a pixel from the line between black and its object's colour
SPECK = 0.05  # parts smaller than this share of an object's largest part are compression
LEAST = 12  # pixels of the smallest object that is taken for one on frame 0


def _share(pixels: npt.NDArray[np.generic], colour: npt.NDArray[np.generic]) -> tuple[Floats, Floats]:
    """How much of a colour pixels `[..., 3]` are (1 = all, 0 = black), and their distance from its line to black."""
    p, c = pixels.astype(np.float64), colour.astype(np.float64)
    share = np.clip(p @ c / (c @ c), 0, 1.2)
    return share, np.linalg.norm(p - share[..., None] * c, axis=-1)


def colours_of(frame: Maps) -> npt.NDArray[np.uint8]:
    """Colours of the objects of a frame `[H, W, 3]`, the largest first: `[N, 3]`.

    Greedy: the commonest colour that is not dark and no blend of an earlier one with black.
    """
    pixels = frame.reshape(-1, 3)
    pixels = pixels[pixels.max(axis=1) > DARK]
    found: list[npt.NDArray[np.uint8]] = []
    values, counts = np.unique(pixels, axis=0, return_counts=True)
    while len(values):
        colour = values[counts.argmax()]
        near = _share(values, colour)[1] <= NEAR
        if counts[near].sum() >= LEAST:
            found.append(colour)
        values, counts = values[~near], counts[~near]
    return np.array(found, np.uint8).reshape(-1, 3)


def masks_of(maps: Maps, colours: npt.NDArray[np.uint8]) -> Bools:
    """Filled masks of each colour, bool `[N, T, H, W]`, of maps `[T, H, W, 3]`."""
    exact = [(maps == c).all(axis=-1) for c in colours]
    if exact and np.array_equal(np.any(exact, axis=0), maps.any(axis=-1)):
        return np.stack(exact)
    out = np.zeros((len(colours), *maps.shape[:3]), np.bool_)
    for t, frame in enumerate(maps):
        held = [_share(frame, c) for c in colours]
        nearest = np.argmin([away for _, away in held], axis=0)
        for n, (share, away) in enumerate(held):
            out[n, t] = _without_specks((nearest == n) & (away <= NEAR) & (share >= 0.5))
    return out


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
