"""Measuring: one file a video and extractor, made once, checked when it is read."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from flashbench.bits import Bits
from flashbench.errors import InputError
from flashbench.files.atomic import read_npz, write_json, write_npz
from flashbench.runs.generate import generate
from flashbench.runs.layout import RunFolder
from flashbench.runs.measure import Measurer, Plan, Stored, missing, read_answer, score_case


@pytest.fixture
def run(kit: ModuleType, tmp_path: Path) -> RunFolder:
    made, _ = kit.new_run(tmp_path / "run", kit.Painter(), kit.tiny_suite())
    generate(made, kit.Painter(breaks=("c1",)), kit.tiny_suite(), 0)
    return made  # type: ignore[no-any-return]


def plan(kit: ModuleType, run: RunFolder, tmp_path: Path) -> Plan:
    return Plan(run, kit.tiny_suite(), kit.CHEAP, kit.fakes(("pixels", "i3d", "lk")), tmp_path / "cache")


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*.npz")}


def test_answer_and_reference_are_measured_once(kit: ModuleType, run: RunFolder, tmp_path: Path) -> None:
    made = plan(kit, run, tmp_path)
    first = score_case(made, "c0")
    assert {name.split("/")[0] for name in files(run.measurements)} == {"pixels", "i3d", "lk"}
    assert len(files(run.measurements)) == len(files(tmp_path / "cache")) == 3
    assert made.extractors["lk"].measured == ["c0", "c0"]  # type: ignore[attr-defined]
    again = score_case(made, "c0")
    assert made.extractors["lk"].measured == ["c0", "c0"]  # type: ignore[attr-defined]
    assert again.values == first.values
    assert np.array_equal(again.features["i3d"], first.features["i3d"])


def test_references_are_shared_by_runs(kit: ModuleType, run: RunFolder, tmp_path: Path) -> None:
    score_case(plan(kit, run, tmp_path), "c0")
    other, _ = kit.new_run(tmp_path / "other", kit.Painter(shade=3), kit.tiny_suite())
    generate(other, kit.Painter(shade=3), kit.tiny_suite(), 0)
    made = plan(kit, other, tmp_path)
    score_case(made, "c0")
    assert made.extractors["lk"].measured == ["c0"]  # type: ignore[attr-defined]


def test_a_video_equal_to_its_reference_takes_over_its_measurement(kit: ModuleType, tmp_path: Path) -> None:
    case, video = kit.tiny_case("a")
    extractor, measurer = kit.Fake("lk"), Measurer(case, video)
    first = measurer.measure(video, [extractor], tmp_path / "cache")
    second = measurer.measure(video.copy(), [extractor], tmp_path / "run", tmp_path / "cache")
    assert extractor.measured == ["a"]
    assert all(np.array_equal(first["lk"][name], second["lk"][name]) for name in first["lk"])
    assert files(tmp_path / "run") == files(tmp_path / "cache")


def test_a_measurement_is_named_by_what_made_it(kit: ModuleType, tmp_path: Path) -> None:
    case, video = kit.tiny_case("a")
    other, _ = kit.tiny_case("a", 2)
    changed = video.copy()
    changed[5, 5, 5] ^= 1
    for measured, asked, fingerprint in [
        (video, case, "1"),
        (changed, case, "1"),
        (video, other, "1"),
        (video, case, "2"),
    ]:
        Measurer(asked, video).measure(measured, [kit.Fake("lk", fingerprint)], tmp_path)
    assert len(files(tmp_path)) == 4


def test_a_video_without_answer_is_black_where_sets_are_compared(
    kit: ModuleType, run: RunFolder, tmp_path: Path
) -> None:
    scored = score_case(plan(kit, run, tmp_path), "c1")
    assert scored.failed
    assert {name.split("/")[0] for name in files(run.measurements)} == {"i3d"}
    assert np.array_equal(scored.features["i3d"], np.full((3, 40), 2.0))  # zeros + its two objects
    assert scored.values["delta_avg_lk"] == 0
    assert np.isfinite(scored.floors["delta_avg_lk"])


def test_only_what_the_metrics_need_is_measured(kit: ModuleType, run: RunFolder, tmp_path: Path) -> None:
    wanted = tuple(m for m in kit.CHEAP if m.name in ("psnr", "ssim"))
    score_case(Plan(run, kit.tiny_suite(), wanted, kit.fakes(["pixels", "i3d", "lk"]), tmp_path / "cache"), "c0")
    assert {name.split("/")[0] for name in files(run.measurements)} == {"pixels"}
    assert files(tmp_path / "cache") == set()  # neither has a floor


def test_a_damaged_or_exchanged_measurement_is_named(kit: ModuleType, run: RunFolder, tmp_path: Path) -> None:
    score_case(plan(kit, run, tmp_path), "c0")
    (path,) = (run.measurements / "lk").glob("*.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=path.name):
        score_case(plan(kit, run, tmp_path), "c0")
    path.write_bytes(whole)
    arrays = read_npz(path)
    write_npz(path, **{**arrays, "key": np.array("another")})
    with pytest.raises(InputError, match="another video's measurement; delete it"):
        score_case(plan(kit, run, tmp_path), "c0")
    path.unlink()
    score_case(plan(kit, run, tmp_path), "c0")


def test_a_video_that_was_changed_is_found(kit: ModuleType, run: RunFolder) -> None:
    case = kit.tiny_suite().load_case("c0")
    video, seconds = read_answer(run, case)
    assert video.shape == (kit.FRAMES, kit.SIDE, kit.SIDE, 3)
    assert seconds >= 0
    run.video("c0").write_bytes(run.video("c2").read_bytes())
    with pytest.raises(InputError, match=r"c0\.mkv: frames are not those .*frames_sha256"):
        read_answer(run, case)


@pytest.mark.parametrize("facts", [{}, [], {"seconds": "1"}, {"seconds": -1}])
def test_a_damaged_timing_is_found(kit: ModuleType, run: RunFolder, facts: object) -> None:
    write_json(run.timing("c0"), facts)
    with pytest.raises(InputError, match=r"c0\.json: field seconds"):
        read_answer(run, kit.tiny_suite().load_case("c0"))


def test_missing_cases_are_those_without_answer_and_failure(run: RunFolder) -> None:
    ids = ["c0", "c1", "c2", "c3"]
    assert missing(run, ids) == []
    run.failure("c1").unlink()
    run.video("c3").unlink()
    assert missing(run, ids) == ["c1", "c3"]


def test_large_masks_lie_there_as_bits(tmp_path: Path, rng: np.random.Generator) -> None:
    masks, few = rng.random((3, 7, 251, 253)) < 0.3, rng.random((3, 7)) < 0.5
    path = tmp_path / "m.npz"
    Stored.write(path, {"masks": Bits.of(masks), "visible": few, "key": np.array("k")})
    held = read_npz(path)
    assert set(held) == {"masks.bits", "masks.shape", "visible", "key"} and held["masks.bits"].nbytes < masks.size / 7.9
    stored = Stored(path)
    assert sorted(stored) == ["key", "masks", "visible"] and len(stored) == 3
    assert isinstance(stored["masks"], Bits)
    assert stored["masks"].dtype == np.bool_ and np.array_equal(stored["masks"], masks)
    assert np.array_equal(stored["visible"], few) and stored["visible"] is stored["visible"]
    assert stored["masks"] is not stored["masks"]  # they would fill the memory
    with pytest.raises(InputError, match=r"m\.npz: is a damaged npz"):
        stored["centres"]
    Stored.write(path, {"masks": Bits.of(masks[:, :1]), "key": np.array("k")})
    assert np.array_equal(read_npz(path)["masks"], masks[:, :1])  # small ones as they are


def test_features_are_left_in_their_file(tmp_path: Path, rng: np.random.Generator) -> None:
    features, path = rng.normal(size=(5, 3)).astype(np.float32), tmp_path / "m.npz"
    Stored.write(path, {"features": features, "key": np.array("k")})
    left = pickle.loads(pickle.dumps(Stored(path).left_there("features", 1)))
    assert len(left) == 4 and np.array_equal(left, features[1:]) and np.asarray(left, np.float64).dtype == np.float64
    assert np.array_equal(np.stack([left, left])[1], np.concatenate([left])) and len(pickle.dumps(left)) < 400
