"""Whether a video file breaks off before its own end, told from the container's structure alone.

Decoders say nothing of a missing tail: they return the frames that are there. The containers know better: the boxes of
mp4 and the segment of Matroska state their sizes, and a GIF ends with a semicolon.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def cut_short(path: Path, format: str) -> bool:
    """True where the file ends before its container does.

    Args:
        path: an existing file.
        format: `mp4`, `matroska` or `gif`. Matroska written to a pipe states no size and is never called short.
    """
    with open(path, "rb") as file:
        total = os.fstat(file.fileno()).st_size
        if format == "mp4":
            return _mp4_end(file, total) > total
        if format == "matroska":
            return _matroska_end(file) > total
        file.seek(max(0, total - 1024))
        return not file.read().rstrip(b"\0").endswith(b";")


def _mp4_end(file: BinaryIO, total: int) -> int:
    """Where the last top-level box should end: each begins with its size (4 bytes) and its type (4 bytes)."""
    at = 0
    while at < total:
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return total + 1
        size = int.from_bytes(head[:4], "big")
        if size == 1:  # the size stands in the 8 bytes after the type
            size = int.from_bytes(head[8:16], "big")
        if size == 0:  # the box reaches to the end of the file
            return total
        at += max(size, 8)
    return at


def _matroska_end(file: BinaryIO) -> int:
    """Where the segment should end: it follows the EBML header; both are an id and a size of variable length."""
    for mark in (_EBML, _SEGMENT):
        if file.read(4) != mark:
            return 0
        first = file.read(1)
        if not first or first[0] == 0:
            return 0
        width = 9 - first[0].bit_length()  # the number of leading zeros says how many bytes the size takes
        rest = file.read(width - 1)
        size = int.from_bytes(bytes([first[0] & ((1 << (8 - width)) - 1)]) + rest, "big")
        if size == (1 << (7 * width)) - 1:  # all ones: unknown
            return 0
        if mark == _EBML:
            file.seek(size, os.SEEK_CUR)
    return file.tell() + size
