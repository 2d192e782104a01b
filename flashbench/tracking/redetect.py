"""Search of the whole frame for an object that was lost, by colours.

A cut-out's samples are put into a few colour classes. A frame then has one match map a class (1 where its colour is
the class's), and how well the object fits at every place is a sum of correlations of these maps with the classes' own
shapes, for every turn and size. Pixels that something in front hides do not count; those that show the background count
against.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.fft

from flashbench.tracking.background import closeness
from flashbench.tracking.similarity import F64, Index, Pose
from flashbench.tracking.template import F32
from flashbench.tracking.views import CELL, View

C64 = npt.NDArray[np.complex64]
CLASSES = 6
OTHER_SIZE = 0.1  # what an e-fold of size costs
LEAST_SEEN = 0.2  # share of an object that must be in view for a place to count


class Finder(NamedTuple):
    """What the search for one object needs.

    Attributes:
        colours: `[M, 3]` of its classes.
        spectra: complex64 `[V, M, h, w]`: conjugate spectra of the classes' shapes for V turns and sizes.
        whole: complex64 `[V, h, w]`: their sums over classes.
        matrices: `[V, 2, 2]`.
        padded: size of the transforms; reach: px of the small picture to suppress round a place that was taken.
    """

    colours: F32
    spectra: C64
    whole: C64
    matrices: F64
    padded: tuple[int, int]
    reach: int


def classes_of(colours: F32, weight: F64, rounds: int = 8) -> tuple[F32, Index]:
    """k-means from farthest-point seeds: colours `[M, 3]` and the class of each sample `[K]`."""
    pool = colours[weight > 0].astype(np.float64)
    seeds = [pool.mean(0)]
    for _ in range(CLASSES - 1):
        far = np.min([((pool - c) ** 2).sum(1) for c in seeds], axis=0)
        if far.max() < 0.02**2:
            break
        seeds.append(pool[int(far.argmax())])
    means = np.stack(seeds)
    for _ in range(rounds):
        label = ((pool[:, None] - means[None]) ** 2).sum(-1).argmin(1)
        means = np.stack([pool[label == m].mean(0) if (label == m).any() else means[m] for m in range(len(means))])
    every = ((colours[:, None].astype(np.float64) - means[None]) ** 2).sum(-1).argmin(1)
    return means.astype(np.float32), every


def build_finder(
    samples: F64, weight: F64, colours: F32, size: tuple[int, int], turns: tuple[float, ...], sizes: tuple[float, ...]
) -> Finder:
    """Prepares the search for one object.

    Args:
        samples: `[K, 2]` px of the tracking scale from the object's middle; weight `[K]`; colours `[K, 3]`.
        size: (h, w) of the small pictures that are searched.
        turns, sizes: angles (rad) and size factors to try.
    """
    means, label = classes_of(colours, weight)
    angle, factor = (v.ravel() for v in np.meshgrid(turns, sizes))
    c, s = np.cos(angle) * factor, np.sin(angle) * factor
    matrices = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], axis=1)
    at = np.einsum("vij,kj->vki", matrices, samples) / CELL
    reach = int(np.ceil(np.abs(at[:, weight > 0]).max())) + 1
    padded = scipy.fft.next_fast_len(size[0] + reach, real=True), scipy.fft.next_fast_len(size[1] + reach, real=True)
    shapes = np.stack([_splat(a, weight, label, len(means), padded) for a in at])
    spectra = np.conj(scipy.fft.rfft2(shapes, workers=1)).astype(np.complex64)
    own = np.sqrt((weight > 0).sum()) / CELL
    return Finder(means, spectra, spectra.sum(1), matrices, padded, max(1, int(own)))


def _splat(at: F64, weight: F64, label: Index, classes: int, padded: tuple[int, int]) -> F32:
    """Samples `[K, 2]` as one picture a class, origin at index 0 and wrapped round, sum 1 over all classes."""
    out = np.zeros((classes, *padded))
    known = weight > 0
    low = np.floor(at[known]).astype(np.int64)
    part = at[known] - low
    for dx in (0, 1):
        for dy in (0, 1):
            share = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1]) * weight[known]
            np.add.at(out, (label[known], (low[:, 1] + dy) % padded[0], (low[:, 0] + dx) % padded[1]), share)
    return np.asarray(out / weight.sum(), np.float32)


def search(finder: Finder, view: View, seen: F32 | None, scale: float, most: int, size: float = 1.0) -> Pose:
    """The best places of an object in a frame.

    Args:
        seen: float32 `[h, w]` in 0..1: where nothing is in front of the object; None: everywhere.
        scale: colour distance at which a match counts a quarter.
        most: number of places.
        size: factor that is expected. Of a plain object every smaller one fits as well.

    Returns:
        Up to `most` poses, px of the tracking scale, best first.
    """
    height, width = view.ground.shape
    maps = closeness(view.small[None], finder.colours[:, None, None], scale) - view.ground
    open_ = np.ones((height, width), np.float32) if seen is None else seen
    spectra = scipy.fft.rfft2(np.concatenate([maps * open_, open_[None]]), finder.padded, workers=1)
    fits = np.einsum("vmhw,mhw->vhw", finder.spectra, spectra[:-1])
    both = scipy.fft.irfft2(np.concatenate([fits, finder.whole * spectra[-1]]), finder.padded, workers=1)
    gain, share = np.split(both[:, :height, :width], 2)
    score = np.where(share > LEAST_SEEN, gain / np.maximum(share, LEAST_SEEN), -1.0)
    other = np.log(np.sqrt(np.linalg.det(finder.matrices)) / size)
    score = score - OTHER_SIZE * np.abs(other)[:, None, None]
    best, variant = score.max(0), score.argmax(0)
    places, matrices = [], []
    for _ in range(most):
        y, x = np.unravel_index(int(best.argmax()), best.shape)
        if best[y, x] <= 0:
            break
        places.append([(x + 0.5) * CELL - 0.5, (y + 0.5) * CELL - 0.5])
        matrices.append(finder.matrices[variant[y, x]])
        best[max(0, y - finder.reach) : y + finder.reach + 1, max(0, x - finder.reach) : x + finder.reach + 1] = -1
    return Pose(np.array(matrices, np.float64).reshape(-1, 2, 2), np.array(places, np.float64).reshape(-1, 2))
