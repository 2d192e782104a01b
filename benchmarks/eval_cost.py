"""Time and peak memory of the main job, `flashbench eval --model flashmotion-4step` on all 48 cases, in its two halves.

Memory is the largest sum over all processes of the command (proportional set size, sampled). The networks that
score are in the cache already.
"""

from __future__ import annotations

import tempfile

from reporting import BIN, measured, row

MODEL = "flashmotion-4step"
GIB = 2**30


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        generate = measured([BIN / "flashbench", "generate", "--model", MODEL, "-o", folder])
        score = measured([BIN / "flashbench", "score", folder])
    row("generate, 48 cases", generate.seconds, "s")
    row("score, 48 cases", score.seconds, "s")
    row("generate and score, 48 cases", generate.seconds + score.seconds, "s", "< 360")
    row("peak memory, generate", generate.peak_bytes / GIB, "GiB", "< 4")
    row("peak memory, score", score.peak_bytes / GIB, "GiB", "< 4")


if __name__ == "__main__":
    main()
