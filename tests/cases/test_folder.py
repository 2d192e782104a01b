"""The suite folder: round trips, readable without our code, whole or absent, and one clear line for each damage."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from flashbench.cases.folder import read_suite, save_suite, verify
from flashbench.cases.scenes import sprites_suite
from flashbench.cases.schema import Case, ObjectTrack, Suite
from flashbench.cases.suites import open_suite
from flashbench.errors import InputError
from flashbench.files.atomic import folder_lock
from flashbench.files.png import write_png
from flashbench.files.video import write_video

SIZE, FRAMES = 32, 9


def same_case(a: Case, b: Case) -> bool:
    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return [plain(getattr(value, f.name)) for f in dataclasses.fields(value)]
        if isinstance(value, np.ndarray):
            return (value.dtype.str, value.shape, value.tobytes())
        return [plain(v) for v in value] if isinstance(value, tuple) else value

    return bool(plain(a) == plain(b))


@pytest.fixture(scope="module")
def suite() -> Suite:
    return sprites_suite(6, SIZE, FRAMES)


@pytest.fixture(scope="module")
def saved(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suites") / "toy"
    save_suite(suite, folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(saved, tmp_path / "toy"))


def test_round_trip(suite: Suite, saved: Path) -> None:
    again = read_suite(saved)
    for name in ("name", "seed", "size", "frames", "fps", "condition", "case_ids"):
        assert getattr(again, name) == getattr(suite, name)
    for case_id in suite.case_ids:
        assert same_case(again.load_case(case_id), suite.load_case(case_id))
        assert np.array_equal(again.load_reference(case_id), suite.load_reference(case_id))
    assert again.root == saved
    assert again.content_sha256 == verify(saved) == suite.content_sha256
    assert again.case_hashes == suite.case_hashes


def test_two_workers_and_progress_make_the_same_folder(suite: Suite, saved: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    save_suite(suite, tmp_path / "toy", workers=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 6) for i in range(1, 7)]
    files = sorted(p.relative_to(saved) for p in saved.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(tmp_path / "toy") for p in (tmp_path / "toy").rglob("*") if p.is_file())
    assert all((saved / p).read_bytes() == (tmp_path / "toy" / p).read_bytes() for p in files)
    assert [p.name for p in tmp_path.iterdir()] == ["toy"]


def test_what_cases_share_is_loaded_once_for_all_workers(suite: Suite, tmp_path: Path) -> None:
    loaded: list[int] = []
    shared = dataclasses.replace(suite, prepare=lambda: loaded.append(os.getpid()))

    def load(case_id: str) -> Case:
        assert loaded == [os.getppid()]  # by the parent, before this process was forked
        return suite.load_case(case_id)

    save_suite(dataclasses.replace(shared, load_case=load), tmp_path / "toy", workers=2)
    assert loaded == [os.getpid()]


def test_it_is_read_without_our_code(suite: Suite, saved: Path) -> None:
    """Follows docs/suite-format.md with PIL, NumPy and PyAV alone, the hashes included."""
    facts = json.loads((saved / "suite.json").read_text())
    rows = [json.loads(line) for line in (saved / "metadata.jsonl").read_text().splitlines()]
    assert list(rows[0])[0] == "file_name" and len(rows) == facts["cases"] == 6
    height, width = facts["size"]

    def chunk(label: str, array: np.ndarray[Any, Any]) -> bytes:
        little = array.astype(array.dtype.newbyteorder("<"))
        return f"{label} {little.dtype.str} {','.join(map(str, array.shape))}\n".encode() + little.tobytes()

    total = hashlib.sha256(b"flashbench suite 1\n")
    for row in rows:
        with av.open(str(saved / row["file_name"])) as container:
            video = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
        arrays = np.load(saved / "tracks" / f"{row['id']}.npz", allow_pickle=False)
        frame = np.asarray(Image.open(saved / "first_frames" / f"{row['id']}.png"))
        assert np.array_equal(frame, video[0])
        assert arrays["boxes"].shape == (row["n_objects"], facts["frames"], 4)
        case = suite.load_case(row["id"])
        facts_of_case = {
            "condition": facts["condition"],
            "fps": float(facts["fps"]),
            "id": row["id"],
            "meta": json.loads(row["meta"]),
            "names": row["names"],
            "prompt": row["prompt"],
            "seed": row["seed"],
        }
        text = json.dumps(facts_of_case, sort_keys=True, separators=(",", ":"))
        data = b"flashbench case 1\n" + f"facts {text}\n".encode() + chunk("first_frame", frame)
        for i in range(row["n_objects"]):
            masks = np.unpackbits(arrays[f"masks_{i}"], axis=1, count=height * width)
            masks = masks.reshape(arrays[f"masks_shape_{i}"]).astype(bool)
            assert np.array_equal(masks, case.objects[i].masks)  # type: ignore[arg-type]
            data += chunk(f"boxes_{i}", arrays["boxes"][i]) + chunk(f"visible_{i}", arrays["visible"][i])
            data += chunk(f"masks_{i}", masks)
            for kind in ("centres", "points", "point_visible"):
                data += chunk(f"{kind}_{i}", arrays[f"{kind}_{i}"])
        reference = hashlib.sha256(chunk("array", video)).hexdigest()
        assert reference == row["reference_sha256"]
        digest = hashlib.sha256(data + f"reference {reference}\n".encode()).hexdigest()
        assert digest == row["sha256"]
        total.update(f"{digest}\n".encode())
    assert total.hexdigest() == facts["content_sha256"]


def test_hugging_face_reads_it(saved: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = datasets.load_dataset("videofolder", data_dir=str(saved), split="train", cache_dir=str(saved.parent / "hf"))
    assert rows.num_rows == 6
    assert {"prompt", "id", "names", "n_objects", "stratum", "seed", "sha256"} <= set(rows.column_names)


def test_the_hash_is_over_content_not_containers(folder: Path, suite: Suite) -> None:
    before = suite.content_sha256
    case_id = suite.case_ids[0]
    reference = suite.load_reference(case_id)
    with av.open(str(folder / "videos" / f"{case_id}.mkv"), "w") as container:
        stream = container.add_stream("libx264rgb", rate=24, options={"qp": "0"})
        stream.height, stream.width, stream.pix_fmt = SIZE, SIZE, "rgb24"
        for frame in reference:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    Image.fromarray(reference[0]).save(folder / "first_frames" / f"{case_id}.png", compress_level=0)
    arrays = dict(np.load(folder / "tracks" / f"{case_id}.npz"))
    np.savez(folder / "tracks" / f"{case_id}.npz", **arrays)
    assert verify(folder) == before


def test_building_again_replaces_a_suite(folder: Path) -> None:
    other = sprites_suite(3, SIZE, FRAMES, seed=1)
    assert save_suite(other, folder).content_sha256 == other.content_sha256 == verify(folder)
    assert [p.name for p in folder.parent.iterdir()] == ["toy"]
    assert sorted(p.name for p in folder.iterdir()) == [
        "first_frames", "metadata.jsonl", "suite.json", "tracks", "videos",
    ]  # fmt: skip


def test_a_folder_may_be_written_over_itself(folder: Path, suite: Suite) -> None:
    save_suite(read_suite(folder), folder, workers=2)
    assert verify(folder) == suite.content_sha256


def test_an_empty_folder_is_taken_and_another_is_not(suite: Suite, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    save_suite(suite, tmp_path / "empty")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="mine: holds files that are not a suite; choose an empty folder"):
        save_suite(suite, tmp_path / "mine")
    with pytest.raises(InputError, match=r"thesis\.txt: is a file"):
        save_suite(suite, tmp_path / "mine" / "thesis.txt")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "mine"]


def test_a_folder_that_another_process_builds(suite: Suite, tmp_path: Path) -> None:
    with folder_lock(tmp_path / ".toy.building"), pytest.raises(InputError, match=r"building: is in use by another"):
        save_suite(suite, tmp_path / "toy")
    assert not (tmp_path / "toy").exists()


SAVE = """
import sys
from flashbench.cases.folder import save_suite
from flashbench.cases.scenes import sprites_suite
save_suite(sprites_suite(60, 32, 9), sys.argv[1], int(sys.argv[2]), lambda *done: print(*done, flush=True))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_kill_in_the_middle_leaves_nothing_half_written(folder: Path, suite: Suite, workers: int) -> None:
    for target in (folder, folder.with_name("new")):
        command = [sys.executable, "-c", SAVE, str(target), str(workers)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(3)][-1] == "3 60\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert verify(folder) == suite.content_sha256
    assert sorted(p.name for p in folder.parent.iterdir() if not p.name.startswith(".")) == ["toy"]
    assert save_suite(suite, folder.with_name("new"), workers).content_sha256 == suite.content_sha256
    save_suite(suite, folder, workers)
    assert sorted(p.name for p in folder.parent.iterdir()) == ["new", "toy"]


