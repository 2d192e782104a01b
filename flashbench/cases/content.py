"""Hashes of what a suite says, taken over decoded content: the same in memory, in a folder, and after a re-encode.

The byte layout is written down in docs/suite-format.md, so that others can compute it without this code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from flashbench.files.atomic import array_chunks, sha256_arrays

if TYPE_CHECKING:
    from flashbench.cases.schema import Case


def reference_sha256(reference: npt.NDArray[np.uint8]) -> str:
    """Hex SHA-256 of a decoded video, uint8 `[T, H, W, 3]`."""
    return sha256_arrays(reference)


def case_sha256(case: Case, reference: npt.NDArray[np.uint8] | str) -> str:
    """Hex SHA-256 of one case: its facts, its arrays, and its reference video.

    Args:
        case: the complete case, with its truth.
        reference: the video, uint8 `[T, H, W, 3]`, or its `reference_sha256`, so that a case is verified without
            decoding the video.
    """
    facts = {
        "condition": case.condition,
        "fps": float(case.fps),
        "id": case.id,
        "meta": case.meta,
        "names": [o.name for o in case.objects],
        "prompt": case.prompt,
        "seed": case.seed,
    }
    digest = hashlib.sha256(b"flashbench case 1\n")
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    digest.update(f"facts {text}\n".encode("ascii"))
    arrays: list[tuple[str, npt.NDArray[np.generic] | None]] = [("first_frame", case.first_frame)]
    for i, o in enumerate(case.objects):
        arrays += [(f"boxes_{i}", o.boxes), (f"visible_{i}", o.visible), (f"masks_{i}", o.masks)]
        arrays += [(f"centres_{i}", o.centres), (f"points_{i}", o.points), (f"point_visible_{i}", o.point_visible)]
    for label, array in arrays:
        if array is not None:
            for chunk in array_chunks(label, array):
                digest.update(chunk)
    video = reference if isinstance(reference, str) else reference_sha256(reference)
    digest.update(f"reference {video}\n".encode("ascii"))
    return digest.hexdigest()


def suite_sha256(case_hashes: Iterable[str]) -> str:
    """Hex SHA-256 of an ordered list of case hashes: a suite's `content_sha256`."""
    lines = ["flashbench suite 1", *case_hashes]
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode("ascii")).hexdigest()
