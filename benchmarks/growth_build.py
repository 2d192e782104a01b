"""How time and memory of building a suite grow with its cases.

    python benchmarks/growth_build.py [--cases 100 1000 10000]

`flashbench build sprites-v1` at 121 frames of 64 x 64, with reference videos. The exponent is that of the time between
the two largest numbers.
"""

from __future__ import annotations

import argparse
import tempfile

from reporting import BIN, MIB, grown, measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, nargs="*", default=[100, 1000, 10000])
    asked = parser.parse_args()
    used = []
    for count in asked.cases:
        with tempfile.TemporaryDirectory() as name:
            usage = measured([BIN / "flashbench", "build", "sprites-v1", "--cases", str(count), "-o", f"{name}/suite"])
        used.append((usage.seconds, usage.peak_bytes / MIB))
    grown("building, cases", asked.cases, used)


if __name__ == "__main__":
    main()
