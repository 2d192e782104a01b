"""Draws the README's picture: frames of several runs side by side, with the asked paths on them.

    python scripts/draw_frames.py runs/slow-50step runs/plugged-4step runs/flashmotion-4step \\
        --cases 1-0000 --cases 3-0000 -o docs/frames.png
"""

from __future__ import annotations

from pathlib import Path

import click
import cv2
import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Case
from flashbench.cases.suites import open_suite
from flashbench.files.png import write_png
from flashbench.files.video import read_video
from flashmotion.conditioning import PALETTE

Video = npt.NDArray[np.uint8]


def with_paths(frame: Video, case: Case, at: int, scale: int) -> Video:
    """A frame, enlarged, with each object's asked path so far as a line and its asked box."""
    big = np.ascontiguousarray(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC))

    def px(points: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        return np.rint((points + 0.5) * scale - 0.5).astype(np.int32)

    for i, o in enumerate(case.objects):
        colour = tuple(int(c) for c in PALETTE[i % len(PALETTE)])
        cv2.polylines(big, [px(o.path[: at + 1])], False, colour, 1, cv2.LINE_AA)
        if o.visible[at]:
            (x0, y0), (x1, y1) = px(o.boxes[at, :2]), px(o.boxes[at, 2:])
            cv2.rectangle(big, (int(x0), int(y0)), (int(x1), int(y1)), colour, 1, cv2.LINE_AA)
    return big


def row(video: Video, case: Case, frames: int, scale: int, label: str) -> Video:
    """One row of the picture, with its name at the left."""
    at = np.linspace(0, len(video) - 1, frames).astype(int)
    strip = np.concatenate([with_paths(video[k], case, int(k), scale) for k in at], axis=1)
    name = np.full((strip.shape[0], 150, 3), 255, np.uint8)
    cv2.putText(name, label, (4, strip.shape[0] // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([name, strip], axis=1)


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--suite", default="sprites-v1", show_default=True)
@click.option(
    "--cases", multiple=True, default=("1-0000", "2-0000", "3-0000"), show_default=True, help="Case ids, one at a time."
)
@click.option("--frames", default=7, show_default=True)
@click.option("--scale", default=2, show_default=True)
@click.option("-o", "--output", default="docs/frames.png", show_default=True, type=click.Path(path_type=Path))
def main(runs: tuple[Path, ...], suite: str, cases: tuple[str, ...], frames: int, scale: int, output: Path) -> None:
    """Frames of the reference and of RUNS."""
    asked = open_suite(suite)
    rows = []
    for case_id in cases:
        case = asked.load_case(case_id)
        rows.append(row(asked.load_reference(case_id), case, frames, scale, "reference"))
        rows += [row(read_video(r / "videos" / f"{case_id}.mkv"), case, frames, scale, r.name) for r in runs]
        rows.append(np.full((6, rows[-1].shape[1], 3), 255, np.uint8))
    write_png(output, np.concatenate(rows[:-1], axis=0))
    click.echo(output)


if __name__ == "__main__":
    main()
