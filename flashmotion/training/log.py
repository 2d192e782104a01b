"""The files of a run's numbers: rows by step, a column a quantity, columns that may grow."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from flashbench.files.atomic import replacing, write_error


def append(path: Path, row: dict[str, float]) -> None:
    """Appends a row; a file with other columns is given the union of both."""
    rows: list[dict[str, Any]] = []
    if path.exists():
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            if list(reader.fieldnames or ()) != list(row):
                rows = list(reader)
            else:
                try:
                    with path.open("a", newline="") as out:
                        csv.DictWriter(out, list(row)).writerow(row)
                except OSError as error:
                    raise write_error(path, error) from error
                return
    names = list(dict.fromkeys([*(rows[0] if rows else {}), *row]))
    with replacing(path) as temporary, Path(temporary).open("w", newline="") as out:
        writer = csv.DictWriter(out, names, restval="")
        writer.writeheader()
        writer.writerows([*rows, row])


def last_step(path: Path) -> int:
    """Step of the last row, 0 where there is none."""
    if not path.exists():
        return 0
    with path.open(newline="") as file:
        return max((int(row["step"]) for row in csv.DictReader(file)), default=0)


def keep_until(path: Path, step: int) -> None:
    """Drops rows that a resumed run will write again."""
    if not path.exists():
        return
    lines = path.read_text().splitlines()
    kept = [lines[0], *(line for line in lines[1:] if line and int(line.split(",", 1)[0]) <= step)]
    with replacing(path) as temporary:
        Path(temporary).write_text("\n".join(kept) + "\n")
