"""Masks and boxes: hand-made overlaps, set counts, rasterised boxes, empties, and inclusive-corner mistakes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torchvision.ops
from hypothesis import given, settings
from hypothesis import strategies as st

from flashbench.cases.boxes import tight
from flashbench.metrics.regions import box_iou, mask_iou

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def rectangle(x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = (20, 24)) -> Bools:
    """Mask of columns x0 .. x1 - 1 and rows y0 .. y1 - 1."""
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_mask_iou_by_hand() -> None:
    """10 x 10 and 10 x 10 overlapping by 5 x 10: 50 / 150."""
    assert mask_iou(rectangle(0, 0, 10, 10), rectangle(5, 0, 15, 10)) == pytest.approx(1 / 3)


def test_mask_iou_equals_sets_of_pixels() -> None:
    rng = np.random.default_rng(0)
    masks, target = rng.random((2, 3, 9, 7)) < 0.4, rng.random((2, 3, 9, 7)) < 0.6
    expected = np.empty((2, 3))
    for i, j in np.ndindex(2, 3):
        a, b = set(np.flatnonzero(masks[i, j])), set(np.flatnonzero(target[i, j]))
        expected[i, j] = len(a & b) / len(a | b)
    assert mask_iou(masks, target) == pytest.approx(expected)


def test_mask_iou_conventions_and_broadcasting() -> None:
    empty, full = rectangle(0, 0, 0, 0), rectangle(0, 0, 24, 20)
    assert mask_iou(empty, empty) == 1.0
    assert mask_iou(empty, full) == mask_iou(full, empty) == 0.0
    assert mask_iou(np.stack([empty, full]), full).tolist() == [0.0, 1.0]
    assert mask_iou(np.stack([empty, full])[:, None], np.stack([empty, full])[None]).tolist() == [[1, 0], [0, 1]]
    assert mask_iou(np.zeros((0, 4, 4), bool), np.zeros((0, 4, 4), bool)).shape == (0,)


def test_mask_iou_of_views_that_are_not_contiguous() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.random((2, 5, 12, 10)) < 0.5
    assert mask_iou(a[::2, ::-1, ::2], b[::2, ::-1, ::2]) == pytest.approx(
        mask_iou(a[::2, :, ::2].copy(), b[::2, :, ::2].copy())
    )


def test_mask_refusals() -> None:
    mask = rectangle(0, 0, 3, 3)
    for bad in (mask.astype(np.uint8) * 255, mask.astype(float), mask[0]):
        with pytest.raises(ValueError, match="bool"):
            mask_iou(bad, mask)
    with pytest.raises(ValueError, match="H, W"):
        mask_iou(mask, mask[:10])


def test_box_iou_by_hand() -> None:
    assert box_iou([0, 0, 10, 10], [5, 0, 15, 10]) == pytest.approx(1 / 3)
    assert box_iou([0, 0, 2, 2], [1, 1, 3, 3]) == pytest.approx(1 / 7)
    assert box_iou([0, 0, 2, 2], [2, 0, 4, 2]) == 0.0
    assert box_iou([0, 0, 10, 10], [2, 2, 4, 4]) == pytest.approx(4 / 100)


def test_box_iou_equals_torchvision() -> None:
    rng = np.random.default_rng(3)
    corner, size = rng.uniform(0, 50, (2, 8, 2)), rng.uniform(1, 60, (2, 8, 2))
    a, b = np.concatenate([corner, corner + size], axis=-1)
    expected = torchvision.ops.box_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    assert box_iou(a[:, None], b[None]) == pytest.approx(expected)


def test_box_iou_is_not_the_inclusive_corner_form() -> None:
    """The mistake of adding 1 to each side of a continuous box: 1/7 would become 4/14."""
    a, b = np.array([0.0, 0, 2, 2]), np.array([1.0, 1, 3, 3])
    inclusive = 2 * 2 / (3 * 3 + 3 * 3 - 2 * 2)
    assert abs(float(box_iou(a, b)) - inclusive) > 0.1


def test_box_iou_empty_boxes() -> None:
    box, nan, flat, turned = [0, 0, 4, 4], [np.nan] * 4, [1, 1, 1, 3], [4, 4, 0, 0]
    for empty in (nan, flat, turned, [np.nan, 0, 4, 4]):
        assert box_iou(empty, box) == box_iou(box, empty) == 0.0
        assert box_iou(empty, nan) == 1.0
    assert box_iou(np.array([nan, box]), np.array([box, box])).tolist() == [0.0, 1.0]


def test_box_refusals() -> None:
    with pytest.raises(ValueError, match="infinity"):
        box_iou([0, 0, np.inf, 4], [0, 0, 4, 4])
    with pytest.raises(ValueError, match="4"):
        box_iou([0, 0, 4], [0, 0, 4])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 23), st.integers(0, 19), st.integers(1, 24), st.integers(1, 20)),
        min_size=2,
        max_size=2,
    )
)
def test_boxes_agree_with_their_masks(corners: list[tuple[int, int, int, int]]) -> None:
    """For rectangles boxes and masks say the same; both overlaps are symmetric and within 0..1."""
    made = [rectangle(x0, y0, min(x0 + w, 24), min(y0 + h, 20)) for x0, y0, w, h in corners]
    boxes = [tight(m) for m in made]
    value = float(mask_iou(made[0], made[1]))
    assert 0 <= value <= 1
    assert value == pytest.approx(float(box_iou(boxes[0], boxes[1])))
    assert value == mask_iou(made[1], made[0])


def test_box_iou_ignores_shift_and_scale() -> None:
    rng = np.random.default_rng(4)
    corner, size = rng.uniform(0, 50, (2, 8, 2)), rng.uniform(1, 60, (2, 8, 2))
    a, b = np.concatenate([corner, corner + size], axis=-1)
    assert box_iou(a * 3 - 7, b * 3 - 7) == pytest.approx(box_iou(a, b))
