"""Hugging Face's videofolder: boxes come back, points and CSV are read, and what is wrong is named."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flashbench.cases.scenes import sprites_suite
from flashbench.cases.schema import Suite
from flashbench.errors import InputError
from flashbench.layouts import videofolder
from flashbench.layouts.clips import Form, suite_of

BOXES = Form(condition="boxes")


@pytest.fixture(scope="module")
def suite() -> Suite:
    return sprites_suite(3, 64, 21)


@pytest.fixture
def folder(suite: Suite, tmp_path: Path) -> Path:
    videofolder.write(suite, tmp_path)
    return tmp_path


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def rewrite(folder: Path, held: list[dict[str, Any]]) -> None:
    (folder / "metadata.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in held))


def test_a_round_trip(suite: Suite, folder: Path) -> None:
    found = suite_of(videofolder.read(folder), BOXES)
    assert found.case_ids == suite.case_ids and (found.frames, found.fps) == (21, 24)
    for i in suite.case_ids:
        ours, theirs = found.load_case(i), suite.load_case(i)
        assert ours.prompt == theirs.prompt and [o.name for o in ours.objects] == [o.name for o in theirs.objects]
        for a, b in zip(ours.objects, theirs.objects, strict=True):
            assert np.array_equal(a.visible, b.visible)
            np.testing.assert_allclose(a.boxes[a.visible], b.boxes[b.visible], atol=1e-3)


def test_huggingface_reads_the_list(folder: Path) -> None:
    for row in rows(folder):
        assert (folder / row["file_name"]).is_file() and "\n" not in row["prompt"]


def test_a_csv_with_commas_and_quotes_and_unicode_names(folder: Path) -> None:
    held = rows(folder)
    (folder / held[0]["file_name"]).rename(folder / "mein Übungs-Film, 1.mp4")
    held[0].update(file_name="mein Übungs-Film, 1.mp4", prompt='A "red", very red, cup.')
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["file_name", "text", "names", "boxes"])
        writer.writeheader()
        for row in held:
            cells = {k: json.dumps(row[k]) for k in ("names", "boxes")}
            writer.writerow({"file_name": row["file_name"], "text": row["prompt"], **cells})
    (folder / "metadata.jsonl").unlink()
    found = suite_of(videofolder.read(folder), BOXES)
    assert found.case_ids[0] == "mein-bungs-Film-1"
    assert found.load_case(found.case_ids[0]).prompt == 'A "red", very red, cup.'


def test_points(folder: Path) -> None:
    held = rows(folder)[:1]
    held[0].pop("boxes")
    path: list[list[float] | None] = [[10.0 + t, 20.0] for t in range(21)]
    path[7] = None
    held[0].update(points=[path], names=["cup"])
    rewrite(folder, held)
    found = suite_of(videofolder.read(folder), BOXES)
    (only,) = found.load_case(found.case_ids[0]).objects
    assert only.points is not None and only.point_visible is not None
    assert only.points[0, 5].tolist() == [15, 20] and only.points[0, 7].tolist() == [16, 20]
    assert not only.point_visible[0, 7] and only.point_visible[0, 8]


def test_points_go_out_as_points(folder: Path, tmp_path: Path) -> None:
    """Boxes that only stand round points would come back as if somebody had drawn them."""
    held = rows(folder)[:1]
    held[0].pop("boxes")
    held[0].update(points=[[[10.0 + t, 20.0] for t in range(21)]], names=["cup"])
    rewrite(folder, held)
    videofolder.write(suite_of(videofolder.read(folder), BOXES), tmp_path / "again")
    (row,) = rows(tmp_path / "again")
    assert "boxes" not in row and row["points"] == held[0]["points"]
    (only,) = suite_of(videofolder.read(tmp_path / "again"), BOXES).load_case("1-0000").objects
    assert only.bare


def test_without_names(folder: Path) -> None:
    held = rows(folder)
    held[1].pop("names")
    rewrite(folder, held)
    found = suite_of(videofolder.read(folder), BOXES)
    assert [o.name for o in found.load_case(found.case_ids[1]).objects] == ["object 1", "object 2"]


def test_two_videos_of_one_name(folder: Path) -> None:
    held = rows(folder)[:2]
    (folder / "more").mkdir()
    (folder / held[1]["file_name"]).rename(folder / "more" / held[0]["file_name"])
    held[1]["file_name"] = f"more/{held[0]['file_name']}"
    rewrite(folder, held)
    assert len(set(videofolder.read(folder).ids)) == 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: r.pop("file_name"), "line 1: field 'file_name' is missing"),
        (lambda r: r.update(file_name="../x.mp4"), "leads out of the folder"),
        (lambda r: r.update(file_name="gone.mp4"), "gone.mp4: is missing"),
        (lambda r: r.pop("prompt"), "has no prompt or text or caption"),
        (lambda r: r.pop("boxes"), "has neither boxes nor points.*flashbench annotate"),
        (lambda r: r.update(boxes=5), "line 1: field 'boxes' is no list; give one list of boxes an object"),
        (lambda r: r.update(names=["a", "b", "c", "d"]), "does not name the 1 objects"),
        (lambda r: r["boxes"][0].pop(), r"has shape \[20, 4\], the video has 21 frames"),
        (lambda r: r["boxes"][0].__setitem__(3, [1, 2]), "field 'boxes', object 0.*is not a list of numbers"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, change: Any, says: str) -> None:
    held = rows(folder)
    change(held[0])
    rewrite(folder, held)
    with pytest.raises(InputError, match=says):
        source = videofolder.read(folder)
        source.load(source.ids[0])


def test_no_list_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds neither metadata\.jsonl nor metadata\.csv"):
        videofolder.read(tmp_path)
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.mp4"}\n{broken\n')
    with pytest.raises(InputError, match="line 2: is not JSON"):
        videofolder.read(tmp_path)
