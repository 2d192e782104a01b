"""Frame-0 cut-outs of objects, and their alignment with a later frame by robust Gauss-Newton steps.

The six unknowns of a step are a shift in x and y, a change of size and turn, and the two numbers of a stretch (those of
`similarity.parts_of`), in the object's own coordinates, so that slopes and their products are those of frame 0 and are
computed once (Hager and Belhumeur 1998). Geman and McClure's weights take out samples that something else hides.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flashbench.tracking.similarity import (
    F64,
    Complex,
    Index,
    Pose,
    complex_of,
    matrix_of,
    parts_of,
    points_of,
    total,
    undone,
)

F32 = npt.NDArray[np.float32]
UPPER = np.triu_indices(6)
# Of the 21 upper entries of a symmetric 6 x 6 matrix, the one that stands at each of its 36 places.
_WHOLE = np.zeros((6, 6), np.int64)
_WHOLE[UPPER] = _WHOLE.T[UPPER] = np.arange(len(UPPER[0]))
_MOST = np.array([1, 1, 0.2, 0.2, 0.2, 0.2])  # of the radius: the longest step


class Templates(NamedTuple):
    """Cut-outs of N objects, K samples each.

    Attributes:
        middle: `[N, 2]` px, origin of each object's coordinates on frame 0.
        samples: `[N, K, 2]` px from the middle.
        weight: `[N, K]`: pixels of the video that a sample stands for, at most one; zero for padding.
        total: `[N]`: sum of the weights, zero for an object without a mask.
        radius: `[N]` px: root mean square distance of the samples from the middle; far: `[N]` px, the largest.
        edge: `[N]` px: how far from the middle the soft mask is more than nothing.
        colours: float32 `[N, K, 3]` in 0..1.
        slopes: float32 `[N, 6, 3 K]`: change of the colours with the unknowns, all of them in px at the radius.
        products: float32 `[N, 21, K]`: upper triangles of slope times slope, summed over colours.
        size: (H, W) of the frame.
    """

    middle: F64
    samples: F64
    weight: F64
    total: F64
    radius: F64
    far: F64
    edge: F64
    colours: F32
    slopes: F32
    products: F32
    size: tuple[int, int]


class Prior(NamedTuple):
    """What is expected of C poses before looking: standard deviations about `pose`.

    Attributes:
        shift: `[C]` px; size: `[C]`, relative; turn: `[C]` rad.
        stretch: relative, about none.
    """

    pose: Pose
    shift: F64
    size: F64
    turn: F64
    stretch: float


class Fit(NamedTuple):
    """C aligned poses, and what the frame shows there.

    Attributes:
        at: `[C, K, 2]` px, where each sample lies.
        off: float32 `[C, K, 3]`, colour of the frame there less the sample's.
        match: `[C, K]` in 0..1, how well they match; 0 outside the frame.
    """

    pose: Pose
    at: F64
    off: F32
    match: F64


def read(image: F32, at: F64) -> F32:
    """Bilinear values `[R, K, ...]` of float32 `[H, W, ...]` at `[R, K, 2]` px; beyond the border the border's."""
    x, y = at[..., 0].astype(np.float32), at[..., 1].astype(np.float32)
    out = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.float32)


