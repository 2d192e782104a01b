"""Boxes of masks: pixel centres at integers."""

from __future__ import annotations

import numpy as np
import pytest

from flashbench.cases.boxes import tight
from flashbench.cases.case_files import boxes_of


def rectangle(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((20, 24), bool)
    mask[y0:y1, x0:x1] = True
    return mask


@pytest.mark.parametrize(
    ("corners", "box"),
    [((3, 5, 4, 6), [2.5, 4.5, 3.5, 5.5]), ((0, 0, 24, 20), [-0.5, -0.5, 23.5, 19.5])],
    ids=["one pixel is the unit square round it", "the frame"],
)
def test_a_rectangle(corners: tuple[int, int, int, int], box: list[float]) -> None:
    assert tight(rectangle(*corners)).tolist() == box


def test_leading_axes_and_empty_masks() -> None:
    two = rectangle(2, 3, 5, 6) | rectangle(10, 12, 11, 15)
    boxes = tight(np.stack([two, np.zeros_like(two)])[:, None])
    assert boxes.shape == (2, 1, 4)
    assert boxes[0, 0].tolist() == [1.5, 2.5, 10.5, 14.5]
    assert np.isnan(boxes[1]).all()


def test_an_empty_frame_takes_the_box_of_the_last_one_or_of_the_first() -> None:
    none, a, b = np.zeros((20, 24), bool), rectangle(1, 2, 3, 4), rectangle(5, 6, 9, 8)
    boxes = boxes_of(np.stack([none, a, none, none, b, none]))
    assert boxes.dtype == np.float32
    np.testing.assert_array_equal(boxes, tight(np.stack([a, a, a, a, b, b])))
