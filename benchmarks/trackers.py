"""Speed of the embedded tracker: points x frames a second, against OpenCV's flow called once a frame and point set.

    python benchmarks/trackers.py

Both follow the same points (16 an object) through the references of twelve cases of `sprites-v1`, on one thread, at the
same scale (256 px). The plain loop is `cv2.calcOpticalFlowPyrLK` from each frame to the next and back, an object's
points a call; the frames are resized and turned gray once a video. It gives points alone, which drift, and which stay
where they are lost. The tracker gives masks, boxes, visibility and order in depth too. Errors stand beside: the mean
distance, in px at the 256 scale, of points that can be seen from where the scene has them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
from reporting import row

from flashbench.cases.scenes import sprites_suite
from flashbench.cases.schema import Case
from flashbench.metrics.tracks import to_256
from flashbench.tracking.lk import LKTracker

Video = npt.NDArray[np.uint8]
Points = npt.NDArray[np.floating]  # [N, P, T, 2] px of the video
CASES, SCALE = 12, 256


def plain(video: Video, case: Case) -> Points:
    """Points carried from frame to frame; one that does not come back stays where it is."""
    start = np.stack([o.points[:, 0] for o in case.objects if o.points is not None]).astype(np.float32)
    factor = SCALE / max(case.size)
    frames = [
        cv2.cvtColor(cv2.resize(f, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), cv2.COLOR_RGB2GRAY)
        for f in video
    ]
    out = np.repeat(((start + 0.5) * factor - 0.5)[:, :, None], len(video), axis=2)
    for t in range(1, len(video)):
        for i in range(len(start)):
            before = out[i, :, t - 1]
            there, _, _ = cv2.calcOpticalFlowPyrLK(frames[t - 1], frames[t], before[:, None], None)
            back, _, _ = cv2.calcOpticalFlowPyrLK(frames[t], frames[t - 1], there, None)
            returned = np.abs(back[:, 0] - before).max(-1) < 1
            out[i, :, t] = np.where(returned[:, None], there[:, 0], before)
    return np.asarray((out + 0.5) / factor - 0.5)


def ours(video: Video, case: Case) -> Points:
    return LKTracker().track(video, case).points


def error(points: Points, case: Case) -> float:
    """Mean distance at the 256 scale from the scene's points, where those can be seen."""
    away = []
    for found, o in zip(points, case.objects, strict=True):
        if o.points is not None and o.point_visible is not None:
            n = len(o.points)
            far = np.linalg.norm(to_256(found[:n], case.size) - to_256(o.points, case.size), axis=-1)
            away.append(far[o.point_visible])
    return float(np.concatenate(away).mean())


def main() -> None:
    cv2.setNumThreads(1)
    suite = sprites_suite(CASES, seed=5)
    pairs = [(suite.load_reference(i), suite.load_case(i)) for i in suite.case_ids]
    followed: dict[str, Callable[[Video, Case], Points]] = {"lk": ours, "OpenCV, frame by frame": plain}
    for name, follow in followed.items():
        follow(*pairs[0])  # warm
        start, count, errors = time.perf_counter(), 0, []
        for video, case in pairs:
            points = follow(video, case)
            count += points[..., 0].size
            errors.append(error(points, case))
        row(f"{name}: points x frames a second", count / (time.perf_counter() - start), "1/s")
        row(f"{name}: mean error of points that can be seen", float(np.mean(errors)), "px")


if __name__ == "__main__":
    main()
