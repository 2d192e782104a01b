"""What every layout must bear: names and captions of any kind, odd sizes, and lists in another encoding."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flashbench.cases.folder import save_suite
from flashbench.cases.form import check_form
from flashbench.cases.scenes import sprites_suite
from flashbench.cases.schema import Suite
from flashbench.errors import InputError
from flashbench.layouts.clips import Form, plain_ids, suite_of
from flashbench.layouts.registry import LAYOUTS

CAPTION = 'A "red", very red, Übungs-cup; it\'s — 5,000 % new\u2028yes.'
NAME = "Mein Übungs-Film, (1)"
WITH_PROMPTS = [name for name in LAYOUTS if name != "tapvid"]


@pytest.fixture(scope="module")
def suite() -> Suite:
    """Two cases, the first with an uncommon caption."""
    plain = sprites_suite(2, 64, 9)
    held = {i: plain.load_case(i) for i in plain.case_ids}
    held["1-0000"] = dataclasses.replace(held["1-0000"], prompt=CAPTION)
    return dataclasses.replace(plain, known_sha256="", load_case=held.__getitem__, hash_case=None)


def written(suite: Suite, name: str, root: Path) -> Path:
    LAYOUTS[name].write(suite, root)
    return root


def imported(name: str, root: Path) -> Suite:
    return suite_of(LAYOUTS[name].read(root), Form(condition=LAYOUTS[name].condition))


@pytest.mark.parametrize("name", WITH_PROMPTS)
def test_captions_with_commas_and_quotes(suite: Suite, tmp_path: Path, name: str) -> None:
    found = imported(name, written(suite, name, tmp_path / "theirs"))
    assert " ".join(found.load_case("1-0000").prompt.split()) == " ".join(CAPTION.split())
    save_suite(found, tmp_path / "suite")
    check_form(tmp_path / "suite")


def renamed(root: Path) -> None:
    """Every file, folder and line of case 1-0000 gets a name with spaces and Unicode."""
    for path in sorted(root.rglob("*1-0000*"), reverse=True):
        path.rename(path.with_name(path.name.replace("1-0000", NAME)))
    for path in (p for p in root.iterdir() if p.suffix in (".csv", ".txt", ".yaml", ".jsonl")):
        text = path.read_text(encoding="utf-8")
        old, new = ("1-0000", NAME) if path.suffix != ".csv" else ("1-0000,", f'"{NAME}",')
        if path.name == "MagicData.csv":
            old, new = "videos/1-0000.mp4", f'"videos/{NAME}.mp4"'
        if path.name == "single_track.txt":  # which ends an id at the first comma
            new = NAME.replace(",", "")
        path.write_text(text.replace(old, new), encoding="utf-8")
    for path in root.rglob("*,*") if (root / "single_track.txt").exists() or (root / "prompts.txt").exists() else []:
        path.rename(path.with_name(path.name.replace(",", "")))
    if (root / "prompts.txt").exists():
        path = root / "prompts.txt"
        path.write_text(path.read_text(encoding="utf-8").replace(NAME, NAME.replace(",", "")), encoding="utf-8")


@pytest.mark.parametrize("name", WITH_PROMPTS)
def test_file_names_with_spaces_and_unicode(suite: Suite, tmp_path: Path, name: str) -> None:
    renamed(written(suite, name, tmp_path / "mit Lücke"))
    found = imported(name, tmp_path / "mit Lücke")
    assert "Mein-bungs-Film-1" in found.case_ids
    save_suite(found, tmp_path / "suite")
    check_form(tmp_path / "suite")
    assert np.abs(found.load_reference("Mein-bungs-Film-1") - suite.load_reference("1-0000").astype(int)).mean() < 6


def test_names_that_become_alike_stay_apart() -> None:
    names = ["a-3", "a", "a!", "ä", "..", "a-3"]
    ids = plain_ids(names)
    assert list(ids.values()) == names and len(set(ids)) == len(names)
    assert list(ids)[:4] == ["a-3", "a", "a-3-3", "clip"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_odd_sizes(tmp_path: Path, name: str) -> None:
    """Kept where the layout can hold them, else refused in one line: mp4 wants even sides."""
    plain = sprites_suite(1, 64, 9)
    case = plain.load_case("1-0000")
    objects = tuple(dataclasses.replace(o, masks=o.masks[:, :61, :63]) for o in case.objects if o.masks is not None)
    odd = dataclasses.replace(case, first_frame=case.first_frame[:61, :63], objects=objects)
    suite = dataclasses.replace(
        plain, size=(61, 63), known_sha256="", hash_case=None, load_case=lambda i: odd,
        load_reference=lambda i: plain.load_reference(i)[:, :61, :63],
    )  # fmt: skip
    if name in ("davis", "tapvid"):
        assert imported(name, written(suite, name, tmp_path / "theirs")).size == (61, 63)
    else:
        with pytest.raises(InputError, match="mp4: frames are 63x61 px, H.264 wants even sides; give an even --size"):
            written(suite, name, tmp_path / "theirs")


LISTS = {
    "magicdata": "MagicData.csv", "davis": "prompts.csv", "movebench": "single_track.txt", "ati": "test.yaml",
    "tora": "prompts.txt", "videofolder": "metadata.jsonl",
}  # fmt: skip


@pytest.mark.parametrize("name", WITH_PROMPTS)
def test_a_list_in_another_encoding_is_named(suite: Suite, tmp_path: Path, name: str) -> None:
    path = written(suite, name, tmp_path / "theirs") / LISTS[name]
    text = path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8-sig")  # as spreadsheets save it
    assert imported(name, path.parent).load_case("1-0000").prompt.startswith('A "red", very red')
    path.write_bytes(text.encode("utf-16"))
    with pytest.raises(InputError, match=f"{path.name}: is not UTF-8 .*; save it as UTF-8"):
        imported(name, path.parent)


def other_rate(root: Path) -> None:
    from flashbench.files.video import read_video, write_mp4

    path = next(root.rglob("2-0000.mp4"))
    write_mp4(path, read_video(path), 25.0)


def shorter(root: Path) -> None:
    from flashbench.files.video import read_video, write_mp4

    path = next(root.rglob("2-0000.mp4"))
    write_mp4(path, read_video(path)[:7], 24.0)


@pytest.mark.parametrize("name", [name for name in WITH_PROMPTS if name != "davis"])
@pytest.mark.parametrize(
    ("damage", "says"),
    [(other_rate, "has 25 frames a second, the first clip 24; give all clips one"), (shorter, "has 7 frames, 9 are")],
)
def test_clips_that_differ(tmp_path: Path, name: str, damage: Callable[[Path], None], says: str) -> None:
    """Of one form or refused, never resampled behind one's back."""
    damage(written(sprites_suite(2, 64, 9), name, tmp_path / "theirs"))
    found = imported(name, tmp_path / "theirs")
    if found.case_ids[0] == "2-0000" and damage is shorter:
        assert found.frames == 7  # the first clip says how long all are
        return
    if found.case_ids[0] == "2-0000":
        says = "has 24 frames a second, the first clip 25"
    with pytest.raises(InputError, match=says):
        for i in found.case_ids:
            found.load_case(i)


def test_tracks_longer_and_shorter_than_the_video(tmp_path: Path) -> None:
    """Longer ones are cut, shorter ones refused; `videofolder` states a length by object."""
    root = written(sprites_suite(1, 64, 9), "movebench", tmp_path / "theirs")
    for kind in ("tracks", "visibility"):
        path = root / f"track/single/1-0000_{kind}.npy"
        whole = np.load(path)
        np.save(path, np.concatenate([whole, whole[:, -1:]], axis=1))
    assert imported("movebench", root).load_case("1-0000").frames == 9
    for kind in ("tracks", "visibility"):
        path = root / f"track/single/1-0000_{kind}.npy"
        np.save(path, np.load(path)[:, :8])
    with pytest.raises(InputError, match="1-0000.mp4: has 9 frames, its tracks 8; cut the video, or give longer"):
        imported("movebench", root)
    root = written(sprites_suite(1, 64, 9), "videofolder", tmp_path / "boxes")
    row = json.loads((root / "metadata.jsonl").read_text())
    row["boxes"][0].append([0, 0, 9, 9])
    (root / "metadata.jsonl").write_text(json.dumps(row))
    assert imported("videofolder", root).load_case("1-0000").frames == 9
