"""`make bench`: runs every part in this folder and writes benchmarks/results.csv and docs/performance.md.

A part is a script of its own here; its docstring says what it measures, and each quantity is one `reporting.row(...)`
on its stdout. Everything else that it prints is shown and forgotten. `--only NAME ...` runs some parts and keeps the
other rows as they are, each with the machine that it was measured on.
"""

from __future__ import annotations

import argparse
import ast
import csv
import datetime
import importlib.metadata
import json
import operator
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CSV = HERE / "results.csv"
PAGE = HERE.parent / "docs" / "performance.md"
NO_PARTS = {"run", "reporting", "flops"}
COLUMNS = ("part", "quantity", "value", "unit", "target", "machine", "date")
COMPARE = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = sorted(p.stem for p in HERE.glob("*.py") if p.stem not in NO_PARTS)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    asked = parser.parse_args().only
    rows = [r for r in read(CSV) if r["part"] in names]
    failed = []
    for name in asked:
        print(f"== {name}", file=sys.stderr, flush=True)
        found = run(name)
        if found is None:
            failed.append(name)
            continue
        rows = [r for r in rows if r["part"] != name] + found
        rows.sort(key=lambda r: names.index(r["part"]))  # after every part: a stop loses only the part that runs
        write(rows)
    missed = [f"{r['part']}: {r['quantity']} is {shown(r)}, target {r['target']}" for r in rows if met(r) is False]
    for line in missed + [f"{name}: failed" for name in failed]:
        print(line, file=sys.stderr)
    return 1 if failed else 0


def run(name: str) -> list[dict[str, str]] | None:
    """The rows of one part, or None if it failed."""
    command = [sys.executable, str(HERE / f"{name}.py")]
    process = subprocess.Popen(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    rows = []
    for line in process.stdout:
        print(line, end="", file=sys.stderr, flush=True)
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict) and {"quantity", "value"} <= row.keys():
            extra = {"part": name, "machine": machine(), "date": datetime.date.today().isoformat()}
            rows.append({c: str((row | extra).get(c, "")) for c in COLUMNS})
    return rows if process.wait() == 0 else None


def machine() -> str:
    """Processor, cores, memory and the versions that matter to speed, in one line."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    cpu = {k.strip(): v.strip() for k, v in fields.items()}
    flags = set(cpu.get("flags", "").split())
    wide = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in flags]
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = " ".join(f"{p} {importlib.metadata.version(p)}" for p in ("numpy", "torch"))
    if "OPENBLAS_CORETYPE" in os.environ:  # slows NumPy and SciPy alike
        versions += f", OPENBLAS_CORETYPE={os.environ['OPENBLAS_CORETYPE']}"
    model = cpu.get("model name") or platform.processor() or platform.machine()
    cores, python = os.cpu_count(), platform.python_version()
    return f"{model} ({' '.join(wide)}), {cores} cores, {gib:.0f} GiB, Python {python}, {versions}"


def met(row: dict[str, str]) -> bool | None:
    """Whether a value keeps its target (`< 360`, or `92 to 98`); None where it has none."""
    low, between, high = row["target"].partition(" to ")
    if between:
        return float(low) <= float(row["value"]) <= float(high)
    sign, _, bound = row["target"].partition(" ")
    return COMPARE[sign](float(row["value"]), float(bound)) if sign in COMPARE else None


def shown(row: dict[str, str]) -> str:
    return f"{float(row['value']):.4g} {row['unit']}".strip()


def read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(rows: list[dict[str, str]]) -> None:
    with CSV.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(rows), encoding="utf-8")


def page(rows: list[dict[str, str]]) -> str:
    machines = list(dict.fromkeys(r["machine"] for r in rows))
    head = "Written by `make bench`, with the same rows in `benchmarks/results.csv`. Do not edit."
    lines = ["# Performance", "", head, ""]
    lines += [f"Machine {i}: {m}." + ("" if i == len(machines) else "  ") for i, m in enumerate(machines, 1)]
    for part in dict.fromkeys(r["part"] for r in rows):
        lines += ["", f"## {part}", "", describe(part), ""]
        lines += ["| quantity | value | target | machine, date |", "| - | - | - | - |"]
        for r in (r for r in rows if r["part"] == part):
            verdict = {True: r["target"], False: f"{r['target']}: **missed**", None: ""}[met(r)]
            at = machines.index(r["machine"]) + 1
            lines.append(f"| {r['quantity']} | {shown(r)} | {verdict} | {at}, {r['date']} |")
    return "\n".join(lines) + "\n"


def describe(part: str) -> str:
    """The docstring of a part."""
    return ast.get_docstring(ast.parse((HERE / f"{part}.py").read_text(encoding="utf-8"))) or ""


if __name__ == "__main__":
    sys.exit(main())
