"""Videos, masks, points and boxes of one frame size, brought to another: cropped in the middle, then scaled."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Fit:
    """Cropping in the middle to the wanted shape, in whole pixels, then scaling: x' = (x - left + 0.5) * sx - 0.5."""

    left: int
    top: int
    crop: tuple[int, int]  # (h, w) px of the clip
    size: tuple[int, int]  # (H, W) px of the suite

    @classmethod
    def of(cls, found: tuple[int, ...], size: tuple[int, int]) -> Fit:
        height = min(found[0], round(found[1] * size[0] / size[1]))
        width = min(found[1], round(found[0] * size[1] / size[0]))
        return cls((found[1] - width) // 2, (found[0] - height) // 2, (height, width), size)

    @property
    def scale(self) -> npt.NDArray[np.float64]:
        """(sx, sy)."""
        return np.array([self.size[1] / self.crop[1], self.size[0] / self.crop[0]])

    def points(self, xy: npt.NDArray[np.floating]) -> Floats:
        """Points `[..., 2]` px."""
        return np.asarray((xy - (self.left, self.top) + 0.5) * self.scale - 0.5, np.float32)

    def boxes(self, boxes: Floats) -> Floats:
        """Boxes `[T, 4]` px."""
        return np.concatenate([self.points(boxes[:, :2]), self.points(boxes[:, 2:])], axis=1)

    def planes(self, planes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Frames `[T, h, w, ...]`: area averages when they become smaller, else bilinear."""
        cut = planes[:, self.top : self.top + self.crop[0], self.left : self.left + self.crop[1]]
        if self.crop == self.size:
            return np.ascontiguousarray(cut)
        how = cv2.INTER_AREA if self.size[0] < self.crop[0] else cv2.INTER_LINEAR
        return np.stack([cv2.resize(p, self.size[::-1], interpolation=how) for p in cut]).astype(np.uint8)

    def masks(self, masks: Bools) -> Bools:
        """Masks `[T, h, w]`: pixels that are at least half covered."""
        return np.asarray(self.planes(masks.astype(np.uint8) * 255) >= 128)
