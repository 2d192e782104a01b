"""Models by name: built in, from packages, unknown, colliding, broken."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flashbench.cases.schema import Case, Suite
from flashbench.errors import InputError
from flashbench.models import registry
from flashbench.models.protocol import VideoModel, checked_video

PLUGIN = """
import numpy as np

class Grey:
    name, fingerprint, info = "grey", "1", {"parameters": 0}

    def __init__(self, suite):
        self.suite = suite

    def generate(self, case, seed):
        return np.full((case.frames, *case.size, 3), 128, np.uint8)

def not_a_model(suite):
    return object()

constant = 3
"""


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the package `plugin` importable and replaces the installed entry points."""
    (tmp_path / "plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "plugin", raising=False)

    def replace(*offers: tuple[str, str]) -> None:
        points = [EntryPoint(name, value, registry.GROUP) for name, value in offers]
        monkeypatch.setattr(registry, "entry_points", lambda group: points)

    return replace


@pytest.mark.parametrize("name", registry.BUILT_IN)
def test_controls_are_models(name: str, suite: Suite) -> None:
    model = registry.create_model(name, suite)
    assert isinstance(model, VideoModel)
    assert (model.name, len(model.fingerprint)) == (name, 64)
    case = suite.load_case(suite.case_ids[1])
    video = checked_video(model.generate(case.asked(), 0), case, name)
    assert np.array_equal(video[0], case.first_frame)
    assert np.array_equal(video, model.generate(case.asked(), 0))


def test_fingerprints_differ(suite: Suite) -> None:
    assert len({registry.create_model(name, suite).fingerprint for name in registry.BUILT_IN}) == 4


def test_a_package_offers_a_model(offer: Any, suite: Suite) -> None:
    offer(("grey", "plugin:Grey"), ("other", "plugin_that_is_missing:Other"))
    assert registry.model_names() == ["reference", "static", "cutout", "shuffled", "grey", "other"]
    assert "plugin" not in sys.modules
    model = registry.create_model("grey", suite)
    assert model.generate(suite.load_case("1-0000"), 0).shape == (13, 48, 48, 3)


def test_a_package_is_never_given_the_truth(offer: Any, suite: Suite) -> None:
    offer(("grey", "plugin:Grey"))
    seen = registry.create_model("grey", suite).suite  # type: ignore[attr-defined]
    case, whole = seen.load_case("2-0000"), suite.load_case("2-0000")
    assert seen.root is None and case.meta == {} and case.objects[0].points is None
    assert np.array_equal(case.objects[0].boxes, whole.objects[0].boxes)
    with pytest.raises(InputError, match="case '2-0000': a model is never given the reference video"):
        seen.load_reference("2-0000")
    assert seen.content_sha256 == suite.content_sha256 and seen.case_ids == suite.case_ids


def test_the_same_offer_found_twice_is_one(offer: Any, suite: Suite) -> None:
    offer(("grey", "plugin:Grey"), ("grey", "plugin:Grey"))
    assert registry.create_model("grey", suite).name == "grey"


@pytest.mark.parametrize(
    "name, line",
    [
        ("refrence", "model 'refrence': is unknown; did you mean 'reference'[?] known: reference, static, cutout"),
        ("gray", "did you mean 'grey'[?]"),
        ("zebra", "model 'zebra': is unknown; known: reference, static, cutout, shuffled, .*, videos:FOLDER"),
        ("gone", "model 'gone': .* cannot be imported: No module named 'gone'; install what it needs"),
        ("part", "cannot be imported: module 'plugin' has no attribute 'Missing'"),
        ("constant", "is a int; give a function"),
        ("object", r"plugin:not_a_model returned object, which is not a VideoModel; give it name, fingerprint"),
    ],
)
def test_models_that_cannot_be_made(offer: Any, suite: Suite, name: str, line: str) -> None:
    offer(
        ("grey", "plugin:Grey"),
        ("gone", "gone:Gone"),
        ("part", "plugin:Missing"),
        ("constant", "plugin:constant"),
        ("object", "plugin:not_a_model"),
    )
    with pytest.raises(InputError, match=line) as error:
        registry.create_model(name, suite)
    assert "\n" not in str(error.value)


def test_two_packages_with_one_name(offer: Any, suite: Suite) -> None:
    offer(("grey", "plugin:Grey"), ("grey", "plugin:not_a_model"))
    with pytest.raises(InputError, match=r"'grey': is offered twice: by .*plugin:Grey.* and by .*; rename one"):
        registry.create_model("grey", suite)


@pytest.mark.parametrize("name", ["static", "videos:x"])
def test_a_package_may_not_take_a_name_of_ours(offer: Any, suite: Suite, name: str) -> None:
    offer((name, "plugin:Grey"))
    with pytest.raises(InputError, match="but the name belongs to flashbench itself"):
        registry.model_names()


@pytest.mark.parametrize(
    "video, got",
    [
        (np.zeros((12, 48, 48, 3), np.uint8), r"uint8 \(12, 48, 48, 3\)"),
        (np.zeros((13, 48, 64, 3), np.uint8), r"uint8 \(13, 48, 64, 3\)"),
        (np.zeros((13, 48, 48, 3)), "float64"),
        (None, "NoneType"),
    ],
)
def test_a_video_that_was_not_asked_for(suite: Suite, video: object, got: str) -> None:
    case: Case = suite.load_case("1-0000")
    line = rf"model 'm': case '1-0000': the video is {got}.*, asked was uint8 \(13, 48, 48, 3\); return uint8"
    with pytest.raises(InputError, match=line):
        checked_video(video, case, "m")
