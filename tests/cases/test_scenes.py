"""The suite `sprites-v1`: the same to the pixel everywhere, balanced, its splits apart."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flashbench.cases.content import suite_sha256
from flashbench.cases.scenes import DEFAULT_CONDITION, sprites_suite
from flashbench.cases.schema import STRATA, Suite
from flashbench.cases.suites import open_suite
from flashbench.errors import InputError

QUICK = 6  # cases of the runs with other CPU features


@pytest.fixture(scope="module")
def recorded(golden: Path) -> dict[str, Any]:
    return dict(json.loads((golden / "sprites_v1.json").read_text()))


@pytest.fixture(scope="module")
def suite() -> Suite:
    """The standard suite asked with boxes, every case kept, so that it is rendered once."""
    suite = open_suite("sprites-v1", condition="boxes")
    kept = {i: (suite.load_case(i), suite.load_reference(i)) for i in suite.case_ids}
    return dataclasses.replace(suite, load_case=lambda i: kept[i][0], load_reference=lambda i: kept[i][1])


def test_golden_hash_of_the_boxes_suite(recorded: dict[str, Any], suite: Suite) -> None:
    """Anew with `python tests/golden/make_sprites_v1.py`, where the world is meant to change."""
    assert suite.case_hashes == recorded["cases"]
    assert suite.content_sha256 == recorded["content_sha256"]["boxes"] == suite_sha256(recorded["cases"].values())


def test_golden_hash_of_the_masks_suite(recorded: dict[str, Any], suite: Suite) -> None:
    cases = [dataclasses.replace(suite.load_case(i), condition="masks") for i in suite.case_ids]
    hashes = [c.sha256(suite.load_reference(c.id)) for c in cases]
    assert suite_sha256(hashes) == recorded["content_sha256"]["masks"]
    assert list(open_suite("sprites-v1", cases=2, condition="masks").case_hashes.values()) == hashes[:2]


def test_the_standard_suite_is_asked_with_masks(recorded: dict[str, Any]) -> None:
    assert open_suite("sprites-v1", cases=1).condition == DEFAULT_CONDITION == "masks"
    assert set(recorded["content_sha256"]) == {"boxes", "masks"}


CHILD = """
import sys
import numpy as np
from flashbench.cases.suites import open_suite
try:
    from numpy._core import _multiarray_umath as umath
except ImportError:
    from numpy.core import _multiarray_umath as umath
