"""The object inside a box that a person drew on a frame."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt


def mask_in(image: npt.NDArray[np.uint8], box: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Mask `[H, W]` of what lies in a box `[4]` px of an image uint8 `[H, W, 3]`.

    GrabCut (Rother et al. 2004); the whole box where that finds next to nothing.
    """
    h, w = image.shape[:2]
    x0, y0 = np.clip(np.floor(box[:2] + 0.5).astype(int), 0, (w - 2, h - 2))
    x1, y1 = np.clip(np.ceil(box[2:] + 0.5).astype(int), (x0 + 1, y0 + 1), (w, h))
    whole = np.zeros((h, w), np.bool_)
    whole[y0:y1, x0:x1] = True
    if x1 - x0 < 4 or y1 - y0 < 4:
        return whole
    labels = np.zeros((h, w), np.uint8)
    cv2.setRNGSeed(0)
    cv2.grabCut(
        np.ascontiguousarray(image[..., ::-1]),
        labels,
        (int(x0), int(y0), int(x1 - x0), int(y1 - y0)),
        np.zeros((1, 65)),
        np.zeros((1, 65)),
        5,
        cv2.GC_INIT_WITH_RECT,
    )
    found = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)) & whole
    return np.asarray(found if found.sum() >= 0.2 * whole.sum() else whole)
