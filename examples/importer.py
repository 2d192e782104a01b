"""An importer in a few lines: a folder of NAME.mp4 and NAME.txt, whose lines are `x0 y0 x1 y1` of one object a frame.

An entry point `flashbench.layouts`: plain = "my_package.importer:LAYOUT"
flashbench import plain FOLDER -o SUITE
"""

from pathlib import Path

import numpy as np

from flashbench.cases.schema import Suite
from flashbench.files.video import probe, read_video, write_mp4
from flashbench.layouts.clips import Clip, ClipObject, Source
from flashbench.layouts.registry import Layout


def read(root: Path) -> Source:
    ids = tuple(sorted(path.stem for path in root.glob("*.mp4")))

    def load(clip_id: str) -> Clip:
        path = root / f"{clip_id}.mp4"
        boxes = np.loadtxt(root / f"{clip_id}.txt", dtype=np.float32, ndmin=2)
        return Clip(
            clip_id, f"{clip_id}.", read_video(path), probe(path).fps or 24.0, (ClipObject(clip_id, boxes=boxes),), path
        )

    return Source(root.name, ids, load)


def write(suite: Suite, root: Path) -> None:
    for case_id in suite.case_ids:
        case = suite.load_case(case_id)
        write_mp4(root / f"{case_id}.mp4", suite.load_reference(case_id), case.fps)
        np.savetxt(root / f"{case_id}.txt", case.objects[0].boxes, fmt="%.3f")


LAYOUT = Layout(read, write, "boxes", "a folder of NAME.mp4 and NAME.txt")
