"""`make soak`: what runs, suites and weights survive, counted. Writes the table in docs/reliability.md.

Kills: a run is killed (-9) at random moments of generating and scoring and begun again, until it ends; its videos and
tables are compared with an undisturbed run's. Damages: every file of a suite, a run and the cache of weights is cut,
changed by a byte, replaced by a folder and by a link out of the folder in turn; each must be named in one line (or, of
what a command writes anew, be written anew).
"""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
from pages import fill, held

from flashbench.backbones.assets import status
from flashbench.cases.folder import verify
from flashbench.errors import InputError
from flashbench.markdown import table_lines
from flashbench.metrics.catalogue import choose
from flashbench.runs.session import score_run

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "benchmarks")]
from reporting import only_weights  # noqa: E402

PAGE = ROOT / "docs" / "reliability.md"
FLASHBENCH = Path(sys.executable).parent / "flashbench"
PARTS = ("weights", "suite", "run", "kills")
OUTPUTS = ("results.csv", "results.json", "cases.csv", "cases.parquet")


def digest(run: Path) -> str:
    """Hash of a run's videos and of its tables, seconds left out."""
    h = hashlib.sha256()
    for video in sorted((run / "videos").iterdir()):
        h.update(video.name.encode() + video.read_bytes())
    for table in ("results.csv", "cases.csv"):
        lines = (run / table).read_text().splitlines()
        h.update("\n".join(line for line in lines if ",seconds," not in line).encode())
    return h.hexdigest()


def start(suite: Path, run: Path) -> subprocess.Popen[bytes]:
    command = [FLASHBENCH, "eval", "--model", "cutout", "--suite", suite, "-o", run]
    return subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def made(run: Path) -> int:
    return len(list((run / "videos").glob("*.mkv")))


def kills(suite: Path, work: Path, count: int) -> Iterator[tuple[str, str, int, int]]:
    """Rows (what, where, tries, right). As long as videos are missing, most kills fall while they are made."""
    run, rng = work / "run", random.Random(0)
    began = time.monotonic()
    assert start(suite, run).wait() == 0
    whole, undisturbed = time.monotonic() - began, digest(run)
    shutil.rmtree(run)
    cases, where, ends, same = made(suite), Counter[str](), 0, 0
    while where.total() < count or run.exists():
        last, before = where.total() >= count, made(run)  # the last of all is left to end
        process = start(suite, run)
        if not last and before < cases and rng.random() < 0.8:
            upto = rng.randrange(before, cases)
            while made(run) <= upto and process.poll() is None:
                time.sleep(0.001)
            limit: float | None = rng.uniform(0, 0.02)  # a video takes about so long
        else:
            limit = None if last else rng.uniform(0, whole)
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            there = made(run)
            where["before the first video" if not there else "generate" if there < cases else "score"] += 1
            continue
        ends, same = ends + 1, same + (code == 0 and digest(run) == undisturbed)
        shutil.rmtree(run)
    yield from ((f"kill -9, {phase}", "run", n, n) for phase, n in sorted(where.items()))
    yield "the same hash at the end", "run", ends, same


def cut(path: Path, outside: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def flip(path: Path, outside: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def folder(path: Path, outside: Path) -> None:
    path.unlink()
    path.mkdir()


def link(path: Path, outside: Path) -> None:
    """To a file outside with the same content: nothing else gives it away."""
    shutil.move(path, outside / path.name)
    path.symlink_to(outside / path.name)


DAMAGES: dict[str, Callable[[Path, Path], None]] = {"cut": cut, "a byte": flip, "a folder": folder, "a link": link}


def damages(kind: str, root: Path, work: Path, use: Callable[[Path], object]) -> Iterator[tuple[str, str, int, int]]:
    """Rows (damage, kind, files, named in one line or written anew)."""
    files = [p.relative_to(root) for p in sorted(root.rglob("*")) if p.is_file() and not p.name.startswith(".")]
    click.echo(f"{kind}: {len(files)} files", err=True)
    whole = use(root)
    for name, damage in DAMAGES.items():
        right = 0
        for file in files:
            copy, outside = work / "copy", work / "outside"
            shutil.copytree(root, copy)
            outside.mkdir()
            damage(copy / file, outside)
            said, content = "", None
            try:
                content = use(copy)
            except InputError as error:
                said = str(error)
            named = (file.name in said or file.stem in said) and "\n" not in said  # a file, or the case it belongs to
            # Written anew; or a byte that decides nothing, such as the date of a member of a zip.
            harmless = file.name in OUTPUTS or (damage is flip and file.suffix == ".npz")
            ok = named or (not said and harmless and content == whole)
            if not ok:
                click.echo(f"{kind}, {name}: {file} -> {said or 'nothing is said'}", err=True)
            right += ok
            shutil.rmtree(copy)
            shutil.rmtree(outside)
        yield name, kind, len(files), right


def check_weights(cache: Path) -> None:
    """Raises for what is neither whole nor absent."""
    for asset in status(cache):
        if asset.state != "ready":
            raise InputError(asset.path, f"is {asset.state}", "fetch it again")


def soaked(work: Path, count: int, parts: Sequence[str]) -> Iterator[tuple[str, str, int, int]]:
    """Rows of the parts, each as soon as it is known."""
    suite = work / "suite"
    build = [FLASHBENCH, "build", "sprites-v1", "--cases", "6", "--frames", "33", "-o", suite]
    subprocess.run([str(b) for b in build], check=True, capture_output=True)
    if "weights" in parts:
        yield from damages(
            "weights", Path(only_weights(work / "cache")["XDG_CACHE_HOME"]) / "flashbench", work, check_weights
        )
    if "suite" in parts:
        yield from damages("suite", suite, work, verify)
    if "run" in parts:
        assert start(suite, work / "whole").wait() == 0

        def scored(run: Path) -> str:
            score_run(run, choose(None), str(suite), 1)
            return digest(run)

        yield from damages("run", work / "whole", work, scored)
    if "kills" in parts:
        yield from kills(suite, work, count)


@click.command()
@click.option("--count", default=50, show_default=True, help="Kills.")
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
def main(count: int, parts: tuple[str, ...]) -> None:
    """Runs all parts, or PARTS; rows of the others stay in the table. Nothing is written unless all is right."""
    rows: list[tuple[str, str, int, int]] = []
    chosen = parts or PARTS
    with tempfile.TemporaryDirectory() as name:
        for row in soaked(Path(name), count, chosen):
            click.echo("  ".join(map(str, row)))
            rows.append(row)
    if not all(right == tries for _, _, tries, right in rows):
        sys.exit(1)
    before = [line.strip("| ").split(" | ") for line in held(PAGE, "soak").splitlines() if line.startswith("| ")][2:]
    kept = [row for row in before if part(row) not in chosen]
    lines = [*kept, *([*map(str, row), time.strftime("%Y-%m-%d")] for row in rows)]
    lines.sort(key=lambda row: PARTS.index(part(row)))
    fill(PAGE, "soak", "\n".join(table_lines(["what", "where", "tries", "right", "counted"], lines)))


def part(row: Sequence[str]) -> str:
    """Which part a row of the table is of."""
    return row[1] if row[0] in DAMAGES else "kills"


if __name__ == "__main__":
    main()
