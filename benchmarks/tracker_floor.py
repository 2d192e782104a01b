"""Accuracy of the tracker `lk` on the true videos of sprites-v1: the floor of every trajectory metric.

Every position is known there. Object centres and points at 256 x 256 scale, frame 0 left out.
"""

from __future__ import annotations

import numpy as np
from reporting import row

from flashbench.cases.suites import open_suite
from flashbench.tracking.lk import LKTracker

OFF = 8.0


def main() -> None:
    suite, tracker = open_suite("sprites-v1"), LKTracker()
    centre_errors, far, unseen, overlaps = [], [], [], []
    for case_id in suite.case_ids:
        case = suite.load_case(case_id)
        tracks = tracker.track(suite.load_reference(case_id), case)
        height, width = case.size
        scale = np.array([256 / width, 256 / height])
        errors, ious = [], []
        for n, asked in enumerate(case.objects):
            seen = asked.visible.copy()
            seen[0] = False
            if not seen.any():
                continue
            errors.append(np.linalg.norm((tracks.centres[n] - asked.path) * scale, axis=-1)[seen].mean())
            if asked.masks is not None and len(asked.masks) == case.frames:
                both = (tracks.masks[n] & asked.masks)[seen].sum((1, 2))
                either = (tracks.masks[n] | asked.masks)[seen].sum((1, 2))
                ious.append((both / np.maximum(either, 1)).mean())
            if asked.points is not None and asked.point_visible is not None:
                truth = asked.point_visible.copy()
                truth[:, 0] = False
                away = np.linalg.norm((tracks.points[n, : len(asked.points)] - asked.points) * scale, axis=-1) > OFF
                hidden = ~tracks.point_visible[n, : len(asked.points)]
                far.append(away[truth])
                unseen.append((hidden & ~away)[truth])
        centre_errors.append(np.mean(errors))
        overlaps.append(np.mean(ious))
    row("epe_lk of a video, median", float(np.median(centre_errors)), "px of 256", "< 0.6")
    row("epe_lk of a video, mean", float(np.mean(centre_errors)), "px of 256")
    row("visible points more than 8 px off", 100 * float(np.mean(np.concatenate(far))), "%", "< 3")
    row("visible points said to be hidden, though within 8 px", 100 * float(np.mean(np.concatenate(unseen))), "%")
    row("miou_lk, mean", float(np.mean(overlaps)), "", "> 0.85")


if __name__ == "__main__":
    main()
