"""`videos:FOLDER`: a model that is a folder of videos made elsewhere, one a case, named by its id."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Case, Suite
from flashbench.errors import InputError
from flashbench.files.atomic import sha256_file
from flashbench.files.video import FORMATS, KINDS, probe, read_video, read_video_as

PREFIX = "videos:"


class FolderModel:
    """Answers a case with the video `ID.mp4`, `.mkv`, `.webm`, `.gif` or the folder of PNGs `ID/`.

    Args:
        folder: where the videos are.
        suite: the suite that they answer.

    Raises:
        InputError: the folder is missing, or there is no video, or more than one, for some case.
    """

    def __init__(self, folder: Path, suite: Suite) -> None:
        if not folder.is_dir():
            what = "is not a folder" if folder.exists() else "is missing"
            raise InputError(folder, what, f"give videos:FOLDER with one video a case: {KINDS}")
        self.name = f"{PREFIX}{folder.resolve().name}"
        found = {case_id: _find(folder, case_id) for case_id in suite.case_ids}
        missing = [case_id for case_id, path in found.items() if path is None]
        if missing:
            what = f"has no video for case {missing[0]!r} ({len(missing)} of {len(suite)} cases have none)"
            raise InputError(folder, what, f"name one video a case by its id: {missing[0]}.mp4, or {KINDS}")
        self._paths = {case_id: path for case_id, path in found.items() if path is not None}
        digest = hashlib.sha256(b"videos 1\n")
        for case_id, path in self._paths.items():
            for file in sorted(path.glob("*.[pP][nN][gG]")) if path.is_dir() else [path]:
                digest.update(f"{case_id} {file.name} {sha256_file(file)}\n".encode())
        self.fingerprint = digest.hexdigest()
        self.info: dict[str, Any] = {"kind": "videos made elsewhere", "folder": str(folder), "cases": len(suite)}

    def generate(self, case: Case, seed: int) -> npt.NDArray[np.uint8]:
        """Reads the video of a case; the seed changes nothing.

        Raises:
            InputError: damaged, or of another size, frame rate or length than the case asks.
        """
        return read_video_as(self._path(case), case.frames, case.size, case.fps, f"case {case.id!r}")

    def read(self, case: Case) -> tuple[Path, npt.NDArray[np.uint8], float | None]:
        """The video of a case as it is, its file, and its frame rate (None: a folder of PNGs has none)."""
        path = self._path(case)
        return path, read_video(path), probe(path).fps

    def _path(self, case: Case) -> Path:
        path = self._paths.get(case.id)
        if path is None:
            raise InputError(self.name, f"has no video for case {case.id!r}", "give the suite that the videos answer")
        return path


def _find(folder: Path, case_id: str) -> Path | None:
    names = [case_id, *(case_id + suffix for suffix in FORMATS)]
    found = [folder / name for name in names if (folder / name).exists()]
    if len(found) > 1:
        what = f"has more than one video for case {case_id!r}: {', '.join(path.name for path in found)}"
        raise InputError(folder, what, "leave one of them")
    return found[0] if found else None
