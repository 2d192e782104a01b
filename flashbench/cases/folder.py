"""The suite folder: a suite on disk, readable without this code. docs/suite-format.md describes every byte of it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from flashbench.cases.case_files import (
    RESTORE,
    Form,
    Row,
    inside,
    load_case,
    load_reference,
    row_from_json,
    row_to_json,
    write_case,
)
from flashbench.cases.content import suite_sha256
from flashbench.cases.schema import SCHEMA_VERSION, Condition, Suite, stratum_of
from flashbench.errors import InputError
from flashbench.files.atomic import StrPath, folder_lock, read_bytes, read_json, write_error, write_json, write_text
from flashbench.workers import spread

SUITE_JSON, METADATA = "suite.json", "metadata.jsonl"
Progress = Callable[[int, int], None]
Line = tuple[str, str]  # a case's hash, and what METADATA says of it


def save_suite(suite: Suite, folder: StrPath, workers: int = 1, progress: Progress | None = None) -> Suite:
    """Writes a suite to a folder: the whole of it appears at once, or nothing does.

    It is built in a hidden folder beside the target and renamed when it is complete. What an interrupted build left
    there is thrown away by the next one. A suite that stood in the target is replaced.

    Args:
        suite: the suite to write.
        folder: target; missing, empty, or an older suite.
        workers: number of processes (forked) that load and encode cases.
        progress: is called with (cases done, cases in all).

    Returns:
        The suite as read back from the folder.

    Raises:
        InputError: the target holds something else, another process builds it, a case lacks the suite's form, or the
            disk is full.
    """
    target = Path(folder).resolve()
    building, old = (target.with_name(f".{target.name}.{state}") for state in ("building", "old"))
    with folder_lock(building):
        try:
            if old.exists() and not target.exists():  # an earlier build was killed between its two renames
                os.rename(old, target)
            _check_target(target)
            for left in building.iterdir():
                if left.name != ".lock":
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
            _write_lists(suite, _write_cases(suite, building, workers, progress), building)
            shutil.rmtree(old, ignore_errors=True)
            if target.exists():
                os.rename(target, old)
            os.rename(building, target)
            (target / ".lock").unlink()
            shutil.rmtree(old, ignore_errors=True)
        except BaseException as error:
            shutil.rmtree(building, ignore_errors=True)
            if isinstance(error, OSError):
                raise write_error(target, error) from error
            raise
    return read_suite(target)


def _check_target(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise InputError(target, "is a file", "choose a folder that does not exist yet")
    if target.is_dir() and any(target.iterdir()) and not (target / SUITE_JSON).is_file():
        raise InputError(
            target, "holds files that are not a suite", "choose an empty folder, or one that does not exist"
        )


def _write_lists(suite: Suite, written: list[Line], root: Path) -> None:
    content = suite_sha256(sha256 for sha256, _ in written)
    if suite.known_sha256 and content != suite.known_sha256:
        what = f"content_sha256 is {content}, but {suite.known_sha256} was expected"
        raise InputError(
            f"suite {suite.name!r}", what, "report it: this machine makes other pixels, or the suite changed"
        )
    write_text(root / METADATA, "".join(f"{line}\n" for _, line in written))
    facts = {
        "name": suite.name,
        "schema_version": SCHEMA_VERSION,
        "size": list(suite.size),
        "frames": suite.frames,
        "fps": suite.fps,
        "seed": suite.seed,
        "condition": suite.condition,
        "pictures": suite.pictures,
        "cases": len(written),
        "content_sha256": content,
    }
    write_json(root / SUITE_JSON, facts)


def _write_cases(suite: Suite, root: Path, workers: int, progress: Progress | None) -> list[Line]:
    """Hash and line of every case: rows as objects would take more memory than the rendering, where there are many."""
    lines: dict[str, Line] = {}
    suite.prepare()
    with contextlib.closing(spread(partial(_write_one, suite, root), suite.case_ids, workers)) as written:
        for row in written:
            text = json.dumps(row_to_json(row, stratum_of(len(row.names))), ensure_ascii=False)
            lines[row.id] = str(row.sha256), text
            if progress is not None:
                progress(len(lines), len(suite))
    return [lines[case_id] for case_id in suite.case_ids]


def _write_one(suite: Suite, root: Path, case_id: str) -> Row:
    form = Form(suite.size, suite.frames, suite.fps, suite.condition)
    return write_case(root, suite.load_case(case_id), suite.load_reference(case_id), form)


def read_suite(folder: StrPath) -> Suite:
    """Opens a suite folder. Lists and hashes of lists are checked now, each case when it is loaded.

    Raises:
        InputError: a list is missing, damaged or of a newer version, a file is missing or leads out of the folder, or
            the hash of the list differs. Loading raises it for everything that is wrong with one case.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(root, "is missing" if not root.exists() else "is not a folder", "give a suite folder")
    if not (root / SUITE_JSON).is_file():
        raise InputError(root, f"is not a suite folder: {SUITE_JSON} is missing", "give a folder that was built as one")
    facts = read_json(inside(root, SUITE_JSON))
    form = _form(facts, root / SUITE_JSON)
    rows = _read_rows(root)
    if len(rows) != facts["cases"]:
        what = f"lists {len(rows)} cases, {SUITE_JSON} says {facts['cases']}"
        raise InputError(root / METADATA, what, RESTORE)
    hashes = {row.id: row.sha256 for row in rows.values() if row.sha256 is not None}
    known = facts.get("content_sha256") or ""
    if hashes and len(hashes) < len(rows):
        raise InputError(root / METADATA, "field 'sha256' is missing in some lines", "give it in all or in none")
    if known and suite_sha256(hashes.values()) != known:
        what = f"the cases do not match 'content_sha256' of {SUITE_JSON}"
        raise InputError(root / METADATA, what, RESTORE)
    return Suite(
        facts["name"],
        facts["seed"],
        form.size,
        form.frames,
        form.fps,
        form.condition,
        tuple(rows),
        known,
        lambda case_id: load_case(root, rows[case_id], form),
        lambda case_id: load_reference(root, rows[case_id], form),
        root,
        hashes.__getitem__ if hashes else None,
        facts.get("pictures") or ("sprites" if facts["name"].startswith("sprites-") else "photographs"),
    )


