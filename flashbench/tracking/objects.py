"""Objects out of trackers that know only points, or only regions."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from flashbench.bits import Bits
from flashbench.cases.schema import Case
from flashbench.tracking.ends import case_points, first_masks, hull
from flashbench.tracking.protocol import ObjectTracks, PointTracker, RegionTracker, Video
from flashbench.tracking.similarity import F64, Bools, Pose, fit_similarity

QUERIES = 48  # points an object besides the case's own
LEAST_SEEN, LEAST_SHARE = 3, 0.1  # an object is found where so many of its points, and this share of them, are seen
TOLERANCE = 2.0  # px@256; see `fit_similarity`


class PointObjects:
    """Objects by their points: the case's own and a regular choice of frame-0 mask pixels.

    On each frame a robust similarity of the seen points carries centre, mask and box of frame 0; of the carried mask,
    what lies nearest to a point that is not seen counts as hidden.
    """

    def __init__(self, tracker: PointTracker) -> None:
        self.tracker, self.name = tracker, tracker.name

    @property
    def fingerprint(self) -> str:
        return f"{self.tracker.fingerprint}+points{QUERIES}-1"

    def track(self, video: Video, case: Case) -> ObjectTracks:
        """See `ObjectTracker.track`."""
        masks = first_masks(case)
        centres = np.stack([o.path[0] for o in case.objects]).astype(np.float64)
        own = case_points(case, masks, centres)  # (N, P, 2)
        chosen = np.concatenate([own, np.stack([_choice(m, c) for m, c in zip(masks, centres, strict=True)])], axis=1)
        n, k = chosen.shape[:2]
        found = self.tracker.track_points(video, chosen.reshape(n * k, 2).astype(np.float32))
        points = found.points.reshape(n, k, -1, 2).astype(np.float64)
        seen = found.visible.reshape(n, k, -1)
        rows, carried = [], Bits((n, seen.shape[2], *case.size))
        for i in range(n):
            centre, visible, carried[i], box = _carried(masks[i], centres[i], chosen[i], points[i], seen[i])
            rows.append((centre, visible, box))
        centre, visible, box = (np.stack(r) for r in zip(*rows, strict=True))
        points, seen, f32 = points[:, : own.shape[1]], seen[:, : own.shape[1]], np.float32
        return ObjectTracks(centre.astype(f32), visible, carried, box.astype(f32), points.astype(f32), seen)


def _choice(mask: Bools, centre: F64) -> F64:
    """QUERIES pixels `[QUERIES, 2]` of a mask in a regular choice; the centre where it is empty."""
    pixels = np.argwhere(mask)[:, ::-1].astype(np.float64) if mask.any() else centre[None]
    return pixels[np.linspace(0, len(pixels) - 1, QUERIES).round().astype(np.int64)]


def _carried(
    mask: Bools, centre: F64, queries: F64, points: F64, seen: Bools
) -> tuple[F64, Bools, Bools, npt.NDArray[np.float64]]:
    """One object: centres `[T, 2]`, visible `[T]`, masks `[T, H, W]`, boxes `[T, 4]`.

    queries `[K, 2]`, points `[K, T, 2]`, seen `[K, T]`.
    """
    k, frames = seen.shape
    height, width = mask.shape
    tolerance = TOLERANCE * max(height, width) / 256
    pose, _ = fit_similarity(np.tile(queries, (frames, 1, 1)), points.swapaxes(0, 1), seen.T, tolerance)
    count = seen.sum(0)
    visible = (count >= LEAST_SEEN) & (count >= LEAST_SHARE * k)
    last = np.maximum.accumulate(np.where(visible, np.arange(frames), 0))
    pose = pose.take(last)  # where it is not found it is where it was
    nearest = _nearest(mask, queries)
    masks = np.zeros((frames, height, width), np.bool_)
    for t in np.flatnonzero(visible):
        masks[t] = _warped(mask, nearest, pose, int(t), seen[:, t])
    corners = pose.carry(np.tile(hull(mask, centre), (frames, 1, 1)))
    boxes = np.concatenate([corners.min(1), corners.max(1)], axis=1)
    return pose.carry(np.tile(centre, (frames, 1, 1)))[:, 0], visible & masks.any((1, 2)), masks, boxes


def _nearest(mask: Bools, queries: F64) -> npt.NDArray[np.float32]:
    """For each pixel `[H, W]` the number of the query that is nearest."""
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    far = (x[..., None] - queries[:, 0]) ** 2 + (y[..., None] - queries[:, 1]) ** 2
    return np.asarray(far.argmin(-1), np.float32)


def _warped(mask: Bools, nearest: npt.NDArray[np.float32], pose: Pose, t: int, seen: Bools) -> Bools:
    """The frame-0 mask carried into frame t, without what lies nearest to points that are not seen."""
    size = mask.shape[1], mask.shape[0]
    affine = np.concatenate([pose.matrix[t], pose.position[t][:, None]], axis=1)
    whole = cv2.warpAffine(mask.astype(np.float32), affine, size, flags=cv2.INTER_LINEAR) > 0.5
    number = cv2.warpAffine(nearest, affine, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(whole & seen[number.astype(np.int64)])


class RegionObjects:
    """Objects by their masks: the centre goes with the mask's middle, the box is the mask's, points go along.

    What hides part of an object moves the middle of what is seen.
    """

    def __init__(self, tracker: RegionTracker) -> None:
        self.tracker, self.name = tracker, tracker.name

    @property
    def fingerprint(self) -> str:
        return f"{self.tracker.fingerprint}+regions-1"

    def track(self, video: Video, case: Case) -> ObjectTracks:
        """See `ObjectTracker.track`."""
        first = first_masks(case)
        centres = np.stack([o.path[0] for o in case.objects]).astype(np.float64)
        masks = self.tracker.track_regions(video, first).masks.astype(np.bool_).copy()
        masks[:, 0] = first
        visible: Bools = np.asarray(masks.any((2, 3)), np.bool_)
        frames = masks.shape[1]
        last = np.maximum.accumulate(np.where(visible, np.arange(frames), 0), axis=1)  # (N, T)
        held = np.take_along_axis(masks, last[:, :, None, None], axis=1)
        middle, boxes = _middles(held), _boxes(held)
        shift = middle - middle[:, :1]
        points = case_points(case, first, centres)[:, :, None] + shift[:, None]  # (N, P, T, 2)
        f32 = np.float32
        return ObjectTracks(
            (centres[:, None] + shift).astype(f32), visible, Bits.of(masks), boxes.astype(f32), points.astype(f32),
            _inside(masks, points),
        )  # fmt: skip


def _middles(masks: Bools) -> F64:
    """Mean pixel `[N, T, 2]` of masks `[N, T, H, W]`; 0 where one is empty."""
    area = np.maximum(masks.sum((2, 3)), 1)
    x = (masks.sum(2) * np.arange(masks.shape[3])).sum(-1) / area
    y = (masks.sum(3) * np.arange(masks.shape[2])).sum(-1) / area
    return np.asarray(np.stack([x, y], axis=-1), np.float64)


def _boxes(masks: Bools) -> F64:
    """Tight boxes `[N, T, 4]`: outer edges of the outermost pixels; 0 where a mask is empty."""
    out = []
    for axis in (2, 3):
        line: Bools = np.asarray(masks.any(axis), np.bool_)
        first = line.argmax(-1)
        out.append((first - 0.5, line.shape[-1] - line[..., ::-1].argmax(-1) - 0.5))
    (x0, x1), (y0, y1) = out
    boxes = np.stack([x0, y0, x1, y1], axis=-1)
    there: Bools = np.asarray(masks.any((2, 3)), np.bool_)
    return np.where(there[..., None], boxes, 0.0)


def _inside(masks: Bools, points: F64) -> Bools:
    """Whether points `[N, P, T, 2]` lie on their mask."""
    n, t = np.arange(len(masks))[:, None, None], np.arange(masks.shape[1])
    at = np.rint(points).astype(np.int64)
    ok = (at >= 0).all(-1) & (at[..., 0] < masks.shape[3]) & (at[..., 1] < masks.shape[2])
    x, y = (np.clip(at[..., i], 0, masks.shape[3 - i] - 1) for i in (0, 1))
    return np.asarray(masks[n, t, y, x] & ok)
