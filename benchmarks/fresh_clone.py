"""The whole of `make eval` on a fresh clone of the last commit: virtual environment, networks fetched, 48 cases scored.

pip may find packages in its own cache or on disk; the networks that score are fetched anew. Needs 7 GB of disk for a
while.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from reporting import measured, row

ROOT = Path(__file__).parent.parent


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        pip_cache = os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip"))
        env = os.environ | {"XDG_CACHE_HOME": f"{folder}/cache", "PIP_CACHE_DIR": pip_cache, "VENV": ".venv"}
        install = measured(["make", "venv"], cwd=clone, env=env)
        evaluate = measured(["make", "eval"], cwd=clone, env=env)
    row("make venv", install.seconds, "s")
    row("make eval after it", evaluate.seconds, "s")
    row("together", install.seconds + evaluate.seconds, "s", "< 720")
    row("peak memory of make eval", evaluate.peak_bytes / 2**30, "GiB", "< 4")


if __name__ == "__main__":
    main()
