"""The second, coarser sight: objects as blobs of colour that differ from the background.

Where a generated object is too blurred, faded or noisy to be aligned with its frame-0 cut-out, its blob can still be
followed. What is compared is how the blurred frame differs from the background, with how it would if the object were
there, as normalised cross-correlation: it does not mind how far the object has faded.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from flashbench.tracking.background import smoothed
from flashbench.tracking.similarity import F64, Index, Pose
from flashbench.tracking.template import F32, Templates, read, within
from flashbench.tracking.views import CELL, View

LEAST_OPACITY = 0.15
SAMPLES = 160


class Blobs(NamedTuple):
    """Blurred cut-outs of N objects, K samples each.

    Attributes:
        samples: `[N, K, 2]` px of the tracking scale from the object's middle.
        opacity: `[N, K]` in 0..1, zero for padding; colours: `[N, K, 3]`.
    """

    samples: F64
    opacity: F64
    colours: F64


class Sight(NamedTuple):
    """How C blobs are seen, each `[C]`.

    Attributes:
        likeness: normalised cross-correlation, -1..1; strength: 1 as on frame 0, less if faded; share: in view, 0..1.
    """

    likeness: F64
    strength: F64
    share: F64


def build_blobs(view: View, masks: list[F32], templates: Templates) -> Blobs:
    """Blurs the objects of frame 0 without what is round them. `masks`: soft, `[H, W]` at the tracking scale."""
    height, width = view.ground.shape
    found = []
    for mask, middle in zip(masks, templates.middle, strict=True):
        small = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA), np.float32)
        opacity = smoothed(small)
        colours = smoothed(view.small * small[..., None]) / np.maximum(opacity, 1e-3)[..., None]
        cells = np.argwhere(opacity > LEAST_OPACITY)
        cells = cells[:: max(1, -(-len(cells) // SAMPLES))]
        y, x = cells[:, 0], cells[:, 1]
        found.append(((cells[:, ::-1] + 0.5) * CELL - 0.5 - middle, opacity[y, x], colours[y, x]))
    n, k = len(masks), max(1, *(len(f[0]) for f in found))
    out = Blobs(np.zeros((n, k, 2)), np.zeros((n, k)), np.zeros((n, k, 3)))
    for i, (at, opacity, colours) in enumerate(found):
        out.samples[i, : len(at)], out.opacity[i, : len(at)], out.colours[i, : len(at)] = at, opacity, colours
    return out


def look(blobs: Blobs, view: View, which: Index, pose: Pose, seen: F32 | None, size: tuple[int, int]) -> Sight:
    """Compares the blobs `which` `[C]` in their poses with a frame.

    Args:
        seen: float32 `[h, w]` small picture in 0..1: where nothing is in front; None: everywhere.
        size: (H, W) of the tracking scale.
    """
    at = pose.carry(blobs.samples[which])
    cell = (at + 0.5) / CELL - 0.5
    opacity = blobs.opacity[which]
    view_weight = within(at, size) * (opacity > 0)
    weight = view_weight if seen is None else view_weight * read(seen, cell)
    there, back, change = blobs.colours[which], read(view.behind, cell), read(view.change, cell)
    own = [opacity * (there[..., c] - back[..., c]) for c in range(3)]  # a colour at a time: short axes are slow
    shown = [change[..., c] for c in range(3)]
    both = (weight * sum(o * s for o, s in zip(own, shown, strict=True))).sum(1)
    own_energy, energy = (weight * sum(o**2 for o in own)).sum(1), (weight * sum(s**2 for s in shown)).sum(1)
    likeness = both / np.sqrt(np.maximum(own_energy * energy, 1e-9))
    share = (weight * opacity).sum(1) / np.maximum(opacity.sum(1), 1e-9)
    return Sight(likeness, both / np.maximum(own_energy, 1e-6), share)


def grid(position: F64, reach: int, step: int) -> F64:
    """Positions `[(2 reach + 1)^2, 2]` round one, `step` cells apart."""
    ticks = np.arange(-reach, reach + 1) * step * CELL
    x, y = np.meshgrid(ticks, ticks)
    return np.asarray(position + np.stack([x.ravel(), y.ravel()], axis=1))


def everywhere(size: tuple[int, int], step: int) -> F64:
    """Positions all over a frame of (H, W), `step` cells apart."""
    x, y = np.meshgrid(np.arange(0, size[1], step * CELL), np.arange(0, size[0], step * CELL))
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64)


def peak(likeness: F64) -> F64:
    """Where the parabola through a 3 x 3 grid of values (row by row) is highest, (x, y) in -0.5..0.5 steps."""
    v = likeness.reshape(3, 3)
    out = []
    for a, b, c in ((v[1, 0], v[1, 1], v[1, 2]), (v[0, 1], v[1, 1], v[2, 1])):
        bend = a - 2 * b + c
        out.append(float(np.clip(0.5 * (a - c) / bend, -0.5, 0.5)) if bend < -1e-9 else 0.0)
    return np.array(out)