def test_kill_between_the_two_renames_loses_nothing(folder: Path, suite: Suite) -> None:
    os.rename(folder, folder.with_name(".toy.old"))
    broken = dataclasses.replace(suite, load_reference=lambda case_id: np.zeros((1, 2, 2, 3), np.uint8))
    with pytest.raises(InputError, match="reference is uint8"):
        save_suite(broken, folder)
    assert verify(folder) == suite.content_sha256


@pytest.mark.parametrize("workers", [1, 2])
def test_a_case_that_fails_leaves_the_old_suite(folder: Path, suite: Suite, workers: int) -> None:
    def load(case_id: str) -> Case:
        case = suite.load_case(case_id)
        return case if case_id != suite.case_ids[3] else dataclasses.replace(case, fps=25.0)

    with pytest.raises(InputError, match="case '4-0000': is .*25.0.*give all cases of a suite one form"):
        save_suite(dataclasses.replace(suite, load_case=load), folder, workers)
    assert verify(folder) == suite.content_sha256
    assert [p.name for p in folder.parent.iterdir()] == ["toy"]


def test_a_full_disk_keeps_the_old_suite(folder: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="the disk is full; free space"):
        save_suite(suite, folder)
    monkeypatch.undo()
    assert verify(folder) == suite.content_sha256
    assert [p.name for p in folder.parent.iterdir()] == ["toy"]


