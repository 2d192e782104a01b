"""TAP-Vid's pickles: points come back, code does not run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from flashbench.cases.scenes import sprites_suite
from flashbench.cases.schema import Suite
from flashbench.errors import InputError
from flashbench.layouts import tapvid
from flashbench.layouts.clips import Form, suite_of

BOXES = Form(condition="boxes")


@pytest.fixture(scope="module")
def suite() -> Suite:
    return sprites_suite(2, 64, 13)


@pytest.fixture
def path(suite: Suite, tmp_path: Path) -> Path:
    tapvid.write(suite, tmp_path / "tapvid.pkl")
    return tmp_path / "tapvid.pkl"


def test_a_round_trip(suite: Suite, path: Path) -> None:
    found = suite_of(tapvid.read(path), BOXES)
    for i in suite.case_ids:
        ours, theirs = found.load_case(i), suite.load_case(i)
        truth = np.concatenate([o.points for o in theirs.objects if o.points is not None])
        seen = np.concatenate([o.point_visible for o in theirs.objects if o.point_visible is not None])
        (scene,) = ours.objects
        assert scene.points is not None and scene.point_visible is not None
        assert scene.points == pytest.approx(truth[seen[:, 0]], abs=1e-4)
        assert np.array_equal(scene.point_visible, seen[seen[:, 0]])
        assert np.array_equal(found.load_reference(i), suite.load_reference(i))


def test_a_list_of_jpegs(suite: Suite, tmp_path: Path) -> None:
    video = suite.load_reference("1-0000")
    jpegs = [cv2.imencode(".jpg", np.ascontiguousarray(f[..., ::-1]))[1].tobytes() for f in video]
    clip = {"video": jpegs, "points": np.full((1, 13, 2), 0.5), "occluded": np.zeros((1, 13), bool)}
    (tmp_path / "shard.pkl").write_bytes(pickle.dumps([clip]))
    found = suite_of(tapvid.read(tmp_path / "shard.pkl"), BOXES)
    assert found.case_ids == ("00000",) and found.load_case("00000").objects[0].points == pytest.approx(31.5)
    assert np.abs(found.load_reference("00000").astype(int) - video).mean() < 8


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"a": Evil(tmp_path / "made")}))
    with pytest.raises(InputError, match="is no pickle of arrays .*mkdir, which may run code"):
        tapvid.read(tmp_path / "evil.pkl")
    assert not (tmp_path / "made").exists()


UNLIKE = {"video": np.zeros((3, 4, 4, 3), np.uint8), "points": np.zeros((2, 3, 2)), "occluded": np.zeros((2, 4))}


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ({}, "holds no clips"),
        ([1], "holds no clips"),
        ({"a": {"video": 3}}, "lacks video, points or occluded"),
        ({"a": UNLIKE}, "do not fit"),
    ],
)
def test_other_pickles(tmp_path: Path, held: object, says: str) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(held))
    with pytest.raises(InputError, match=says):
        suite_of(tapvid.read(tmp_path / "x.pkl"), BOXES).load_case("a")


def test_damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="is no pickle of arrays"):
        tapvid.read(path)
