"""Writes sprites_v1.json beside this file: the hashes of the embedded suite, which say that its pixels are the same.

    python tests/golden/make_sprites_v1.py

Run it only when the world is meant to change, and say why in the commit; after a release the suite's name changes too.
"""

from __future__ import annotations

import datetime
import platform
from pathlib import Path

import cv2
import numpy as np

from flashbench.cases.suites import open_suite
from flashbench.files.atomic import write_json

CONDITIONS = ("boxes", "masks")


def main() -> None:
    suites = {c: open_suite("sprites-v1", condition=c) for c in CONDITIONS}
    where = f"NumPy {np.__version__}, OpenCV {cv2.__version__}, {platform.machine()}"
    value = {
        "provenance": f"tests/golden/make_sprites_v1.py, {datetime.date.today()}, {where}",
        "content_sha256": {c: s.content_sha256 for c, s in suites.items()},
        "cases": suites["boxes"].case_hashes,
    }
    write_json(Path(__file__).with_name("sprites_v1.json"), value)


if __name__ == "__main__":
    main()
