"""Frame-0 cut-outs of objects, and their alignment with a later frame by robust Gauss-Newton steps.

The six unknowns of a step are a shift in x and y and the four `similarity.modes`, in the object's own coordinates, so that
gradients and their products are those of frame 0 and are computed once (Hager and Belhumeur 1998).
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flashbench.tracking.similarity import F64, Pose, from_modes, inverse, modes, similar_part

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
UPPER = np.triu_indices(6)


class Level(NamedTuple):
    """What alignment needs at one blur. N objects, K samples: colours `[N, K, 3]`, slopes `[N, K, 3, 6]`, products `[N, K, 21]`."""

    colours: F32
    slopes: F32
    products: F32


class Templates(NamedTuple):
    """Cut-outs of N objects, K samples each.

    Attributes:
        middle: `[N, 2]` px, origin of each object's coordinates on frame 0.
        samples: `[N, K, 2]` px from the middle.
        weight: `[N, K]`: native pixels that a sample stands for; zero for padding.
        radius: `[N]` px: root mean square distance of samples from the middle.
        levels: from coarse to fine.
        size: (H, W) of the frame.
    """

    middle: F64
    samples: F64
    weight: F64
    radius: F64
    levels: tuple[Level, ...]
    size: tuple[int, int]


def read(image: F32, at: F64) -> F32:
    """Bilinear values of float32 `[H, W, C]` at `[..., 2]` px; beyond the border the border's. Returns `[..., C]`."""
    where = at.astype(np.float32)
    rows = where if where.ndim == 3 else where.reshape(1, -1, 2)
    out = cv2.remap(image, rows, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.float32).reshape(*at.shape[:-1], -1)


def levels_of(frame: F32, sigma: float) -> tuple[F32, F32]:
    """A frame `[H, W, 3]` for alignment: at half its size and blurred by `sigma` px of that, and as it is."""
    height, width = frame.shape[:2]
    half = cv2.resize(frame, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(half, (0, 0), sigma), np.float32), frame


def read_level(image: F32, level: int, at: F64) -> F32:
    """`read` of the picture of a level (`levels_of`) at px of the frame."""
    return read(image, at if level else (at - 0.5) / 2)


def _sample_grid(mask: npt.NDArray[np.float32], most: int, least_step: float) -> tuple[F64, float]:
    """Points (x, y) on a square grid inside a soft mask at its own scale, at most about `most`; and the grid's step."""
    area = float((mask > 0.5).sum())
    step = max(least_step, float(np.sqrt(area / most)))
    height, width = mask.shape
    for _ in range(20):
        y, x = np.meshgrid(np.arange(0, height - 0.5, step), np.arange(0, width - 0.5, step), indexing="ij")
        grid = np.stack([x.ravel(), y.ravel()], axis=1)
        inside = read(mask[..., None], grid)[:, 0] > 0.5
        if inside.sum() <= most:
            break
        step *= 1.05
    points = grid[inside]
    if not len(points) and area > 0:
        ys, xs = np.nonzero(mask > 0.5)
        points = np.array([[xs.mean(), ys.mean()]])
    return points, step


def build(frames: tuple[F32, ...], masks: list[F32], native: float, most: int) -> Templates:
    """Cuts the objects out of frame 0.

    Args:
        frames: frame 0 at the blurs of the levels, float32 `[H, W, 3]`.
        masks: a soft mask `[H, W]` for each object, at the same scale.
        native: side of a pixel of the video at this scale.
        most: samples an object.
    """
    grids = [_sample_grid(m, most, native / 3) for m in masks]
    k = max(1, *(len(g) for g, _ in grids))
    n = len(masks)
    at, weight, middle = np.zeros((n, k, 2)), np.zeros((n, k)), np.zeros((n, 2))
    for i, (grid, step) in enumerate(grids):
        if len(grid):
            middle[i] = grid.mean(0)
        at[i] = middle[i]
        at[i, : len(grid)] = grid
        weight[i, : len(grid)] = min(1.0, (step / native) ** 2)
    samples = at - middle[:, None]
    total = np.maximum(weight.sum(1), 1e-9)
    radius = np.sqrt((weight * (samples**2).sum(-1)).sum(1) / total)
    radius = np.maximum(radius, native)
    levels = tuple(_level(f, i, at, samples / radius[:, None, None]) for i, f in enumerate(frames))
    return Templates(middle, samples, weight, radius, levels, (frames[-1].shape[0], frames[-1].shape[1]))


