"""Which of two overlapping objects is in front, told by whose colours the frame shows where they overlap."""

from __future__ import annotations

import cv2
import numpy as np

from flashbench.tracking.similarity import F64, Bools, Index, Pose, inverse, parts_of, total
from flashbench.tracking.template import F32, Templates, read, within
from flashbench.tracking.views import CELL

COVER = 2  # px of the tracking scale that a pixel of a cover stands for


def overlapping(templates: Templates, pose: Pose) -> list[tuple[int, int]]:
    """Ordered pairs (i, j), i != j, of objects whose circles meet."""
    reach = templates.far * np.sqrt(np.abs(np.linalg.det(pose.matrix))) * 1.15
    apart = np.linalg.norm(pose.position[:, None] - pose.position[None], axis=-1)
    near = (apart < reach[:, None] + reach[None]) & (templates.total > 0)[:, None] & (templates.total > 0)[None]
    np.fill_diagonal(near, False)
    return [(int(i), int(j)) for i, j in np.argwhere(near)]


def carried(
    mask: F32,
    middle: F64,
    matrix: F64,
    position: F64,
    size: tuple[int, int],
    factor: float,
    corner: tuple[int, int] = (0, 0),
) -> F32:
    """A frame-0 mask in a pose, drawn on a picture of `size` (H, W) each of whose pixels is `factor` px here.

    corner: (x, y), the pixel of a larger picture that is this one's first.
    """
    back = inverse(matrix[None])[0]
    # Pixel x of the picture lies at (x + corner + 0.5) * factor - 0.5 here; from there back to frame 0.
    shift = back @ ((np.array(corner) + 0.5) * factor - 0.5 - position) + middle
    warp = np.concatenate([back * factor, shift[:, None]], axis=1)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(mask, warp, (size[1], size[0]), flags=flags), np.float32)


Part = tuple[slice, slice]


def _drawn(masks: list[F32], templates: Templates, pose: Pose, j: int, size: tuple[int, int]) -> tuple[Part, F32]:
    """The part of a cover that object j reaches, and its mask there."""
    (turn,), (stretch,) = parts_of(pose.matrix[j : j + 1])
    reach = templates.edge[j] * (abs(turn) + abs(stretch)) / COVER + 1
    middle = (pose.position[j] + 0.5) / COVER - 0.5
    low = np.clip(np.floor(middle - reach), 0, (size[1], size[0])).astype(int)
    high = np.clip(np.ceil(middle + reach) + 1, low, (size[1], size[0])).astype(int)
    part, (width, height) = (slice(low[1], high[1]), slice(low[0], high[0])), high - low
    if not width or not height:
        return part, np.zeros((height, width), np.float32)
    corner = int(low[0]), int(low[1])
    args = masks[j], templates.middle[j], pose.matrix[j], pose.position[j]
    return part, carried(*args, (int(height), int(width)), COVER, corner)


def covers(
    masks: list[F32], templates: Templates, pose: Pose, front: F64, found: Bools, which: Index | None = None
) -> list[F32 | None]:
    """Where nothing is in front of each object: float32 `[H / COVER, W / COVER]` in 0..1; None: everywhere.

    Args:
        masks: soft frame-0 masks `[H, W]`.
        front: `front[j, i]`, the probability that j is in front of i.
        found: objects that can hide others.
        which: objects whose cover is asked for, the others get None; None: all.
    """
    size = templates.size[0] // COVER, templates.size[1] // COVER
    out: list[F32 | None] = [None] * len(masks)
    drawn: dict[int, tuple[Part, F32]] = {}
    asked = set(range(len(masks)) if which is None else which.tolist())
    for i, j in overlapping(templates, pose):
        if i not in asked or front[j, i] < 0.05 or not found[j]:
            continue
        if j not in drawn:
            drawn[j] = _drawn(masks, templates, pose, j, size)
        part, mask = drawn[j]
        cover = out[i]
        if cover is None:
            out[i] = cover = np.ones(size, np.float32)
        cover[part] *= 1 - np.float32(front[j, i]) * mask
    return out


def smaller(cover: F32 | None, shape: tuple[int, ...]) -> F32 | None:
    """A cover at the size (h, w) of the small pictures."""
    step = CELL // COVER
    return None if cover is None else cover[::step, ::step][: shape[0], : shape[1]]


def evidence(masks: list[F32], templates: Templates, first: F32, image: F32, pose: Pose, cap: float) -> F64:
    """How much better j explains the frame than i where they overlap, `[N, N]` (j, i), in pixels of the video.

    Args:
        first: frame 0, image: the frame, float32 `[H, W, 3]`.
        cap: colour distance beyond which a misfit is no worse.
    """
    out = np.zeros((len(masks), len(masks)))
    at = pose.carry(templates.samples)
    for i, j in overlapping(templates, pose):
        back = (at[i] - pose.position[j]) @ inverse(pose.matrix[j : j + 1])[0].T + templates.middle[j]
        shared = (read(masks[j], back[None])[0] > 0.5) & within(back, templates.size) & within(at[i], templates.size)
        weight = templates.weight[i] * shared
        if weight.sum() < 1:
            continue
        colour = read(image, at[i : i + 1])[0]
        mine = total((colour - templates.colours[i]) ** 2)
        other = total((colour - read(first, back[None])[0]) ** 2)
        gain = float((weight * (np.minimum(mine, cap**2) - np.minimum(other, cap**2))).sum()) / cap**2
        out[j, i] += gain
        out[i, j] -= gain
    return out


def in_front(evidence: F64, memory: float, most: float) -> F64:
    """Probability that j is in front of i, `[T, N, N]` (j, i), from the evidence `[T, N, N]` of the frames round each.

    Depth may change in a generated video, so evidence fades by `memory` a frame, and none adds up to more than `most`.
    """
    past, future = np.zeros_like(evidence), np.zeros_like(evidence)
    total = np.zeros_like(evidence[0])
    for t in range(len(evidence)):
        total = past[t] = np.clip(memory * total + evidence[t], -most, most)
    total = np.zeros_like(evidence[0])
    for t in reversed(range(len(evidence))):
        total = future[t] = np.clip(memory * total + evidence[t], -most, most)
    return probability(past + future - evidence)


def probability(evidence: F64) -> F64:
    """Logistic function of half the evidence."""
    return np.asarray(1 / (1 + np.exp(-evidence / 2)))


def modal(whole: Bools, front: F64) -> Bools:
    """Masks `[N, H, W]` without the pixels that lie under an object in front. An undecided pair keeps both."""
    out = whole.copy()
    for j, i in np.argwhere(front > 0.5):
        out[i] &= ~whole[j]
    return out