on = [f for f in umath.__cpu_dispatch__ if umath.__cpu_features__[f]]
suite = open_suite("sprites-v1", cases=int(sys.argv[1]), condition="boxes")
print(" ".join(["features", *on]), suite.content_sha256, sep="\\n")
"""


def _elsewhere(cases: int, **environment: str) -> tuple[list[str], str]:
    """Dispatched NumPy features that are on, and the hash, in a process with another environment."""
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD, str(cases)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    return out[0].split()[1:], out[1]


def _dispatched() -> list[str]:
    """What this NumPy has beyond its baseline and this CPU can do: what can be switched off."""
    try:
        from numpy._core import _multiarray_umath as umath
    except ImportError:  # NumPy 1
        from numpy.core import _multiarray_umath as umath  # type: ignore[no-redef]
    return [f for f in umath.__cpu_dispatch__ if umath.__cpu_features__[f]]


NO_OPENCV = "AVX512_ICL,AVX512_CLX,AVX512_CNL,AVX512_SKX,AVX_512F,AVX2,AVX,FMA3,FP16,SSE4.2,SSE4.1"
OTHER_CPUS = {
    "no AVX2, AVX-512 or FMA": {"NPY_DISABLE_CPU_FEATURES": "all"},
    "no AVX-512": {"NPY_DISABLE_CPU_FEATURES": "512"},
    "OpenCV without AVX": {"OPENCV_CPU_DISABLE": NO_OPENCV},
    "BLAS for Nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
    "BLAS for Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "BLAS for Zen": {"OPENBLAS_CORETYPE": "Zen"},
    "BLAS on 1 thread": {"OPENBLAS_NUM_THREADS": "1"},
    "BLAS on 3 threads": {"OPENBLAS_NUM_THREADS": "3"},
}


def _environment(name: str) -> dict[str, str]:
    chosen = dict(OTHER_CPUS[name])
    switch = chosen.get("NPY_DISABLE_CPU_FEATURES")
    if switch is not None:
        off = [f for f in _dispatched() if switch == "all" or "512" in f or f == "X86_V4"]
        chosen["NPY_DISABLE_CPU_FEATURES"] = ",".join(off)
    return chosen


@pytest.mark.parametrize("name", OTHER_CPUS)
def test_the_same_pixels_on_other_cpus(name: str, recorded: dict[str, Any]) -> None:
    chosen = _environment(name)
    on, found = _elsewhere(QUICK, **chosen)
    assert not set(on) & set(chosen.get("NPY_DISABLE_CPU_FEATURES", "").split(","))
    assert found == suite_sha256(list(recorded["cases"].values())[:QUICK])


def test_the_whole_suite_on_the_plainest_cpu(recorded: dict[str, Any]) -> None:
    plain = {"OPENCV_CPU_DISABLE": NO_OPENCV, "OPENBLAS_CORETYPE": "Nehalem", "OPENBLAS_NUM_THREADS": "1"}
    on, found = _elsewhere(len(recorded["cases"]), **plain, **_environment("no AVX2, AVX-512 or FMA"))
    assert on == [] and found == recorded["content_sha256"]["boxes"]


def test_strata_are_equal_and_stay_so_for_the_first_cases(suite: Suite) -> None:
    def counts(s: Suite) -> list[int]:
        strata = [s.load_case(i).stratum for i in s.case_ids]
        return [strata.count(x) for x in STRATA]

    assert counts(suite) == [8] * 6 and counts(dataclasses.replace(suite, case_ids=suite.case_ids[:12])) == [2] * 6
    assert open_suite("sprites-v1", cases=12).case_ids == suite.case_ids[:12]


def test_more_cases_leave_the_first_ones_as_they_are(suite: Suite) -> None:
    few, many = sprites_suite(3, 48, 9), sprites_suite(200, 48, 9)
    assert many.case_ids[:3] == few.case_ids and len(many) == 200
    for i in few.case_ids:
        assert np.array_equal(few.load_reference(i), many.load_reference(i))


def test_splits_share_nothing() -> None:
    """No object, no photograph, no picture of either."""
    names: dict[str, set[str]] = {}
    pixels: dict[str, set[str]] = {}
    for split in ("train", "test"):
        s = sprites_suite(30, 32, 9, split=split)
        cases = [s.load_case(i) for i in s.case_ids]
        names[split] = {o.name for c in cases for o in c.objects} | {c.meta["background"] for c in cases}
        pixels[split] = {hashlib.sha256(c.first_frame.tobytes()).hexdigest() for c in cases}
        assert all(c.meta["split"] == split for c in cases)
    assert not names["train"] & names["test"] and not pixels["train"] & pixels["test"]
    assert sprites_suite(1, 32, 9, split="train").name == "sprites-v1-train"


def test_another_seed_gives_other_scenes_of_the_same_kind() -> None:
    a, b = (sprites_suite(6, 32, 9, seed=k) for k in (0, 1))
    assert a.case_ids == b.case_ids and not set(a.case_hashes.values()) & set(b.case_hashes.values())
    assert [a.load_case(i).stratum for i in a.case_ids] == [b.load_case(i).stratum for i in b.case_ids]


def test_the_condition_changes_what_is_asked_and_nothing_else() -> None:
    boxes, masks = (sprites_suite(2, 32, 9, condition=c) for c in ("boxes", "masks"))  # type: ignore[arg-type]
    for i in boxes.case_ids:
        assert np.array_equal(boxes.load_reference(i), masks.load_reference(i))
        assert all(o.masks is not None and len(o.masks) == 1 for o in boxes.load_case(i).asked().objects)
        assert all(o.masks is not None and len(o.masks) == 9 for o in masks.load_case(i).asked().objects)


def test_every_object_is_seen_on_frame_0(suite: Suite) -> None:
    for i in suite.case_ids:
        for o in suite.load_case(i).objects:
            assert o.visible[0] and o.masks is not None
            area = o.masks[0].sum()
            assert area >= 30 and area >= 0.2 * np.prod(o.boxes[0, 2:] - o.boxes[0, :2]), (i, o.name)


def test_masks_lie_in_their_boxes(suite: Suite) -> None:
    for i in suite.case_ids[::5]:
        for o in suite.load_case(i).objects:
            assert o.masks is not None
            frame, ys, xs = np.nonzero(o.masks)
            box = o.boxes[frame]
            assert (xs >= box[:, 0]).all() and (xs <= box[:, 2]).all()
            assert (ys >= box[:, 1]).all() and (ys <= box[:, 3]).all()


def test_the_ones_that_leave_are_gone_for_a_while_and_come_back(suite: Suite) -> None:
    seen = 0
    for i in suite.case_ids:
        case = suite.load_case(i)
        for o, family in zip(case.objects, case.meta["families"], strict=True):
            if family == "exit-and-return":
                assert (~o.visible).sum() >= 8 and o.visible[0] and o.visible[-10:].any()
                seen += 1
    assert seen >= 4


def test_some_objects_are_hidden_by_others(suite: Suite) -> None:
    """Occlusion is in the suite: visible points of an object that is in the frame fall away and come back."""
    hidden = 0
    for i in suite.case_ids:
        case = suite.load_case(i)
        for o, family in zip(case.objects, case.meta["families"], strict=True):
            if family != "exit-and-return":
                assert o.point_visible is not None
                share = o.point_visible.mean(0)
                hidden += bool(share.min() < 0.5 and share[int(share.argmin()) :].max() > 0.8)
    assert hidden >= 10


def test_prompts_name_every_object(suite: Suite) -> None:
    for i in suite.case_ids:
        case = suite.load_case(i)
        assert all(o.name in case.prompt for o in case.objects) and case.prompt[0].isupper()
    assert len({suite.load_case(i).prompt for i in suite.case_ids}) == len(suite)


def test_first_frame_and_reference_agree(suite: Suite) -> None:
    for i in suite.case_ids[:4]:
        video = suite.load_reference(i)
        assert video.shape == (121, 64, 64, 3) and video.dtype == np.uint8
        assert np.array_equal(video[0], suite.load_case(i).first_frame)
        assert (np.abs(np.diff(video.astype(int), axis=0)).max((1, 2, 3)) > 0).all()  # no frozen frame


@pytest.mark.parametrize("field,value", [("cases", 0), ("size", 31), ("size", 1025), ("frames", 8), ("frames", 9999)])
def test_numbers_out_of_range(field: str, value: int) -> None:
    with pytest.raises(InputError, match=f"{field} is {value}; choose"):
        sprites_suite(**{field: value})  # type: ignore[arg-type]
