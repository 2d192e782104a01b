"""FVD of uniform noise through our I3D, against the value that TensorFlow's I3D gives for the same arrays.

128 clips from RandomState(1) and 128 from RandomState(2), float32 [16, 224, 224, 3] in [0, 1), fed as they are (neither
scaled nor resized). Published (fvd-comparison): 10.138085 with TensorFlow, 10.138084767 with the TorchScript port.
256 forward passes.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from reporting import row

from flashbench.backbones.i3d import I3D
from flashbench.metrics.frechet import frechet_distance

PUBLISHED = 10.138085
CLIPS, SHAPE = 128, (16, 224, 224, 3)


def features(net: I3D, seed: int) -> np.ndarray:
    """Logits of CLIPS noise clips, drawn one after another: the same numbers as in one draw. float32 [N, 400]."""
    rng = np.random.RandomState(seed)
    rows = []
    for _ in range(CLIPS):
        clip = torch.from_numpy(rng.rand(*SHAPE).astype(np.float32)).permute(3, 0, 1, 2)[None]
        rows.append(net.logits(clip)[0].numpy())
    return np.stack(rows)


def main() -> None:
    net = I3D.load()
    start = time.perf_counter()
    value = frechet_distance(features(net, 1), features(net, 2))
    seconds = (time.perf_counter() - start) / (2 * CLIPS)
    row("FVD of noise against noise", value, "", "> 10.1370")
    row("difference from TensorFlow's 10.138085", abs(value - PUBLISHED), "", "< 1e-3")
    row("one clip of 16 x 224 x 224, one process", seconds, "s")


if __name__ == "__main__":
    main()
