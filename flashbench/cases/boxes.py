"""Boxes of masks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def tight(masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Tight boxes `[..., 4]` px of bool masks `[..., H, W]`.

    Pixel centres are at integers: the box of columns a..b and rows c..d is (a - 0.5, c - 0.5, b + 0.5, d + 0.5). An
    empty mask has the box NaN.
    """
    height, width = masks.shape[-2:]
    columns, rows = np.asarray(masks.any(axis=-2)), np.asarray(masks.any(axis=-1))  # (..., W), (..., H)
    sides = (
        columns.argmax(axis=-1) - 0.5,
        rows.argmax(axis=-1) - 0.5,
        width - 0.5 - columns[..., ::-1].argmax(axis=-1),
        height - 0.5 - rows[..., ::-1].argmax(axis=-1),
    )
    return np.where(columns.any(axis=-1, keepdims=True), np.stack(sides, axis=-1), np.nan)
