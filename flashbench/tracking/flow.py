"""Frame-to-frame motion of objects by OpenCV's pyramidal Lucas-Kanade."""

from __future__ import annotations

import cv2
import numpy as np

from flashbench.tracking.background import U8
from flashbench.tracking.similarity import F64, Bools, Pose, fit_similarity
from flashbench.tracking.template import F32, Templates, within

BACK = 1.0  # px that a point may be off after there and back
TOLERANCE = 2.0  # px that a point may be off its object's similarity


def seeds(gray: U8, masks: list[F32], templates: Templates, points: int, apart: float) -> tuple[F64, Bools]:
    """Points to follow on each object: corners, and a regular choice of the template's samples.

    Args:
        gray: frame 0, `[H, W]`; masks: soft masks `[H, W]`.
        points: how many, P; apart: least distance of corners, px.

    Returns:
        Points `[N, P, 2]` px from each object's middle, and which of them exist, bool `[N, P]`.
    """
    at, known = np.zeros((len(masks), points, 2)), np.zeros((len(masks), points), bool)
    for i, mask in enumerate(masks):
        inside = (mask > 0.5).astype(np.uint8)
        found = cv2.goodFeaturesToTrack(gray, points // 2, 0.02, apart, mask=inside, blockSize=5)
        corners = np.zeros((0, 2)) if found is None else found.reshape(-1, 2) - templates.middle[i]
        grid = templates.samples[i][templates.weight[i] > 0]
        if len(grid):
            pick = np.unique(np.linspace(0, len(grid) - 1, points - len(corners)).round().astype(np.int64))
            grid = grid[pick]
        both = np.concatenate([corners, grid])
        at[i, : len(both)], known[i, : len(both)] = both, True
    return at, known


def flow(before: U8, after: U8, pose: Pose, at: F64, known: Bools, window: int, levels: int) -> tuple[Pose, F64]:
    """Where objects go from one frame to the next.

    Args:
        before, after: uint8 `[H, W]`; pose: of the N objects in `before`.
        at, known: the seeds.
        window: side of the Lucas-Kanade window, px; levels: pyramid levels above the first.

    Returns:
        Poses from px of `before` to px of `after`, and the share of seeds that come back and agree with them, `[N]`.
    """
    start = pose.carry(at)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 12, 0.03)

    def step(first: U8, second: U8, source: F32) -> tuple[F32, Bools]:
        there, ok, _ = cv2.calcOpticalFlowPyrLK(
            first, second, source, source.copy(), winSize=(window, window), maxLevel=levels, criteria=criteria
        )
        return np.asarray(there, np.float32), np.asarray(ok).astype(bool).reshape(known.shape)

    source = start.astype(np.float32).reshape(-1, 1, 2)
    there, ok = step(before, after, source)
    back, ok_back = step(after, before, there)
    off = np.linalg.norm(back - source, axis=-1).reshape(known.shape)
    good = known & ok & ok_back & (off < BACK) & within(start, before.shape[:2])
    moved, share = fit_similarity(start, there.reshape(start.shape).astype(np.float64), good, TOLERANCE)
    return moved, share * good.sum(1) / np.maximum(known.sum(1), 1)