def _level(frame: F32, level: int, at: F64, unit: F64) -> Level:
    """Colours, slopes with respect to (tx, ty, s, r, e1, e2) in units of the radius, and their products."""
    gx = cv2.Sobel(frame, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8 if level else 1 / 16)
    gy = cv2.Sobel(frame, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8 if level else 1 / 16)
    dx, dy = read_level(gx, level, at), read_level(gy, level, at)  # [N, K, 3]
    x, y = unit[..., :1], unit[..., 1:]
    parts = [dx, dy, dx * x + dy * y, dy * x - dx * y, dx * x - dy * y, dx * y + dy * x]
    slopes = np.stack(parts, axis=-1).astype(np.float32)
    products = np.einsum("nkhp,nkhq->nkpq", slopes, slopes)[..., UPPER[0], UPPER[1]]
    return Level(read_level(frame, level, at), slopes, products.astype(np.float32))


class Prior(NamedTuple):
    """What is expected of C poses before looking.

    Attributes:
        pose: the expected poses.
        shift: `[C]` px, standard deviation of the position; turn, size: of the angle and the size.
        stretch: standard deviation of the stretch, about none.
    """

    pose: Pose
    shift: F64
    turn: F64
    size: F64
    stretch: float


class Fit(NamedTuple):
    """Aligned poses, `[C]`, the robust weight 0..1 of every sample `[C, K]`, and where it lies `[C, K, 2]` px."""

    pose: Pose
    match: F64
    at: F64


def align(
    image: F32,
    templates: Templates,
    level: int,
    which: I64,
    pose: Pose,
    seen: F64,
    prior: Prior,
    scale: float,
    noise: float,
    steps: int,
) -> Fit:
    """Gauss-Newton steps of the cut-outs `which` `[C]` towards a frame.

    Args:
        image: the frame at the level's blur, float32 `[H, W, 3]`, 0..1.
        pose: where to begin.
        seen: `[C, K]` in 0..1: samples that are thought to be in view.
        scale: colour distance at which a sample keeps a quarter of its weight.
        noise: standard deviation of a colour that fits, against which the prior weighs.
    """
    lv = templates.levels[level]
    colours, slopes, products = lv.colours[which], lv.slopes[which].reshape(len(which), -1, 6), lv.products[which]
    samples, radius = templates.samples[which], templates.radius[which]
    mass = templates.weight[which] * seen
    height, width = templates.size
    tight = _tightness(prior, radius) * noise**2
    match, at = mass, samples
    for _ in range(steps):
        at = pose.carry(samples)
        off = read_level(image, level, at) - colours  # [C, K, 3]
        match = _weigh(off, at, height, width, scale)
        w = (mass * match).astype(np.float32)
        pull = ((w[..., None] * off).reshape(len(which), 1, -1) @ slopes)[:, 0]
        flat = (w[:, None] @ products)[:, 0]
        hessian = np.zeros((len(which), 6, 6))
        hessian[:, UPPER[0], UPPER[1]] = flat
        hessian[:, UPPER[1], UPPER[0]] = flat
        away = _departure(pose, prior, radius)
        hessian[:, np.arange(6), np.arange(6)] += tight + 1e-9
        step = -np.linalg.solve(hessian, (pull + tight * away)[..., None])[..., 0]
        pose = _moved(pose, step, radius)
    at = pose.carry(samples)
    match = _weigh(read_level(image, level, at) - colours, at, height, width, scale)
    return Fit(pose, match, at)


def _weigh(off: F32, at: F64, height: int, width: int, scale: float) -> F64:
    """Geman and McClure's weight of a colour difference; zero outside the frame."""
    inside = (at[..., 0] > -0.5) & (at[..., 1] > -0.5) & (at[..., 0] < width - 0.5) & (at[..., 1] < height - 0.5)
    squared = (off * off).sum(-1, dtype=np.float64)
    return np.asarray(inside / (1 + squared / scale**2) ** 2)


def _tightness(prior: Prior, radius: F64) -> F64:
    """Inverse variances `[C, 6]` of the unknowns."""
    one = np.ones_like(radius)
    spread = np.stack([prior.shift, prior.shift, radius * prior.size, radius * prior.turn] + [radius * prior.stretch * one] * 2, axis=1)
    return 1 / np.maximum(spread, 1e-3) ** 2


def _departure(pose: Pose, prior: Prior, radius: F64) -> F64:
    """How far the poses are from what is expected, `[C, 6]` px in the object's coordinates."""
    shift = (inverse(pose.matrix) @ (pose.position - prior.pose.position)[..., None])[..., 0]
    own = similar_part(pose.matrix)
    change = modes(inverse(similar_part(prior.pose.matrix)) @ own)[:, :2]
    stretch = modes(inverse(own) @ pose.matrix)[:, 2:]
    return np.concatenate([shift, change * radius[:, None], stretch * radius[:, None]], axis=1)


def _moved(pose: Pose, step: F64, radius: F64) -> Pose:
    """The poses after a step `[C, 6]` px, which is shortened where it would turn an object inside out."""
    shift = np.clip(step[:, :2], -radius[:, None], radius[:, None])
    change = from_modes(np.clip(step[:, 2:] / radius[:, None], -0.2, 0.2))
    return Pose(pose.matrix @ change, pose.position + (pose.matrix @ shift[..., None])[..., 0])
