"""Time of rendering a suite, `flashbench build`, at 121 frames of 128 x 128, written to disk with reference videos.

Two sizes are built (20 and 120 cases); the cost of a case is the slope between them, and 1,000 cases are start-up plus
1,000 slopes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from reporting import BIN, measured, row

FEW, MANY = 20, 120


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        usage = {}
        for cases in (FEW, MANY):
            out = Path(folder) / str(cases)
            options = ["--cases", str(cases), "--size", "128", "--frames", "121", "--seed", "7", "-o", out]
            usage[cases] = measured([BIN / "flashbench", "build", "sprites-v1", *options])
        size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    slope = (usage[MANY].seconds - usage[FEW].seconds) / (MANY - FEW)
    start = usage[FEW].seconds - FEW * slope
    row("a case", slope, "s")
    row("1,000 cases, extrapolated", start + 1000 * slope, "s", "< 600")
    row("peak memory", usage[MANY].peak_bytes / 2**30, "GiB")
    row("disk a case", size / MANY / 1e6, "MB")


if __name__ == "__main__":
    main()
