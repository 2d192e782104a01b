"""Overlap of masks and of boxes.

Both empty is full agreement, 1: the object is asked to be absent, and is (DAVIS's convention). One empty is 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flashbench.metrics._arrays import Bools, Floats


def mask_iou(masks: npt.ArrayLike, target_masks: npt.ArrayLike) -> Floats:
    """Intersection over union of masks (the Jaccard index; Everingham et al. 2010).

    Args:
        masks: bool `[..., H, W]`.
        target_masks: bool `[..., H, W]` of the same H, W; leading axes broadcast.

    Returns:
        float64 `[...]` in 0..1, 1 where both masks are empty.

    Raises:
        ValueError: masks that are not bool (0/255 images, logits), or of different frame sizes.
    """
    first, second = _masks(masks, "masks"), _masks(target_masks, "target masks")
    if first.shape[-2:] != second.shape[-2:]:
        raise ValueError(f"masks are {first.shape[-2:]}, target masks {second.shape[-2:]} (H, W)")
    intersection = _areas(first & second)
    union = _areas(first) + _areas(second) - intersection
    return _ratio(intersection, union)


def box_iou(boxes: npt.ArrayLike, target_boxes: npt.ArrayLike) -> Floats:
    """Intersection over union of boxes, by continuous areas.

    Args:
        boxes: `[..., 4]`, (x0, y0, x1, y1) px. NaN, or x1 <= x0 or y1 <= y0, is an empty box.
        target_boxes: `[..., 4]`; leading axes broadcast.

    Returns:
        float64 `[...]` in 0..1, 1 where both boxes are empty.

    Raises:
        ValueError: a last axis other than 4, or infinite corners.
    """
    first, second = _boxes(boxes, "boxes"), _boxes(target_boxes, "target boxes")
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    intersection = np.prod(np.maximum(high - low, 0), axis=-1)
    union = _extent(first) + _extent(second) - intersection
    return _ratio(intersection, union)


def _ratio(intersection: npt.ArrayLike, union: npt.ArrayLike) -> Floats:
    """Intersection over union, 1 where the union is empty."""
    part, whole = np.asarray(intersection, np.float64), np.asarray(union, np.float64)
    out: Floats = np.divide(part, whole, out=np.ones_like(whole), where=whole > 0)
    return out


def _masks(masks: npt.ArrayLike, name: str) -> Bools:
    out = np.asarray(masks)
    if out.dtype != np.bool_ or out.ndim < 2 or 0 in out.shape[-2:]:
        raise ValueError(f"{name} are {out.dtype} {out.shape}, expected bool [..., H, W]")
    return out


def _areas(masks: Bools) -> npt.NDArray[np.int64]:
    """Pixels of each mask. One count a mask: along axes NumPy's count is four times slower."""
    flat = masks.reshape(-1, masks.shape[-2] * masks.shape[-1])
    return np.array([np.count_nonzero(mask) for mask in flat], np.int64).reshape(masks.shape[:-2])


def _boxes(boxes: npt.ArrayLike, name: str) -> Floats:
    """Boxes as float64 `[..., 4]`, empty ones as zeros."""
    out = np.asarray(boxes, np.float64)
    if out.ndim == 0 or out.shape[-1] != 4:
        raise ValueError(f"{name} have shape {out.shape}, expected [..., 4]")
    if np.isinf(out).any():
        raise ValueError(f"{name} hold infinity")
    full = (out[..., 2:] > out[..., :2]).all(axis=-1, keepdims=True)  # False for NaN
    return np.where(full, out, 0.0)


def _extent(boxes: Floats) -> Floats:
    return np.asarray(np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1), np.float64)