def test_a_known_hash_that_does_not_hold(suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="suite 'sprites-v1': content_sha256 is .* but ffff"):
        save_suite(dataclasses.replace(suite, known_sha256="f" * 64), tmp_path / "toy")
    assert list(tmp_path.iterdir()) == []


ID = "2-0000"


def edit_json(folder: Path, **changes: Any) -> None:
    facts = json.loads((folder / "suite.json").read_text())
    facts.update(changes)
    (folder / "suite.json").write_text(json.dumps({k: v for k, v in facts.items() if v is not Ellipsis}))


def edit_row(folder: Path, keep_hashes: bool = True, **changes: Any) -> None:
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    for row in rows:
        if row["id"] == ID:
            row.update(changes)
        if not keep_hashes:
            row["sha256"] = row["reference_sha256"] = None
    lines = (json.dumps({k: v for k, v in row.items() if v is not Ellipsis}) + "\n" for row in rows)
    (folder / "metadata.jsonl").write_text("".join(lines))
    if not keep_hashes:
        edit_json(folder, content_sha256=...)


def edit_arrays(folder: Path, keep_hashes: bool = False, **changes: Any) -> None:
    path = folder / "tracks" / f"{ID}.npz"
    arrays = dict(np.load(path))
    arrays.update({k: v(arrays[k]) if callable(v) else v for k, v in changes.items()})
    np.savez(path, **{k: v for k, v in arrays.items() if v is not Ellipsis})
    edit_row(folder, keep_hashes)


def spoil(at: Any, value: float) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    def spoilt(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        array = array.copy()
        array[at] = value
        return array

    return spoilt


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def outside_link(path: Path) -> None:
    other = path.parent.parent.parent / "elsewhere"
    path.rename(other)
    path.symlink_to(other)


def reverse_lines(path: Path) -> None:
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))


