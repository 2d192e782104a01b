"""Hashes of what a suite says, taken over decoded content: the same in memory, in a folder, and after a re-encode.

The byte layout is written down in docs/suite-format.md, so that others can compute it without this code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from flashbench.files.atomic import array_chunks, sha256_arrays


def reference_sha256(reference: npt.NDArray[np.uint8]) -> str:
    """Hex SHA-256 of a decoded video, uint8 `[T, H, W, 3]`."""
    return sha256_arrays(reference)


def case_sha256(
    facts: dict[str, Any],
    arrays: Iterable[tuple[str, npt.NDArray[Any] | None]],
    reference: npt.NDArray[np.uint8] | str,
) -> str:
    """Hex SHA-256 of one case (`Case.sha256` calls it): its facts, its arrays, and its reference video.

    Args:
        facts: JSON.
        arrays: label and array, in order; those that are None are left out.
        reference: the video, uint8 `[T, H, W, 3]`, or its `reference_sha256`.
    """
    digest = hashlib.sha256(b"flashbench case 1\n")
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    digest.update(f"facts {text}\n".encode("ascii"))
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
