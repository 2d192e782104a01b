"""Search of the whole frame for an object that was lost, by colours.

A cut-out's samples are put into a few colour classes. A frame then has one match map a class (1 where its colour is the
class's), and how well the object fits at every place is a sum of correlations of these maps with the classes' own shapes,
for every turn and size. What hides parts of the object only takes their share away.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flashbench.tracking.similarity import F64, Pose
from flashbench.tracking.template import F32

CLASSES = 6


class Finder(NamedTuple):
    """One object: `colours` `[M, 3]` of its classes; `kernels[v][m]`, one float32 kernel a class for each of V `matrices`."""

    colours: F32
    kernels: tuple[tuple[F32, ...], ...]
    matrices: F64


def classes_of(colours: F32, weight: F64, rounds: int = 8) -> tuple[F32, npt.NDArray[np.int64]]:
    """k-means from farthest-point seeds: colours `[M, 3]` and the class of each sample `[K]`."""
    valid = np.nonzero(weight > 0)[0]
    pool = colours[valid].astype(np.float64)
    centres = [pool.mean(0)]
    for _ in range(CLASSES - 1):
        far = np.min([((pool - c) ** 2).sum(1) for c in centres], axis=0)
        if far.max() < 0.02**2:
            break
        centres.append(pool[int(far.argmax())])
    means = np.stack(centres)
    for _ in range(rounds):
        label = ((pool[:, None] - means[None]) ** 2).sum(-1).argmin(1)
        means = np.stack([pool[label == m].mean(0) if (label == m).any() else means[m] for m in range(len(means))])
    every = ((colours[:, None].astype(np.float64) - means[None]) ** 2).sum(-1).argmin(1)
    return means.astype(np.float32), every


def build_finder(samples: F64, weight: F64, colours: F32, cell: float, turns: tuple[float, ...], sizes: tuple[float, ...]) -> Finder:
    """Prepares the search for one object.

    Args:
        samples: `[K, 2]` px from the object's middle; weight `[K]`; colours `[K, 3]`.
        cell: px of this scale that one pixel of the searched frame stands for.
        turns, sizes: angles (rad) and size factors to try.
    """
    means, label = classes_of(colours, weight)
    matrices, kernels = [], []
    for size in sizes:
        for turn in turns:
            c, s = np.cos(turn) * size, np.sin(turn) * size
            matrix = np.array([[c, -s], [s, c]])
            matrices.append(matrix)
            kernels.append(_kernels(samples @ matrix.T / cell, weight, label, len(means)))
    return Finder(means, tuple(kernels), np.stack(matrices))


def _kernels(at: F64, weight: F64, label: npt.NDArray[np.int64], classes: int) -> tuple[F32, ...]:
    reach = max(1, int(np.ceil(np.abs(at[weight > 0]).max()))) + 1
    out = []
    for m in range(classes):
        kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
        mine = (label == m) & (weight > 0)
        low = np.floor(at[mine]).astype(np.int64)
        part = at[mine] - low
        for dx in (0, 1):
            for dy in (0, 1):
                share = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1]) * weight[mine]
                np.add.at(kernel, (low[:, 1] + reach + dy, low[:, 0] + reach + dx), share)
        out.append(kernel.astype(np.float32) / np.float32(weight.sum()))
    return tuple(out)


def search(finder: Finder, small: F32, cell: float, scale: float, most: int) -> tuple[Pose, F64]:
    """The best places of an object in a frame.

    Args:
        small: the frame, float32 `[h, w, 3]`, `cell` px of the tracking scale a pixel.
        scale: colour distance at which a match counts a quarter.
        most: number of places.

    Returns:
        Up to `most` poses (px of the tracking scale) and the share of the object that fits there.
    """
    off = ((small[None] - finder.colours[:, None, None]) ** 2).sum(-1)
    maps = (1 / (1 + off / scale**2) ** 2).astype(np.float32)
    scores = []
    for kernels in finder.kernels:
        score = np.zeros(small.shape[:2], np.float32)
        for fits, kernel in zip(maps, kernels, strict=True):
            score += cv2.filter2D(fits, cv2.CV_32F, kernel, borderType=cv2.BORDER_CONSTANT)
        scores.append(score)
    volume = np.stack(scores)
    best, variant = volume.max(0), volume.argmax(0)
    reach = max(1, finder.kernels[0][0].shape[0] // 4)
    places, shares, matrices = [], [], []
    for _ in range(most):
        y, x = np.unravel_index(int(best.argmax()), best.shape)
        if best[y, x] <= 0:
            break
        places.append([(x + 0.5) * cell - 0.5, (y + 0.5) * cell - 0.5])
        shares.append(float(best[y, x]))
        matrices.append(finder.matrices[variant[y, x]])
        best[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1] = -1
    if not places:
        return Pose(np.zeros((0, 2, 2)), np.zeros((0, 2))), np.zeros(0)
    return Pose(np.stack(matrices), np.array(places, np.float64)), np.array(shares)