BAD_LISTS: list[tuple[str, Callable[[Path], object], str]] = [
    ("no folder", shutil.rmtree, "toy: is missing; give a suite folder"),
    ("no suite.json", lambda d: (d / "suite.json").unlink(), r"toy: is not a suite folder: suite\.json is missing"),
    ("cut suite.json", lambda d: cut(d / "suite.json"), r"suite\.json: is not JSON"),
    ("list", lambda d: (d / "suite.json").write_text("[]"), r"suite\.json: is not a JSON object"),
    ("newer", lambda d: edit_json(d, schema_version=2), "'schema_version' is 2, .* reads up to 1; update flashbench"),
    ("no version", lambda d: edit_json(d, schema_version=...), "field 'schema_version' is missing"),
    ("no name", lambda d: edit_json(d, name=""), "field 'name' is ''; give a text"),
    ("size", lambda d: edit_json(d, size=[32]), r"field 'size' is \[32\]; give \[height, width\]"),
    ("frames", lambda d: edit_json(d, frames="9"), "field 'frames' is '9'"),
    ("fps", lambda d: edit_json(d, fps=0), "field 'fps' is 0; give frames a second"),
    ("nan fps", lambda d: edit_json(d, fps=float("nan")), "field 'fps' is nan"),
    ("seed", lambda d: edit_json(d, seed=None), "field 'seed' is None"),
    ("condition", lambda d: edit_json(d, condition="words"), "field 'condition' is 'words'; give masks or boxes"),
    ("cases", lambda d: edit_json(d, cases=0), "field 'cases' is 0"),
    ("count", lambda d: edit_json(d, cases=7), r"metadata\.jsonl: lists 6 cases, suite\.json says 7"),
    ("hash form", lambda d: edit_json(d, content_sha256="abc"), "field 'content_sha256' is 'abc'"),
    ("hash", lambda d: edit_json(d, content_sha256="0" * 64), "cases do not match 'content_sha256' of suite.json"),
    ("order", lambda d: reverse_lines(d / "metadata.jsonl"), "cases do not match 'content_sha256'"),
    ("no metadata", lambda d: (d / "metadata.jsonl").unlink(), r"metadata\.jsonl: is missing"),
    ("binary metadata", lambda d: (d / "metadata.jsonl").write_bytes(b"\xff\xfe"), r"metadata\.jsonl: is not UTF-8"),
    ("cut metadata", lambda d: cut(d / "metadata.jsonl"), r"metadata\.jsonl, line \d: is not JSON|lists \d cases"),
    ("row", lambda d: (d / "metadata.jsonl").write_text("3\n"), "line 1: is not a JSON object"),
    ("zero objects", lambda d: edit_row(d, names=[]), "line 2: field 'names' is empty: the case has zero objects"),
    ("names", lambda d: edit_row(d, names=[1, 2]), "line 2: field 'names' is"),
    ("n_objects", lambda d: edit_row(d, n_objects=3), "line 2: field 'n_objects' is 3, names are 2"),
    ("no prompt", lambda d: edit_row(d, prompt=...), "line 2: field 'prompt' is None; give a str"),
    ("bad id", lambda d: edit_row(d, id="../x"), "line 2: field 'id' is '../x'; use letters"),
    ("twice", lambda d: edit_row(d, id="1-0000"), "line 2: field 'id': '1-0000' stands in an earlier line too"),
    ("meta", lambda d: edit_row(d, meta="{"), "line 2: field 'meta' is not JSON"),
    ("row hash", lambda d: edit_row(d, sha256="f" * 64), "cases do not match 'content_sha256'"),
    ("half hashed", lambda d: edit_row(d, sha256=None), "'sha256' and 'reference_sha256' do not hold hashes"),
    ("unhashed row", lambda d: edit_row(d, sha256=None, reference_sha256=None), "'sha256' is missing in some lines"),
    ("no video", lambda d: (d / "videos" / f"{ID}.mkv").unlink(), r"2-0000\.mkv: is missing; restore the folder"),
    ("no frame", lambda d: (d / "first_frames" / f"{ID}.png").unlink(), r"2-0000\.png: is missing"),
    ("no tracks", lambda d: (d / "tracks" / f"{ID}.npz").unlink(), r"2-0000\.npz: is missing"),
    (
        "link",
        lambda d: outside_link(d / "videos" / f"{ID}.mkv"),
        r"2-0000\.mkv' leads out of the suite folder; put the",
    ),
    ("way out", lambda d: edit_row(d, file_name="../x.mkv"), r"'\.\./x\.mkv' leads out of the suite folder"),
    ("absolute", lambda d: edit_row(d, file_name="/etc/hosts"), "'/etc/hosts' leads out of the suite folder"),
]


