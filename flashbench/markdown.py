"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def table_lines(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table."""
    cells = [[cell.replace("|", "\\|") for cell in line] for line in [header, ["-"] * len(header), *lines]]
    return [f"| {' | '.join(line)} |" for line in cells]


def span(low: int, high: int) -> str:
    """`2-4`, or `2` where both are the same."""
    return str(low) if low == high else f"{low}-{high}"
