"""Which of two overlapping objects is in front, told by whose colours the frame shows where they overlap."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from flashbench.tracking.similarity import F64, Pose
from flashbench.tracking.template import F32, Templates, read


def overlapping(templates: Templates, pose: Pose) -> list[tuple[int, int]]:
    """Ordered pairs (i, j), i != j, of objects whose circles meet."""
    reach = np.linalg.norm(templates.samples, axis=-1).max(1) * np.sqrt(np.abs(np.linalg.det(pose.matrix))) * 1.15
    n = len(reach)
    apart = np.linalg.norm(pose.position[:, None] - pose.position[None], axis=-1)
    near = apart < reach[:, None] + reach[None]
    return [(i, j) for i in range(n) for j in range(n) if i != j and near[i, j]]


def inside(masks: list[F32], middle: F64, pose: Pose, j: int, at: F64) -> F64:
    """Soft mask of object j, in its pose, at `[K, 2]` px of the frame. 0..1 `[K]`."""
    back = pose.take(np.array([j])).bring_back(at[None])[0] + middle[j]
    h, w = masks[j].shape
    ok = (back[:, 0] > -0.5) & (back[:, 1] > -0.5) & (back[:, 0] < w - 0.5) & (back[:, 1] < h - 0.5)
    return np.asarray(ok * read(masks[j][..., None], back)[:, 0], np.float64)


def uncovered(templates: Templates, masks: list[F32], pose: Pose, front: F64) -> F64:
    """How much each sample is in view, given the probability `front[j, i]` that j is in front of i. `[N, K]` in 0..1."""
    at = pose.carry(templates.samples)
    out = np.ones(at.shape[:2])
    for i, j in overlapping(templates, pose):
        if front[j, i] > 0.02:
            out[i] *= 1 - front[j, i] * inside(masks, templates.middle, pose, j, at[i])
    return out


def covers(masks: list[F32], templates: Templates, pose: Pose, front: F64, found: npt.NDArray[np.bool_], size: tuple[int, int]) -> list[F32 | None]:
    """Where each object would be in view, at half the tracking scale, `[H / 2, W / 2]` in 0..1; None: everywhere.

    Args:
        front: `front[j, i]`, the probability that j is in front of i.
    """
    shape = size[1] // 2, size[0] // 2
    out: list[F32 | None] = [None] * len(masks)
    drawn: dict[int, F32] = {}
    for i, j in overlapping(templates, pose):
        if front[j, i] < 0.05 or not found[j]:
            continue
        if j not in drawn:
            drawn[j] = carried(masks[j], templates.middle[j], pose.matrix[j], pose.position[j], shape, 2.0)
        rest = 1 - np.float32(front[j, i]) * drawn[j]
        out[i] = rest if out[i] is None else np.asarray(out[i] * rest)
    return out


def carried(mask: F32, middle: F64, matrix: F64, position: F64, shape: tuple[int, int], factor: float) -> F32:
    """A frame-0 mask in a pose, drawn on a picture of `shape` (W, H) each of whose pixels is `factor` px here."""
    inverse = np.linalg.inv(matrix)
    # Pixel x of the picture lies at (x + 0.5) * factor - 0.5 here; from there back to frame 0.
    shift = inverse @ ((0.5 * factor - 0.5) - position) + middle
    warp = np.concatenate([inverse * factor, shift[:, None]], axis=1)
    return np.asarray(cv2.warpAffine(mask, warp, shape, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), np.float32)


def evidence(templates: Templates, masks: list[F32], first: F32, image: F32, pose: Pose, cap: float) -> F64:
    """How much better j explains the frame than i where they overlap, `[N, N]` (j, i), in units of capped pixels.

    Args:
        first, image: frame 0 and the frame, float32 `[H, W, 3]`.
        cap: colour distance beyond which a misfit is no worse.
    """
    n = len(masks)
    out = np.zeros((n, n))
    at = pose.carry(templates.samples)
    level = templates.levels[-1]
    for i, j in overlapping(templates, pose):
        x = at[i]
        within = inside(masks, templates.middle, pose, j, x) * templates.weight[i]
        h, w = image.shape[:2]
        within *= (x[:, 0] > -0.5) & (x[:, 1] > -0.5) & (x[:, 0] < w - 0.5) & (x[:, 1] < h - 0.5)
        if within.sum() < 1:
            continue
        colour = read(image, x)
        mine = ((colour - level.colours[i]) ** 2).sum(-1)
        back = pose.take(np.array([j])).bring_back(x[None])[0] + templates.middle[j]
        other = ((colour - read(first, back)) ** 2).sum(-1)
        gain = (np.minimum(mine, cap**2) - np.minimum(other, cap**2)) / cap**2
        out[j, i] += float((within * gain).sum())
        out[i, j] -= float((within * gain).sum())
    return out


def modal_masks(masks: list[F32], middle: F64, pose: Pose, front: F64, found: npt.NDArray[np.bool_], size: tuple[int, int], factor: float) -> npt.NDArray[np.bool_]:
    """Carried masks at the video's own size `[N, H, W]`, without the pixels that lie under an object in front."""
    height, width = size
    whole = np.zeros((len(masks), height, width), bool)
    for i, mask in enumerate(masks):
        soft = carried(mask, middle[i], pose.matrix[i], pose.position[i], (width, height), factor)
        whole[i] = soft > 0.5
    out = whole & found[:, None, None]
    for i in range(len(masks)):
        for j in range(len(masks)):
            if i != j and found[j] and front[j, i] > 0.5:
                out[i] &= ~whole[j]
    return out
