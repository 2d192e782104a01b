"""Two shards on two cores against one process: scoring 48 videos of `cutout` and their references, one thread each.

    python benchmarks/shards.py

Both measure everything anew, from an empty cache. The time of the shards is that of the slower one and of the
`flashbench score` after them, on both cores too, which puts the table together; all three commands start and load their
networks. The tables must be the same to the last byte, or the part fails.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from reporting import BIN, measured, only_weights, row

CASES = 48


def table(run: Path) -> str:
    """results.csv without the seconds that generating took."""
    return "".join(x for x in (run / "results.csv").read_text().splitlines(True) if ",seconds," not in x)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Other scenes than the standard suite's: no measurement of their references is shipped.
        measured(
            [BIN / "flashbench", "build", "sprites-v1", "--cases", str(CASES), "--seed", "5", "-o", folder / "suite"]
        )
        one, two = folder / "one", folder / "two"
        measured([BIN / "flashbench", "generate", "--model", "cutout", "--suite", folder / "suite", "-o", one])
        shutil.copytree(one, two)
        score = [BIN / "flashbench", "score", "--workers", "1"]
        alone = measured([*score, one], env=only_weights(folder / "cache-one"))
        env = only_weights(folder / "cache-two")
        start = time.monotonic()
        shards = [
            threading.Thread(target=measured, args=([*score, two, "--shard", f"{i}/2"],), kwargs={"env": env})
            for i in (0, 1)
        ]
        for shard in shards:
            shard.start()
        for shard in shards:
            shard.join()
        measured([BIN / "flashbench", "score", two], env=env)
        seconds = time.monotonic() - start
        if table(one) != table(two):
            sys.exit("the shards' table is not the one process's")
    row(f"one process, {CASES} videos and their references", alone.seconds, "s")
    row("two shards at once, and putting them together", seconds, "s")
    row("times faster", alone.seconds / seconds, "x", ">= 1.7")


if __name__ == "__main__":
    main()
