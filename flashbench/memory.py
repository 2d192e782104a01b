"""How this process gives memory back."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_BLOCK, _FREED = 2**25, 2**27


def keep_freed() -> None:
    """Lets glibc keep up to 128 MiB of freed memory, blocks of up to 32 MiB (its limit) among it, for the next call.

    By default a network's feature maps are returned to the system when they are freed and are fetched anew, page by
    page, for the next layer: a twentieth of I3D's time. Where there is no glibc nothing happens. Commands that
    run networks call it; the library leaves a process that is not ours as it is.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another libc; Windows
        return
    mallopt(_MMAP_THRESHOLD, _BLOCK)
    mallopt(_TRIM_THRESHOLD, _FREED)
