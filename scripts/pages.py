"""Puts what a command printed into a page, between `<!-- NAME -->` and `<!-- end of NAME -->`.

python scripts/pages.py docs/reliability.md slurm < build/slurm.log
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flashbench.files.atomic import write_bytes


def put(text: str, marker: str, content: str) -> str:
    """`text` with what stands between `<!-- marker -->` and `<!-- end of marker -->` replaced."""
    before, begin, rest = text.partition(f"<!-- {marker} -->\n")
    _, end, after = rest.partition(f"<!-- end of {marker} -->")
    if not begin or not end:
        raise click.UsageError(f"the page has no markers for {marker!r}")
    return f"{before}{begin}{content}\n{end}{after}"


def held(page: Path, marker: str) -> str:
    """What stands between the markers of a file."""
    return page.read_text().partition(f"<!-- {marker} -->\n")[2].partition(f"<!-- end of {marker} -->")[0]


def fill(page: Path, marker: str, content: str) -> None:
    """The same in a file."""
    write_bytes(page, put(page.read_text(), marker, content).encode())


@click.command()
@click.argument("page", type=click.Path(exists=True, path_type=Path))
@click.argument("name")
def main(page: Path, name: str) -> None:
    """Puts stdin, as it is, between the markers NAME of PAGE."""
    fill(page, name, f"```\n{sys.stdin.read().strip()}\n```")


if __name__ == "__main__":
    main()