@pytest.mark.parametrize("damage, line", [b[1:] for b in BAD_LISTS], ids=[b[0] for b in BAD_LISTS])
def test_damage_that_is_found_on_opening(folder: Path, damage: Callable[[Path], object], line: str) -> None:
    damage(folder)
    with pytest.raises(InputError, match=line) as error:
        read_suite(folder)
    assert "\n" not in str(error.value) and "toy" in str(error.value)


def reencode(folder: Path, frames: np.ndarray[Any, Any], fps: float = 24) -> None:
    write_video(folder / "videos" / f"{ID}.mkv", frames.astype(np.uint8), fps)


def zeros(*shape: int) -> np.ndarray[Any, Any]:
    return np.zeros(shape, np.uint8)


N = 2
NOTHING: dict[str, Any] = {name: ... for name in ("boxes", "masks_0", "masks_shape_0", "points_0", "point_visible_0")}
BAD_CASES: list[tuple[str, Callable[[Path], object], str]] = [
    ("cut npz", lambda d: cut(d / "tracks" / f"{ID}.npz"), r"2-0000\.npz: is a damaged npz"),
    ("pickle", lambda d: edit_arrays(d, boxes=np.array([{}])), r"2-0000\.npz: is a damaged npz"),
    ("cut png", lambda d: cut(d / "first_frames" / f"{ID}.png"), r"2-0000\.png: is a damaged PNG"),
    (
        "png size",
        lambda d: write_png(d / "first_frames" / f"{ID}.png", zeros(32, 40, 3)),
        "size is 40x32 px, the suite's",
    ),
    ("png hash", lambda d: write_png(d / "first_frames" / f"{ID}.png", zeros(32, 32, 3)), "does not match 'sha256'"),
    ("prompt hash", lambda d: edit_row(d, prompt="Other."), "content_sha256|does not match 'sha256'"),
    (
        "box hash",
        lambda d: edit_arrays(d, True, boxes=lambda b: b + np.float32(0.25)),
        "case '2-0000': its content does not",
    ),
    ("nan", lambda d: edit_arrays(d, boxes=spoil((0, 1, 2), np.nan)), r"npz: object '.*': boxes: NaN or infinity"),
    ("nan centre", lambda d: edit_arrays(d, centres_1=spoil((1, 0), np.nan)), "centres: NaN"),
    ("nan point", lambda d: edit_arrays(d, points_0=spoil((1, 1, 0), np.nan)), "points: NaN"),
    ("outside", lambda d: edit_arrays(d, boxes=lambda b: b + 100, visible=np.ones((N, FRAMES), bool)), "lies outside"),
    ("no area", lambda d: edit_arrays(d, boxes=lambda b: b[..., [2, 1, 0, 3]]), "boxes: one has no area"),
    ("objects", lambda d: edit_arrays(d, boxes=lambda b: b[:1]), r"'boxes': has shape \(1, 9, 4\); give \(2, 9, 4\)"),
    ("length", lambda d: edit_arrays(d, boxes=lambda b: b[:, :8]), r"'boxes': has shape \(2, 8, 4\); give \(2, 9, 4\)"),
    ("visible", lambda d: edit_arrays(d, visible=lambda v: v[:, :8]), r"'visible': has shape \(2, 8\)"),
    ("type", lambda d: edit_arrays(d, boxes=lambda b: b.astype(str)), "array 'boxes': is <U.*; give float32"),
    ("points", lambda d: edit_arrays(d, points_0=lambda p: p[:, :8]), "points: float32"),
    ("half points", lambda d: edit_arrays(d, points_0=...), "points or point_visible is missing"),
    ("mask shape", lambda d: edit_arrays(d, masks_shape_0=np.array([9, 16, 64])), r"'masks_0': shape is \(9, 16, 64\)"),
    ("mask bits", lambda d: edit_arrays(d, masks_0=lambda m: m[:, :-1]), r"'masks_0': is uint8 \(9, 127\); give uint8"),
    ("strange", lambda d: edit_arrays(d, masks_7=zeros(1, 1)), "arrays: 'masks_7' belongs to none of 2 objects"),
    ("nothing", lambda d: edit_arrays(d, **NOTHING), "has neither boxes, points nor masks"),
    ("empty prompt", lambda d: edit_row(d, False, prompt=" "), "prompt is empty"),
    ("cut video", lambda d: cut(d / "videos" / f"{ID}.mkv"), r"2-0000\.mkv: (is truncated|breaks off)"),
    ("text video", lambda d: (d / "videos" / f"{ID}.mkv").write_text("no"), r"2-0000\.mkv: .* or is damaged"),
    ("empty video", lambda d: (d / "videos" / f"{ID}.mkv").write_text(""), r"2-0000\.mkv: is empty"),
    ("video size", lambda d: reencode(d, zeros(9, 32, 40, 3)), "case '2-0000': size is 40x32 px instead of 32x32 px"),
    ("video length", lambda d: reencode(d, zeros(8, 32, 32, 3)), "case '2-0000': length is 8 frames instead of 9"),
    ("video rate", lambda d: reencode(d, zeros(9, 32, 32, 3), 30), "frame rate is 30 a second instead of 24"),
    ("video hash", lambda d: reencode(d, zeros(9, 32, 32, 3)), "does not match 'reference_sha256'"),
]


