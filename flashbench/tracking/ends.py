"""The two ends of tracking: what a case gives on frame 0, and tracks in px of the video from what was followed."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from flashbench.bits import Bits
from flashbench.cases.schema import Case, ObjectTrack
from flashbench.tracking import occlusion
from flashbench.tracking.follow import Follower, State
from flashbench.tracking.protocol import ObjectTracks
from flashbench.tracking.similarity import F64, Bools, Index
from flashbench.tracking.template import F32, within
from flashbench.tracking.views import Views

OWN_POINTS = 16  # points an object where the case has none


class FirstFrame(NamedTuple):
    """All that the tracker is told of N objects.

    Attributes:
        masks: bool `[N, H, W]`; soft: the same at the tracking scale, above a half inside.
        centres: `[N, 2]` px of the video; points: `[N, P, 2]` px of the video.
    """

    masks: Bools
    soft: list[F32]
    centres: F64
    points: F64


def first_masks(case: Case) -> Bools:
    """Frame-0 masks of the objects, bool `[N, H, W]`."""
    return np.stack([_mask(o, case.size) for o in case.objects])


def first_frame(case: Case, masks: Bools, views: Views) -> FirstFrame:
    """Frame 0 of a case, and nothing later."""
    centres = np.stack([o.path[0] for o in case.objects]).astype(np.float64)
    return FirstFrame(masks, [_soft(m, views) for m in masks], centres, case_points(case, masks, centres))


def _mask(track: ObjectTrack, size: tuple[int, int]) -> Bools:
    """The frame-0 mask `[H, W]`; without one the frame-0 box, filled."""
    if track.masks is not None:
        return np.asarray(track.masks[0])
    y, x = np.mgrid[: size[0], : size[1]]
    x0, y0, x1, y1 = track.boxes[0]
    return np.asarray((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1))


def _soft(mask: Bools, views: Views) -> F32:
    """The mask at the tracking scale, its edge smoothed over a pixel of the video; `[H, W]`."""
    how = cv2.INTER_LINEAR if views.factor > 1 else cv2.INTER_AREA
    soft = cv2.resize(mask.astype(np.float32), (views.size[1], views.size[0]), interpolation=how)
    if views.factor > 1:
        soft = cv2.GaussianBlur(soft, (0, 0), 0.4 * views.factor)
    peak = float(soft.max())  # a pixel alone would not reach a half
    return np.asarray(soft / peak if 0 < peak <= 0.6 else soft, np.float32)


def case_points(case: Case, masks: Bools, centres: F64) -> F64:
    """Frame-0 points of the case `[N, P, 2]`; objects without any get a regular choice of their mask's pixels."""
    given = [o.points[:, 0].astype(np.float64) if o.points is not None else np.zeros((0, 2)) for o in case.objects]
    count = max(len(g) for g in given) or OWN_POINTS
    out = np.zeros((len(masks), count, 2))
    for i, points in enumerate(given):
        if not len(points):
            points = np.argwhere(masks[i])[:, ::-1].astype(np.float64) if masks[i].any() else centres[i : i + 1]
        # An object with fewer points than another repeats its last one; of more pixels a regular choice is taken.
        every = max(1.0, (len(points) - 1) / max(count - 1, 1))
        out[i] = points[np.minimum(np.arange(count) * every, len(points) - 1).round().astype(np.int64)]
    return out


def tracks_of(follower: Follower, states: list[State], front: F64, start: FirstFrame) -> ObjectTracks:
    """What was followed, in px of the video. `front[t, j, i]`: probability that object j is in front of i."""
    views, middle = follower.views, follower.templates.middle[:, None]
    centres = views.enlarged(start.centres)[:, None] - middle
    hulls = views.enlarged(np.stack([hull(m, c) for m, c in zip(start.masks, start.centres, strict=True)])) - middle
    n, size = len(start.masks), start.masks.shape[1:]
    rows, masks = [], Bits((n, len(states), *size))
    for t, state in enumerate(states):
        whole = start.masks if t == 0 else np.stack([_carried(follower, start, state, i) for i in range(n)])
        there = state.found | state.hidden
        whole = whole & there[:, None, None]
        corners = views.reduced(state.pose.carry(hulls))
        points = views.reduced(state.pose.carry(follower.points + state.local))
        seen = _unhidden(points, whole, front[t], size) & there[:, None]
        masks[:, t] = modal = occlusion.modal(whole, front[t])
        boxes = np.concatenate([corners.min(1), corners.max(1)], axis=1)
        rows.append((views.reduced(state.pose.carry(centres))[:, 0], modal.any((1, 2)), boxes, points, seen))
    centre, visible, box, point, point_seen = (np.stack(r, axis=1) for r in zip(*rows, strict=True))
    f32 = np.float32
    return ObjectTracks(
        centre.astype(f32), visible, masks, box.astype(f32), point.swapaxes(1, 2).astype(f32), point_seen.swapaxes(1, 2)
    )


def _carried(follower: Follower, start: FirstFrame, state: State, i: int) -> Bools:
    pose, size, middle = state.pose, start.masks.shape[1:], follower.templates.middle[i]
    factor = follower.views.factor
    soft = occlusion.carried(start.soft[i], middle, pose.matrix[i], pose.position[i], (size[0], size[1]), factor)
    return np.asarray(soft > 0.5)


def hull(mask: Bools, centre: F64, corners: int = 64) -> F64:
    """Corners `[corners, 2]` of a mask's convex hull, the last repeated; of a pixel at the centre if it is empty."""
    pixels = np.argwhere(mask)[:, ::-1] if mask.any() else centre[None]
    square = np.array([[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]])
    outline = cv2.convexHull((pixels[:, None] + square).reshape(-1, 2).astype(np.float32)).reshape(-1, 2)
    every = max(1, -(-len(outline) // corners))
    outline = outline[::every]
    return np.asarray(outline[np.minimum(np.arange(corners), len(outline) - 1)], np.float64)


def _unhidden(points: F64, whole: Bools, front: F64, size: tuple[int, ...]) -> Bools:
    """Which points `[N, P, 2]` lie in the frame and under no object in front."""
    nearest: Index = np.rint(points).astype(np.int64)
    x, y = np.clip(nearest[..., 0], 0, size[1] - 1), np.clip(nearest[..., 1], 0, size[0] - 1)
    out = within(points, (size[0], size[1]))
    for j, i in np.argwhere(front > 0.5):
        out[i] &= ~whole[j, y[i], x[i]]
    return out
