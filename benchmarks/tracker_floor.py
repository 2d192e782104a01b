"""Accuracy of the tracker `lk` on the true videos of sprites-v1: the floor of every trajectory metric.

Every position is known there. Distances at 256 x 256 scale, frame 0 left out. `--cases N` takes the first N only,
`--seed K` those of another suite. Beside the rows of the report it prints a table by stratum and by motion family, over
frames on which at least a pixel of the object is visible: error of its centre (px), share of frames on which that is
more than 8 px or the object is said to be invisible (lost: only the latter), mask overlap.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from typing import NamedTuple

import numpy as np
from reporting import row

from flashbench.cases.schema import Case
from flashbench.cases.suites import open_suite
from flashbench.metrics.regions import mask_iou
from flashbench.metrics.tracks import to_256
from flashbench.metrics.values import CASE_METRICS, Sample
from flashbench.tracking.lk import LKTracker
from flashbench.tracking.protocol import ObjectTracks

METRICS = ("epe_lk", "epe_lk_median", "miou_lk", "biou_lk")
OFF = 8.0


class Seen(NamedTuple):
    """One object on the F frames on which it is visible, frame 0 left out: each `[F]`."""

    error: np.ndarray
    lost: np.ndarray
    overlap: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    suite, tracker = open_suite("sprites-v1", seed=asked.seed), LKTracker()
    values: dict[str, list[float]] = {name: [] for name in METRICS}
    off, seconds, groups = [], [], defaultdict(list)
    for case_id in suite.case_ids[: asked.cases]:
        case, video = suite.load_case(case_id), suite.load_reference(case_id)
        start = time.perf_counter()
        found = tracker.track(video, case)
        seconds.append(time.perf_counter() - start)
        sample = Sample(case, {"lk": found._asdict()})
        for name in METRICS:
            values[name].append(CASE_METRICS[name](sample))
        off += points_off(case, found)
        for n, family in enumerate(case.meta["families"]):
            seen = seen_of(case, found, n)
            groups[f"{case.stratum} objects"].append(seen)
            groups[family].append(seen)
            groups["all"].append(seen)
    table(groups)
    row("epe_lk, median of the videos", float(np.nanmedian(values["epe_lk"])), "px of 256", "< 0.6")
    row("epe_lk, mean of the videos", float(np.nanmean(values["epe_lk"])), "px of 256")
    row("epe_lk_median, median of the videos", float(np.nanmedian(values["epe_lk_median"])), "px of 256")
    row("visible points more than 8 px off", 100 * float(np.mean(np.concatenate(off))), "%", "< 3")
    row(
        "visible objects said to be invisible", 100 * float(np.concatenate([s.lost for s in groups["all"]]).mean()), "%"
    )
    row("miou_lk, mean of the videos", float(np.nanmean(values["miou_lk"])), "", "> 0.85")
    row("biou_lk, mean of the videos", float(np.nanmean(values["biou_lk"])))
    row("tracking one video", float(np.mean(seconds)), "s")


def seen_of(case: Case, found: ObjectTracks, n: int) -> Seen:
    """How well object n was found."""
    asked = case.objects[n]
    at = np.nonzero(asked.visible)[0]
    at = at[at > 0]
    error = np.linalg.norm(to_256(found.centres[n], case.size) - to_256(asked.path, case.size), axis=-1)[at]
    assert asked.masks is not None
    return Seen(error, ~found.visible[n, at], mask_iou(found.masks[n, at], asked.masks[at]))


def table(groups: dict[str, list[Seen]]) -> None:
    """Prints one line a group, pooled over objects and frames."""
    print(f"{'':16} objects  median    mean  > 8 px    lost    miou")
    for name, objects in sorted(groups.items()):
        error, lost, overlap = (np.concatenate(column) for column in zip(*objects, strict=True))
        far = 100 * ((error > OFF) | lost).mean()
        print(
            f"{name:16} {len(objects):7d} {np.median(error):7.2f} {error.mean():7.2f} {far:6.2f}% "
            f"{100 * lost.mean():6.2f}% {overlap.mean():7.3f}"
        )


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
