"""Accuracy of the tracker `lk` on the true videos of sprites-v1: the floor of every trajectory metric.

Every position is known there. Distances at 256 x 256 scale, frame 0 left out. `--cases N` takes the first N only,
`--seed K` those of another suite. Beside the rows of the report it prints a table by motion family, size and how much
of an object is in view, as docs/validity.md has it.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from reporting import row

from flashbench.cases.schema import Case
from flashbench.cases.suites import open_suite
from flashbench.metrics.tracks import to_256
from flashbench.metrics.values import CASE_METRICS, Sample
from flashbench.tracking.lk import LKTracker
from flashbench.tracking.protocol import ObjectTracks
from flashbench.validation.trackers import OFF, grouped, lines, seen_of

METRICS = ("epe_lk", "epe_lk_median", "miou_lk", "biou_lk")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    suite, tracker = open_suite("sprites-v1", seed=asked.seed), LKTracker()
    values: dict[str, list[float]] = {name: [] for name in METRICS}
    off, seconds, seen = [], [], []
    for case_id in suite.case_ids[: asked.cases]:
        case, video = suite.load_case(case_id), suite.load_reference(case_id)
        start = time.perf_counter()
        found = tracker.track(video, case)
        seconds.append(time.perf_counter() - start)
        arrays = found._asdict()
        sample = Sample(case, {"lk": arrays})
        for name in METRICS:
            values[name].append(CASE_METRICS[name](sample))
        off += points_off(case, found)
        seen += [(family, seen_of(case, arrays, n)) for n, family in enumerate(case.meta["families"])]
    print("\n".join(lines(grouped(seen).items())))
    row("epe_lk, median of the videos", float(np.nanmedian(values["epe_lk"])), "px of 256", "< 0.6")
    row("epe_lk, mean of the videos", float(np.nanmean(values["epe_lk"])), "px of 256")
    row("epe_lk_median, median of the videos", float(np.nanmedian(values["epe_lk_median"])), "px of 256")
    row("visible points more than 8 px off", 100 * float(np.mean(np.concatenate(off))), "%", "< 3")
    row("visible objects said to be invisible", 100 * float(np.concatenate([s.lost for _, s in seen]).mean()), "%")
    row("miou_lk, mean of the videos", float(np.nanmean(values["miou_lk"])), "", "> 0.85")
    row("biou_lk, mean of the videos", float(np.nanmean(values["biou_lk"])))
    row("tracking one video", float(np.mean(seconds)), "s")


def points_off(case: Case, found: ObjectTracks) -> list[np.ndarray]:
    """For each object, whether each truly visible point of frames 1 to T-1 is more than OFF px from the truth."""
    out = []
    for asked, points in zip(case.objects, found.points, strict=True):
        if asked.points is not None and asked.point_visible is not None:
            away = to_256(points[: len(asked.points)], case.size) - to_256(asked.points, case.size)
            out.append((np.linalg.norm(away, axis=-1) > OFF)[:, 1:][asked.point_visible[:, 1:]])
    return out


if __name__ == "__main__":
    main()
