"""PNGs in memory and on disk: `uint8 [H, W, 3]` RGB. Apart from `video`, so that training needs no video decoder."""

from __future__ import annotations

import io
import warnings

import numpy as np
import numpy.typing as npt
from PIL import Image

from flashbench.errors import InputError
from flashbench.files.atomic import StrPath, read_bytes, write_bytes

MAX_PIXELS = 2**28  # of all frames together: 768 MiB as RGB
AGAIN = "give a whole file, or make it again"


def write_png(path: StrPath, frame: npt.NDArray[np.uint8]) -> None:
    """Writes one uint8 `[H, W, 3]` RGB frame as PNG. Raises InputError where it cannot be written."""
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(f"frame is {frame.dtype} {frame.shape}, not uint8 [H, W, 3]")
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "PNG")
    write_bytes(path, file.getbuffer())


def read_png(path: StrPath, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
    """Reads a PNG with 8 bits a channel (grey, palette, RGB or RGBA, whose alpha is dropped).

    Returns:
        uint8 `[H, W, 3]` RGB.

    Raises:
        InputError: missing, damaged, not a PNG, 16 bits a channel, or more than `max_pixels` pixels.
    """
    height, width = png_size(path)
    check_pixels(path, width * height, max_pixels)
    try:
        with Image.open(io.BytesIO(read_bytes(path)), formats=["PNG"]) as image:
            if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
                raise InputError(path, f"has pixels of mode {image.mode}", "save it with 8 bits a channel")
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(path, f"is a damaged PNG: {error}", AGAIN) from error


def png_size(path: StrPath) -> tuple[int, int]:
    """(H, W) from a PNG's header."""
    data = read_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit has a clearer line
            with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                return image.height, image.width
    except Image.DecompressionBombError as error:
        raise InputError(path, "has too many pixels", "give smaller frames") from error
    except (OSError, SyntaxError, ValueError) as error:
        what = "is empty" if not data else "is not a PNG, or its header is damaged"
        raise InputError(path, what, AGAIN) from error


def check_pixels(path: StrPath, pixels: int, limit: int) -> None:
    if pixels > limit:
        raise InputError(path, f"has {pixels:,} pixels in all its frames, more than {limit:,}", "cut or shrink it")