@pytest.mark.parametrize("damage, line", [b[1:] for b in BAD_CASES], ids=[b[0] for b in BAD_CASES])
def test_damage_that_is_found_on_loading(folder: Path, damage: Callable[[Path], object], line: str) -> None:
    damage(folder)
    with pytest.raises(InputError, match=line) as error:
        verify(folder)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)
    if "content_sha256" not in str(error.value):  # the other cases are still good
        assert read_suite(folder).load_case("1-0000").stratum == "1"


def test_a_suite_without_hashes_is_read(folder: Path, suite: Suite) -> None:
    edit_row(folder, keep_hashes=False)
    assert read_suite(folder).content_sha256 == suite.content_sha256


def test_boxes_only(folder: Path, suite: Suite) -> None:
    edit_arrays(
        folder, visible=..., **{f"{k}_{i}": ... for i in range(N) for k in ("masks", "masks_shape", "centres")},
        **{f"{k}_{i}": ... for i in range(N) for k in ("points", "point_visible")},
    )  # fmt: skip
    case = read_suite(folder).load_case(ID)
    assert all(o.masks is None and o.points is None and o.centres is None for o in case.objects)
    assert all(np.array_equal(a.boxes, b.boxes) for a, b in zip(case.objects, suite.load_case(ID).objects, strict=True))
    assert case.objects[0].visible.any()


def test_masks_only(folder: Path) -> None:
    masks = np.zeros((FRAMES, SIZE, SIZE), np.bool_)
    for t in (2, 3, 6):
        masks[t, 5:9, t : t + 3] = True
    packed = {f"masks_{i}": np.packbits(masks.reshape(FRAMES, -1), axis=1) for i in range(N)}
    edit_arrays(folder, boxes=..., visible=..., **packed)
    o = read_suite(folder).load_case(ID).objects[0]
    assert o.visible.tolist() == [t in (2, 3, 6) for t in range(FRAMES)]
    assert o.boxes[2].tolist() == [1.5, 4.5, 4.5, 8.5]
    assert [o.boxes[t].tolist() for t in (0, 1, 4, 5, 8)] == [o.boxes[t].tolist() for t in (2, 2, 3, 3, 6)]


