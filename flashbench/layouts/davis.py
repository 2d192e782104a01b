"""DAVIS 2016/2017: `JPEGImages/480p/CLIP/00000.jpg`, `Annotations/480p/CLIP/00000.png` (indexed, one number an object).

Documented (davischallenge.org): the folders, indexed PNGs whose pixel is the object's number, 0 the background, 24
frames a second. Supposed: prompts, which DAVIS does not have. `prompts.csv` beside the folders (columns `clip`,
`prompt`) gives them; without it the clip's name stands in for one.
"""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Suite
from flashbench.errors import InputError
from flashbench.files.atomic import write_bytes
from flashbench.layouts.clips import Clip, ClipObject, Source, check_numbers, table
from flashbench.layouts.points import write_jpeg

FPS = 24.0
RESOLUTION = "480p"


def read(root: Path) -> Source:
    """The clips that have both pictures and annotations.

    Raises:
        InputError: the folders are not there.
    """
    pictures, marks = (root / kind / RESOLUTION for kind in ("JPEGImages", "Annotations"))
    for folder in (pictures, marks):
        if not folder.is_dir():
            raise InputError(folder, "is missing", "give the folder that holds JPEGImages/480p and Annotations/480p")
    prompts = _prompts(root / "prompts.csv")
    ids = tuple(sorted(p.name for p in marks.iterdir() if p.is_dir() and (pictures / p.name).is_dir()))

    def load(clip_id: str) -> Clip:
        prompt = prompts.get(clip_id, f"A video of {clip_id.replace('-', ' ').replace('_', ' ')}.")
        return _clip(pictures / clip_id, marks / clip_id, prompt)

    return Source(root.resolve().name, ids, load)


def _prompts(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    rows, (clip, prompt) = table(path, ("clip",), ("prompt",))
    return {row[clip]: row[prompt] for row in rows}


def _clip(pictures: Path, marks: Path, prompt: str) -> Clip:
    names = sorted({*(p.stem for p in marks.glob("*.png")), *(p.stem for p in pictures.glob("*.jpg"))})
    if not names:
        raise InputError(marks, "holds no PNG", "restore the annotations, or remove the folder")
    check_numbers(pictures, names)
    video = np.stack([_picture(pictures / f"{n}.jpg") for n in names])
    labels = np.stack([_labels(marks / f"{n}.png", video.shape[1:3]) for n in names])
    numbers = [int(k) for k in np.unique(labels) if 0 < k < 255]  # 255: not annotated
    objects = tuple(ClipObject(f"object {k}", labels == k) for k in numbers)
    return Clip(marks.name, prompt, video, FPS, objects, marks)


def _picture(path: Path) -> npt.NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(path, "is missing or no picture", "restore the file")
    return np.asarray(image[..., ::-1], np.uint8)


def _labels(path: Path, size: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Numbers of an indexed PNG `[H, W]`, not the colours of its palette."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            kind, labels = image.mode, np.asarray(image)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error})", "restore the file") from error
    if kind not in ("P", "L") or labels.shape != size:
        what = f"is a {kind} picture of {labels.shape[1]}x{labels.shape[0]} px"
        raise InputError(path, what, f"give an indexed PNG of {size[1]}x{size[0]} px")
    return np.asarray(labels, np.uint8)


def write(suite: Suite, root: Path) -> None:
    """Writes a suite in this layout; JPEG at quality 95."""
    from io import BytesIO, StringIO

    from PIL import Image

    lines = StringIO()
    sheet = csv.writer(lines)
    sheet.writerow(["clip", "prompt"])
    for case_id in suite.case_ids:
        case, video = suite.load_case(case_id), suite.load_reference(case_id)
        if any(o.masks is None or len(o.masks) != case.frames for o in case.objects):
            raise InputError(f"case {case_id!r}", "an object has no masks on every frame", "export suites with masks")
        masks = np.stack([o.masks for o in case.objects if o.masks is not None])
        labels = (masks * np.arange(1, len(masks) + 1, dtype=np.uint8)[:, None, None, None]).max(axis=0)
        sheet.writerow([case_id, case.prompt])
        for t, frame in enumerate(video):
            write_jpeg(root / "JPEGImages" / RESOLUTION / case_id / f"{t:05d}.jpg", frame)
            picture, out = Image.fromarray(labels[t], "P"), BytesIO()
            picture.putpalette([c for k in range(256) for c in (k * 67 % 256, k * 131 % 256, k * 29 % 256)])
            picture.save(out, "PNG")
            write_bytes(root / "Annotations" / RESOLUTION / case_id / f"{t:05d}.png", out.getvalue())
    write_bytes(root / "prompts.csv", lines.getvalue().encode())