def verify(folder: StrPath, progress: Progress | None = None) -> str:
    """Loads every case and every reference of a suite folder and compares them with their hashes.

    Returns:
        The suite's `content_sha256`, computed from the decoded content.

    Raises:
        InputError: the first thing that is wrong.
    """
    suite = read_suite(folder)
    hashes = []
    for done, case_id in enumerate(suite.case_ids, start=1):
        hashes.append(suite.load_case(case_id).sha256(suite.load_reference(case_id)))
        if progress is not None:
            progress(done, len(suite))
    return suite_sha256(hashes)


def _form(facts: Any, path: Path) -> Form:
    """Checks `suite.json` and returns what its cases share."""
    if not isinstance(facts, dict):
        raise InputError(path, "is not a JSON object", RESTORE)

    def check(name: str, ok: bool, asked: str) -> None:
        if not ok:
            found = f"is {facts[name]!r}" if name in facts else "is missing"
            raise InputError(path, f"field {name!r} {found}", f"give {asked}")

    def whole(value: object, least: int) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= least

    version, size, fps, known = (facts.get(name) for name in ("schema_version", "size", "fps", "content_sha256"))
    check("schema_version", whole(version, 1), "a whole number")
    if cast(int, version) > SCHEMA_VERSION:
        what = f"field 'schema_version' is {version}, this program reads up to {SCHEMA_VERSION}"
        raise InputError(path, what, "update flashbench")
    check("name", isinstance(facts.get("name"), str) and bool(facts["name"]), "a text")
    check("size", isinstance(size, list) and len(size) == 2 and all(whole(n, 1) for n in size), "[height, width] in px")
    check("frames", whole(facts.get("frames"), 1), "the number of frames")
    check("fps", isinstance(fps, int | float) and not isinstance(fps, bool) and 0 < fps < 1e4, "frames a second")
    check("seed", isinstance(facts.get("seed"), int), "a whole number")
    check("condition", facts.get("condition") in ("masks", "boxes"), "masks or boxes")
    check("pictures", facts.get("pictures") in (None, "sprites", "photographs"), "sprites or photographs")
    check("cases", whole(facts.get("cases"), 1), "the number of cases")
    check(
        "content_sha256",
        known is None or (isinstance(known, str) and len(known) == 64),
        "64 hex digits, or leave it out",
    )
    height, width = cast("list[int]", size)
    return Form((height, width), facts["frames"], float(cast(float, fps)), cast(Condition, facts["condition"]))


def _read_rows(root: Path) -> dict[str, Row]:
    path = inside(root, METADATA)
    try:
        lines = read_bytes(path).decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(path, f"is not UTF-8: {error}", RESTORE) from error
    rows: dict[str, Row] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = row_from_json(json.loads(line), where)
        except json.JSONDecodeError as error:
            raise InputError(where, f"is not JSON: {error}", RESTORE) from error
        if row.id in rows:
            raise InputError(
                where, f"field 'id': {row.id!r} stands in an earlier line too", "give each case its own id"
            )
        for name in (row.file_name, row.first_frame, row.tracks):
            inside(root, name)
        rows[row.id] = row
    return rows
