"""MagicData's layout: a round trip is exact with PNG maps and close with compressed ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flashbench.cases.folder import read_suite, save_suite
from flashbench.cases.scenes import sprites_suite
from flashbench.cases.schema import Suite
from flashbench.errors import InputError
from flashbench.files.png import write_png
from flashbench.files.video import read_video, write_mp4
from flashbench.layouts import magicdata
from flashbench.layouts.clips import Form, suite_of
from flashbench.metrics.regions import mask_iou


@pytest.fixture(scope="module")
def suite() -> Suite:
    return sprites_suite(6, 64, 17)


@pytest.fixture
def root(suite: Suite, tmp_path: Path) -> Path:
    magicdata.write(suite, tmp_path / "magic")
    return tmp_path / "magic"


def best_iou(found: Suite, truth: Suite, case_id: str) -> list[float]:
    """By true object: the IoU of the imported object that fits best (colours do not keep the order)."""
    ours, theirs = found.load_case(case_id), truth.load_case(case_id)
    assert len(ours.objects) == len(theirs.objects)
    return [max(float(np.mean(mask_iou(o.masks[None], t.masks[None]))) for o in ours.objects) for t in theirs.objects]  # type: ignore[index]


def test_a_round_trip_is_exact(suite: Suite, root: Path) -> None:
    found = suite_of(magicdata.read(root))
    assert found.name == "magic" and found.case_ids == suite.case_ids and found.size == (64, 64) and found.frames == 17
    for i in suite.case_ids:
        ours, theirs = found.load_case(i), suite.load_case(i)
        assert ours.prompt == theirs.prompt and ours.fps == 24
        masks = {o.masks.tobytes() for o in ours.objects if o.masks is not None}
        assert masks == {o.masks.tobytes() for o in theirs.objects if o.masks is not None}
        assert np.abs(found.load_reference(i).astype(int) - suite.load_reference(i)).mean() < 4  # an mp4


def compressed(suite: Suite, root: Path, crf: int) -> None:
    """The suite in this layout, its maps as mp4."""
    magicdata.write(suite, root)
    for i in suite.case_ids:
        folder = root / "masks" / i
        maps = read_video(folder)
        for png in folder.iterdir():
            png.unlink()
        folder.rmdir()
        write_mp4(folder.with_suffix(".mp4"), maps, 24, crf=crf)


@pytest.mark.parametrize(("crf", "objects"), [(18, 6), (28, 2)])
def test_compressed_maps_are_close(tmp_path: Path, crf: int, objects: int) -> None:
    """Colours drift and run over edges. Every object comes back, also eight small ones in hues that are close."""
    suite = sprites_suite(objects, 256, 9, seed=1)
    compressed(suite, tmp_path / "magic", crf)
    found = suite_of(magicdata.read(tmp_path / "magic"))
    iou = [best_iou(found, suite, i) for i in suite.case_ids]
    assert min(map(min, iou[:3])) > 0.95 and min(map(min, iou)) > 0.8, iou
    assert np.mean([np.mean(x) for x in iou]) > 0.95, iou


@pytest.mark.parametrize("as_mp4", [False, True])
def test_an_object_that_appears_later_is_left_out(tmp_path: Path, as_mp4: bool) -> None:
    """Nobody can point at it on a first frame; and it is nobody else's mask."""
    suite, root = sprites_suite(2, 128, 9, seed=1), tmp_path / "magic"
    magicdata.write(suite, root)
    folder = root / "masks" / "1-0000"
    maps = read_video(folder)
    free = ~maps.any(axis=(0, 3))
    maps[4:, free & (np.arange(128) < 40)] = (10, 200, 30) if as_mp4 else magicdata.COLOURS[0] - 1
    for t, frame in enumerate(maps):
        write_png(folder / magicdata.FRAME.format(t), frame)
    if as_mp4:
        for png in folder.iterdir():
            png.unlink()
        folder.rmdir()
        write_mp4(folder.with_suffix(".mp4"), maps, 24, crf=18)
    (only,) = suite_of(magicdata.read(root)).load_case("1-0000").objects
    (truth,) = suite.load_case("1-0000").objects
    assert only.masks is not None and truth.masks is not None
    assert float(np.mean(mask_iou(only.masks[None], truth.masks[None]))) > (0.9 if as_mp4 else 0.9999)


def test_boxes_alone(suite: Suite, root: Path) -> None:
    import shutil

    shutil.rmtree(root / "masks")
    found = suite_of(magicdata.read(root), Form(condition="boxes"))
    case, truth = found.load_case("1-0000"), suite.load_case("1-0000")
    error = np.abs(case.objects[0].boxes - truth.objects[0].boxes)[truth.objects[0].visible]
    assert case.objects[0].masks is None and np.median(error) <= 1
    with pytest.raises(InputError, match="has no masks; import with --condition boxes"):
        suite_of(magicdata.read(root)).load_case("1-0000")


def test_it_becomes_a_suite_folder_of_another_form(root: Path, tmp_path: Path) -> None:
    found = suite_of(magicdata.read(root), Form(size=(32, 48), frames=9))
    save_suite(found, tmp_path / "suite")
    held = read_suite(tmp_path / "suite")
    case = held.load_case("2-0000")
    assert held.size == (32, 48) and held.frames == 9 and case.meta["import"] == {"frames": 17, "size": [64, 64]}
    assert held.load_reference("2-0000").shape == (9, 32, 48, 3)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda r: (r / "MagicData.csv").unlink(), "holds no CSV"),
        (lambda r: (r / "MagicData.csv").write_text("a,b\n1,2\n"), "has no column text"),
        (lambda r: (r / "videos" / "1-0000.mp4").unlink(), "1-0000.mp4: is missing, though the CSV names it"),
        (lambda r: (r / "videos" / "1-0000.mp4").write_bytes(b"x"), "1-0000.mp4"),
        (
            lambda r: (r / "masks" / "1-0000" / "annotated_frame_00003.png").unlink(),
            "1-0000: frame 3 is missing: 4 comes after 2",
        ),
        (
            lambda r: (r / "masks" / "1-0000" / "annotated_frame_00016.png").unlink(),
            "maps are 16 frames of 64x64 px, the",
        ),
        (lambda r: (r / "MagicData.csv").write_bytes(b"text,path\n\xff,a.mp4\n"), "is not UTF-8 .byte 10.; save it"),
        (lambda r: (r / "MagicData.csv").write_text("text,path\nx\n"), "line 2: has not as many cells as the header"),
    ],
)
def test_damage_is_named(root: Path, damage, says: str) -> None:  # type: ignore[no-untyped-def]
    damage(root)
    with pytest.raises(InputError, match=says):
        suite_of(magicdata.read(root)).load_case("1-0000")
