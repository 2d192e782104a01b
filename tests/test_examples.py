"""The examples do what they say, in under 40 lines each."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from flashbench.cases.scenes import sprites_suite
from flashbench.cases.schema import Suite
from flashbench.layouts import registry
from flashbench.layouts.clips import Form, suite_of
from flashbench.metrics.plugin import Plugin
from flashbench.metrics.values import Sample
from flashbench.models.protocol import VideoModel

EXAMPLES = ("model", "metric", "tracker", "importer")


def example(root: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", root / "examples" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def suite() -> Suite:
    return sprites_suite(2, 48, 9)


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_is_short(root: Path, name: str) -> None:
    assert len((root / "examples" / f"{name}.py").read_text().splitlines()) < 40


def test_the_model(root: Path, suite: Suite) -> None:
    model = example(root, "model").create(suite)
    case = suite.load_case(suite.case_ids[0])
    video = model.generate(case.asked(), 0)
    assert isinstance(model, VideoModel) and video.shape == (9, 48, 48, 3) and video.dtype == np.uint8
    assert np.array_equal(video[0], case.first_frame)


def test_the_metric(root: Path, suite: Suite) -> None:
    plugin = example(root, "metric").PLUGIN
    assert isinstance(plugin, Plugin)
    case = suite.load_case(suite.case_ids[0])
    video = np.zeros((9, 48, 48, 3), np.uint8)
    video[3:] = 30
    measured = plugin.make(None).measure(video, case, video)
    assert plugin.case["colour_drift"](Sample(case, {"colour": measured})) == pytest.approx(30 * 6 / 9)


def test_the_tracker(root: Path, suite: Suite) -> None:
    plugin = example(root, "tracker").PLUGIN
    case, video = suite.load_case(suite.case_ids[0]), suite.load_reference(suite.case_ids[0])
    sample = Sample(case, {"bright": plugin.make(None).measure(video, case, video)})
    assert 0 <= plugin.case["epe_bright"](sample) <= 362.1 and 0 <= plugin.case["miou_bright"](sample) <= 1


def test_the_importer(root: Path, suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = example(root, "importer").LAYOUT

    class Entry:
        name, value = "plain", "example:LAYOUT"

        def load(self) -> object:
            return layout

    monkeypatch.setattr(registry, "entry_points", lambda group: [Entry()] if group == "flashbench.layouts" else [])
    found = registry.layout("plain")
    found.write(suite, tmp_path)
    back = suite_of(found.read(tmp_path), Form(condition="boxes"))
    assert sorted(back.case_ids) == sorted(suite.case_ids)
    for i in suite.case_ids:
        np.testing.assert_allclose(back.load_case(i).objects[0].boxes, suite.load_case(i).objects[0].boxes, atol=1e-3)
