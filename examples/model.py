"""A model in a few lines: objects slide along straight lines over a grey floor.

pip install -e . and an entry point `flashbench.models`: slide = "my_package.model:create"
flashbench eval --model slide
"""

import numpy as np

from flashbench.cases.schema import Case, Suite


class Slide:
    name, fingerprint, info = "slide", "slide-1", {"what": "boxes in the first frame's mean colours"}

    def generate(self, case: Case, seed: int) -> np.ndarray:
        """uint8 [T, H, W, 3]; frame 0 is the given one. The case holds what is asked, never the answer."""
        height, width = case.size
        video = np.full((case.frames, height, width, 3), 128, np.uint8)
        for o in case.objects:
            start, end = o.boxes[0], o.boxes[-1]
            x0, y0, x1, y1 = np.clip(start, 0, [width, height] * 2).astype(int)
            colour = case.first_frame[y0 : y1 + 1, x0 : x1 + 1].reshape(-1, 3).mean(0) if x1 > x0 and y1 > y0 else 0
            for t in range(case.frames):
                box = start + (end - start) * t / (case.frames - 1)
                x0, y0, x1, y1 = np.clip(box, 0, [width, height] * 2).astype(int)
                video[t, y0:y1, x0:x1] = colour
        video[0] = case.first_frame
        return video


def create(suite: Suite) -> Slide:
    return Slide()
