"""Time and peak memory of the main job, `flashbench eval --model flashmotion-4step` on all 48 cases, in its two halves.

Scored twice: the first time on a machine, when the reference videos are measured too (but for i3d and lk, which come
measured with the package; what that saves is timed by measuring them), and as every later model is. The networks that
score are there already. Memory is the largest sum over all processes of the command (proportional set
size, sampled).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from reporting import BIN, measured, only_weights, row

ROOT = Path(__file__).parent.parent
MODEL = "flashmotion-4step"
GIB = 2**30


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run, env = Path(folder, "run"), only_weights(Path(folder, "cache"))
        generate = measured([BIN / "flashbench", "generate", "--model", MODEL, "-o", run], env=env)
        row("generate, 48 cases", generate.seconds, "s")
        first = measured([BIN / "flashbench", "score", run], env=env)
        row("score, 48 cases, the first time on a machine", first.seconds, "s")
        row("generate and score, 48 cases, the first time on a machine", generate.seconds + first.seconds, "s", "< 360")
        shutil.rmtree(run / "measurements")
        again = measured([BIN / "flashbench", "score", run], env=env)
        row("score, 48 cases", again.seconds, "s")
        row("generate and score, 48 cases", generate.seconds + again.seconds, "s", "< 360")
        shipped = measured([sys.executable, ROOT / "scripts/prepare_references.py", "--check"], env=env)
        row("i3d and lk of 48 references, which come measured", shipped.seconds, "s")
    row("peak memory, generate", generate.peak_bytes / GIB, "GiB", "< 4")
    row("peak memory, score", first.peak_bytes / GIB, "GiB", "< 4")


if __name__ == "__main__":
    main()