def test_points_only(folder: Path) -> None:
    """Boxes stand round the points, and the object says that they mean no more."""
    left = {f"{k}_{i}": ... for i in range(N) for k in ("masks", "masks_shape", "centres")}
    points = np.tile(np.array([[[4, 5]], [[9, 5]]], np.float32), (1, FRAMES, 1))
    seen = np.ones((2, FRAMES), np.bool_)
    seen[:, 3] = False
    both = {f"points_{i}": points for i in range(N)} | {f"point_visible_{i}": seen for i in range(N)}
    edit_arrays(folder, boxes=..., visible=..., **left, **both)
    o, _ = read_suite(folder).load_case(ID).objects
    assert o.boxes[0].tolist() == [4, 4, 9, 6] and o.bare and o.path[0].tolist() == [6.5, 5]
    assert o.visible.tolist() == [t != 3 for t in range(FRAMES)]


def test_frame_0_masks_and_few_fields_round_trip(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 20, 28, 3), dtype=np.uint8)
    boxes = np.tile(np.array([2, 3, 9, 11], np.float32), (4, 1))
    mask = np.zeros((1, 20, 28), np.bool_)
    mask[0, 4:10, 3:8] = True
    seen = np.ones(4, np.bool_)
    objects = (ObjectTrack("a", boxes, seen, mask), ObjectTrack("b", boxes + 1, seen), ObjectTrack("c", boxes, ~seen))
    case = Case("x", "Naïve “prompt”\u2028 on two lines.", frames[0], objects, 12.5, meta={"deep": [{"é": 1.5}]})
    suite = Suite("toy", 3, (20, 28), 4, 12.5, "boxes", ("x",), "", lambda i: case, lambda i: frames)
    again = save_suite(suite, tmp_path / "toy")
    assert same_case(again.load_case("x"), case)
    assert verify(tmp_path / "toy") == suite.content_sha256


def test_open_suite_by_name() -> None:
    suite = open_suite("sprites-v1")
    assert (len(suite), suite.size, suite.frames, suite.fps, suite.seed) == (48, (64, 64), 121, 24.0, 0)
    few = open_suite("sprites-v1", cases=6, seed=2, condition="masks", size=32, frames=9)
    assert [few.load_case(i).stratum for i in few.case_ids] == ["1", "2", "3", "4", "5", "6+"]
    assert (few.size, few.frames, few.seed, few.condition) == ((32, 32), 9, 2, "masks")
    assert few.case_ids == suite.case_ids[:6]


def test_open_suite_by_folder(saved: Path, suite: Suite) -> None:
    assert open_suite(saved).content_sha256 == suite.content_sha256
    few = open_suite(str(saved), cases=3, size=SIZE)
    assert few.case_ids == suite.case_ids[:3]
    assert few.content_sha256 == sprites_suite(3, SIZE, FRAMES).content_sha256
    with pytest.raises(InputError, match="has 6 cases, 7 were asked; choose 1 to 6"):
        open_suite(saved, cases=7)
    with pytest.raises(InputError, match=r"suite\.json: field 'frames' is 9 in this folder, 121 was asked"):
        open_suite(saved, frames=121)


def test_unknown_suites(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="suite 'sprite-v1': is unknown; did you mean 'sprites-v1'"):
        open_suite("sprite-v1")
    with pytest.raises(
        InputError, match="suite 'zebra': is unknown; give sprites-v1, clips-v1 or the path of a suite folder"
    ):
        open_suite("zebra")
    with pytest.raises(InputError, match="nowhere: is missing; give a suite folder"):
        open_suite(tmp_path / "nowhere")
    with pytest.raises(InputError, match="cases is 0"):
        open_suite("sprites-v1", cases=0)
