"""Time and peak memory of scoring one large case: 1280 x 720, 121 frames, six objects, masks on every frame, with all
embedded metrics.

    python benchmarks/large_case.py [--scale 1]

The answer is the reference as an mp4 (H.264, crf 12) made elsewhere, so that everything is measured twice: on the
answer, and for its floor on the reference. Objects are discs of coloured cloth on straight paths at
different speeds that pass behind each other. Time is that of the whole command `flashbench score`, loading of networks
included; the networks that score are in the cache already, measurements of references are not. `--scale 4` takes a
quarter of each side and says nothing about the targets.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from reporting import BIN, measured, only_weights, row

from flashbench.cases.folder import save_suite
from flashbench.cases.schema import Case, ObjectTrack, Suite
from flashbench.files.video import write_mp4

HEIGHT, WIDTH, FRAMES, OBJECTS = 720, 1280, 121, 6
GIB = 2**30


def texture(rng: np.random.Generator, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Blurred noise with edges, uint8 `[height, width, 3]`."""
    import cv2

    coarse = rng.integers(0, 256, (max(2, height // 16), max(2, width // 16), 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def case(height: int, width: int) -> tuple[Case, npt.NDArray[np.uint8]]:
    """Six discs that cross the frame, the first in front, and their video uint8 `[T, H, W, 3]`."""
    rng = np.random.default_rng(0)
    video = np.repeat(texture(rng, height, width)[None], FRAMES, axis=0)
    y, x = np.mgrid[:height, :width]
    taken = np.zeros((FRAMES, height, width), np.bool_)
    tracks = []
    for n in range(OBJECTS):
        radius, cloth = height / (7 + n), texture(rng, height, width)
        start, end = rng.uniform(0.15, 0.85, (2, 2)) * (width, height)
        centres = (start + (end - start) * np.linspace(0, 1, FRAMES)[:, None]).astype(np.float32)
        masks = np.zeros((FRAMES, height, width), np.bool_)
        for t, (cx, cy) in enumerate(centres):
            disc = ((x - cx) ** 2 + (y - cy) ** 2 <= radius**2) & ~taken[t]
            moved = np.roll(cloth, (round(float(cy)), round(float(cx))), axis=(0, 1))
            video[t][disc] = moved[disc]
            masks[t], taken[t] = disc, taken[t] | disc
        boxes = np.concatenate([centres - radius, centres + radius], axis=1).astype(np.float32)
        tracks.append(ObjectTrack(f"disc {n + 1}", boxes, masks.any(axis=(1, 2)), masks, centres))
    return Case("large", "Six discs slide over a cloth.", video[0], tuple(tracks), 24.0, "masks"), video


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=int, default=1)
    scale = parser.parse_args().scale
    height, width = HEIGHT // scale // 2 * 2, WIDTH // scale // 2 * 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asked, video = case(height, width)
        one = Suite(
            "large", 0, (height, width), FRAMES, 24.0, "masks", ("large",), "", lambda i: asked, lambda i: video
        )
        save_suite(one, folder / "suite")
        write_mp4(folder / "made" / "large.mp4", video, 24.0)
        given = ["--model", f"videos:{folder / 'made'}", "--suite", folder / "suite", "-o", folder / "run"]
        measured([BIN / "flashbench", "generate", *given])
        used = measured([BIN / "flashbench", "score", folder / "run"], env=only_weights(folder / "cache"))
    row(
        f"score, {width} x {height}, {FRAMES} frames, {OBJECTS} objects",
        used.seconds,
        "s",
        "< 90" if scale == 1 else "",
    )
    row("peak memory", used.peak_bytes / GIB, "GiB", "< 3" if scale == 1 else "")


if __name__ == "__main__":
    main()
