"""How time and memory of the leaderboard grow with its models.

    python benchmarks/growth_models.py [--models 5 20 100]

The leaderboard is made of copies of one run of `static` (48 cases) under other names, with its ranks, intervals and
tests of all pairs of models in every stratum, which are as the square of the models. The exponent is that of the time
between the two largest numbers.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from reporting import BIN, MIB, grown, measured


def copies(run: Path, into: Path, count: int) -> list[Path]:
    """Run folders like `run`, each of a model of another name."""
    made = []
    for k in range(count):
        copy = into / f"model-{k:03d}"
        shutil.copytree(run, copy, copy_function=lambda a, b: Path(b).hardlink_to(a))
        for name in ("run.json", "results.json", "results.csv", "cases.csv"):
            text = (run / name).read_text()
            (copy / name).unlink()
            (copy / name).write_text(text.replace('"static"', f'"{copy.name}"').replace("static,", f"{copy.name},"))
        made.append(copy)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, nargs="*", default=[5, 20, 100])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, used = Path(name), []
        measured([BIN / "flashbench", "eval", "--model", "static", "-o", folder / "run"])
        for count in asked.models:
            runs = copies(folder / "run", folder / f"{count}", count)
            usage = measured([BIN / "flashbench", "leaderboard", *runs, "-o", folder / f"{count}.csv"])
            used.append((usage.seconds, usage.peak_bytes / MIB))
    grown("leaderboard, models", asked.models, used, flat=False)


if __name__ == "__main__":
    main()