def within(at: F64, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Whether points `[..., 2]` px lie in a frame of (H, W)."""
    x, y = at[..., 0], at[..., 1]
    return np.asarray((x > -0.5) & (y > -0.5) & (x < size[1] - 0.5) & (y < size[0] - 0.5))


def build(frame: F32, masks: list[F32], native: float, most: int) -> Templates:
    """Cuts the objects out of frame 0.

    Args:
        frame: float32 `[H, W, 3]`.
        masks: a soft mask `[H, W]` for each object; inside is above a half.
        native: side of a pixel of the video, in px here.
        most: samples an object.
    """
    grids = [_grid(m, most, native / 3) for m in masks]
    n, k = len(masks), max(1, *(len(g) for g, _ in grids))
    at, weight, middle = np.zeros((n, k, 2)), np.zeros((n, k)), np.zeros((n, 2))
    for i, (grid, step) in enumerate(grids):
        middle[i] = grid.mean(0) if len(grid) else 0
        at[i] = middle[i]
        at[i, : len(grid)] = grid
        weight[i, : len(grid)] = min(1.0, (step / native) ** 2)
    samples, total = at - middle[:, None], weight.sum(1)
    spread = (weight * (samples**2).sum(-1)).sum(1) / np.maximum(total, 1e-9)
    radius = np.maximum(np.sqrt(spread), native)
    slopes = _slopes(frame, at, samples / radius[:, None, None])
    products = np.einsum("nkhp,nkhq->nkpq", slopes, slopes)[..., UPPER[0], UPPER[1]]
    far = np.linalg.norm(samples, axis=-1).max(1)
    edge = np.array([_edge(mask, at) for mask, at in zip(masks, middle, strict=True)])
    flat, products = (np.ascontiguousarray(v.transpose(0, 2, 1)) for v in (slopes.reshape(n, -1, 6), products))
    return Templates(
        middle, samples, weight, total, radius, far, edge, read(frame, at), flat, products, frame.shape[:2]
    )


def _edge(mask: F32, middle: F64) -> float:
    """How far the farthest pixel of a soft mask is from a point, and one px for its interpolation."""
    return float(np.linalg.norm(np.argwhere(mask > 0)[:, ::-1] - middle, axis=-1).max(initial=0)) + 1


def _grid(mask: F32, most: int, least_step: float) -> tuple[F64, float]:
    """At most `most` points `[K, 2]` of a square grid inside a soft mask, and the step of the grid."""
    step = max(least_step, float(np.sqrt((mask > 0.5).sum() / most)))
    while True:
        x, y = np.meshgrid(np.arange(0, mask.shape[1] - 0.5, step), np.arange(0, mask.shape[0] - 0.5, step))
        points = np.stack([x, y], axis=-1).astype(np.float64)
        inside = points[read(mask, points) > 0.5]
        if len(inside) <= most:
            break
        step *= 1.05
    if not len(inside) and (mask > 0.5).any():
        inside = np.argwhere(mask > 0.5)[:1, ::-1].astype(np.float64)
    return inside, step


def _slopes(frame: F32, at: F64, unit: F64) -> F32:
    """Change of the colours at `[N, K, 2]` px with (tx, ty, s, r, e1, e2) in px at the radius. `[N, K, 3, 6]`."""
    gx = cv2.Sobel(frame, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    gy = cv2.Sobel(frame, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    dx, dy = read(np.asarray(gx, np.float32), at), read(np.asarray(gy, np.float32), at)
    x, y = unit[..., :1].astype(np.float32), unit[..., 1:].astype(np.float32)
    parts = [dx, dy, dx * x + dy * y, dy * x - dx * y, dx * x - dy * y, dx * y + dy * x]
    return np.asarray(np.stack(parts, axis=-1), np.float32)


def compare(image: F32, templates: Templates, which: Index, pose: Pose, scale: float) -> Fit:
    """Holds the cut-outs `which` `[C]` in their poses against a frame `[H, W, 3]`; a colour `scale` off matches 1/4."""
    return _compare(image, templates.samples[which], templates.colours[which], pose, scale)


def _compare(image: F32, samples: F64, colours: F32, pose: Pose, scale: float) -> Fit:
    at = pose.carry(samples)
    off = read(image, at) - colours
    squared = total(off * off, np.float64)
    return Fit(pose, at, off, np.asarray(within(at, image.shape[:2]) / (1 + squared / scale**2) ** 2))


def align(
    image: F32,
    templates: Templates,
    which: Index,
    pose: Pose,
    seen: F64,
    prior: Prior,
    noise: float,
    scales: tuple[float, ...],
) -> Fit:
    """Gauss-Newton steps of the cut-outs `which` `[C]` towards a frame.

    Args:
        image: the frame, float32 `[H, W, 3]`, 0..1.
        pose: where to begin.
        seen: `[C, K]` in 0..1: samples that are thought to be in view.
        noise: standard deviation of a colour that fits, against which the prior weighs.
        scales: for each step the colour distance at which a sample keeps a quarter of its weight.
    """
    slopes, products = templates.slopes[which], templates.products[which]
    samples, colours = templates.samples[which], templates.colours[which]
    radius, mass = templates.radius[which], templates.weight[which] * seen
    tight = _tightness(prior, radius) * noise**2
    expected = parts_of(prior.pose.matrix)[0], complex_of(prior.pose.position)
    turn, stretch = parts_of(pose.matrix)
    position = complex_of(pose.position)
    for scale in scales:
        fit = _compare(image, samples, colours, pose, scale)
        w = (mass * fit.match).astype(np.float32)
        pull = (slopes @ (w[..., None] * fit.off).reshape(len(which), -1, 1))[..., 0]
        hessian = (products @ w[..., None])[:, _WHOLE, 0].astype(np.float64)
        hessian.reshape(-1, 36)[:, ::7] += tight + 1e-9
        pull = pull + tight * _departure(turn, stretch, position, expected, radius)
        step = np.asarray(np.linalg.solve(hessian, -pull[..., None])[..., 0], np.float64)
        turn, stretch, position = _moved(turn, stretch, position, step, radius)
        pose = Pose(matrix_of(turn, stretch), points_of(position))
    return _compare(image, samples, colours, pose, scales[-1])


def _tightness(prior: Prior, radius: F64) -> F64:
    """Inverse variances `[C, 6]` of the unknowns, 1/px^2."""
    stretch = radius * prior.stretch
    spread = [prior.shift, prior.shift, radius * prior.size, radius * prior.turn, stretch, stretch]
    return np.asarray(1 / np.stack(spread, axis=1) ** 2)


def _departure(
    turn: Complex, stretch: Complex, position: Complex, expected: tuple[Complex, Complex], radius: F64
) -> F64:
    """How far poses are from what is expected, `[C, 6]` px in the object's coordinates.

    expected: turn and position `[C]` that the prior holds; of stretch it holds none.
    """
    out = np.empty((len(radius), 3), np.complex128)
    out[:, 0] = undone(turn, stretch, position - expected[1])
    out[:, 1] = radius * (turn / expected[0] - 1)
    out[:, 2] = radius * (stretch / turn)
    return out.view(np.float64)


def _moved(
    turn: Complex, stretch: Complex, position: Complex, step: F64, radius: F64
) -> tuple[Complex, Complex, Complex]:
    """The poses after a step `[C, 6]` px, which is shortened where it would turn an object inside out."""
    bounded = np.clip(step / radius[:, None], -_MOST, _MOST)
    shift, change, pulled = bounded.view(np.complex128).T
    shift, change = radius * shift, 1 + change
    return (
        turn * change + stretch * pulled.conj(),
        turn * pulled + stretch * change.conj(),
        position + turn * shift + stretch * shift.conj(),
    )


class Near(NamedTuple):
    """Single points of N objects, and what of frame 0 their movement beside the objects is taken from.

    Attributes:
        window: `[N, P, K]`, Gaussian weights of the samples round each of P points.
        slopes: float32 `[N, K, 3, 2]`, change of the colours with a shift in x and y, in the object's coordinates.
        products: `[N, K, 3]`, products of the slopes (xx, xy, yy), summed over colours.
        ease: pull towards no shift, in the unit of slope squared times pixels.
    """

    window: F64
    slopes: F32
    products: F64
    ease: float


def near(templates: Templates, points: F64, window: float, ease: float) -> Near:
    """Of points `[N, P, 2]` px from the middle; `window`: standard deviation of the Gaussian window, px."""
    apart = total((points[:, :, None] - templates.samples[:, None]) ** 2)
    slopes = np.ascontiguousarray(templates.slopes[:, :2].transpose(0, 2, 1)).reshape(*templates.weight.shape, 3, 2)
    products = np.ascontiguousarray(templates.products[:, [0, 1, 6]].transpose(0, 2, 1), np.float64)
    return Near(np.exp(-apart / (2 * window**2)), slopes, products, ease)


def local_shifts(near: Near, templates: Templates, which: Index, fit: Fit, seen: F64) -> F64:
    """One Lucas-Kanade step of single points, in the object's coordinates: how far each has moved beside its object.

    Args:
        seen: `[C, K]`, how much of each sample is in view.

    Returns:
        `[C, P, 2]` px.
    """
    weight = near.window[which] * (templates.weight[which] * seen * fit.match)[:, None]
    pull = weight @ np.einsum("ckh,ckhp->ckp", fit.off, near.slopes[which]).astype(np.float64)  # [C, P, 2]
    xx, xy, yy = np.moveaxis(weight @ near.products[which], -1, 0)
    xx, yy = xx + near.ease, yy + near.ease
    gx, gy = pull[..., 0], pull[..., 1]
    return np.asarray(-np.stack([yy * gx - xy * gy, xx * gy - xy * gx], axis=-1) / (xx * yy - xy**2)[..., None])
