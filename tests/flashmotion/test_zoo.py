"""Rows of the table as models: names, fingerprints, refusals, and that they see only what is asked."""

from __future__ import annotations

import configparser
import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import WanTransformer3DModel

from flashbench.cases.scenes import sprites_suite
from flashbench.cases.schema import Suite
from flashbench.errors import InputError
from flashbench.models.protocol import VideoModel
from flashbench.models.registry import create_model
from flashbench.runs.generate import generate
from flashbench.runs.layout import describe, open_run
from flashmotion import weights, zoo
from flashmotion.networks.adapters.controlnet import ControlNetAdapter
from flashmotion.networks.codec import PatchCodec
from flashmotion.pipeline import FlashMotionPipeline
from flashmotion.presets.nano import NANO
from flashmotion.presets.schema import Preset
from flashmotion.rows import ROWS, Row, lacking
from flashmotion.zoo import ZooModel, load_pipeline


@pytest.fixture
def suite() -> Suite:
    return sprites_suite(3, 32, 17)


@pytest.fixture
def stocked(
    shelf: Path,
    generator: WanTransformer3DModel,
    make_generator: Callable[..., WanTransformer3DModel],
    adapter: ControlNetAdapter,
    codec: PatchCodec,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """All four parts of the preset `toy` on the shelf, and two rows made of them."""
    for part, net in {
        "codec": codec, "slow-generator": generator, "fast-generator": make_generator(seed=2), "slow-adapter": adapter,
    }.items():  # fmt: skip
        weights.export(net, "toy", part, {"command": f"train {part}"}, torch.float32)
    monkeypatch.setitem(ROWS, "toy-slow", Row("slow-generator", "slow-adapter", 3, False, True, "slow", "toy"))
    monkeypatch.setitem(ROWS, "toy-few", Row("fast-generator", "slow-adapter", 4, True, False, "few", "toy"))

    def encode(self: FlashMotionPipeline, prompts: list[str]) -> torch.Tensor:
        return torch.stack([torch.full((6, 384), 0.1 * len(p)) for p in prompts])

    monkeypatch.setattr(FlashMotionPipeline, "encode_prompts", encode)
    return shelf


def test_every_row_is_an_entry_point_of_its_own_name(root: Path) -> None:
    setup = configparser.ConfigParser()
    setup.read(root / "setup.cfg")
    lines = setup["options.entry_points"]["flashbench.models"].strip().splitlines()
    entries = dict(line.replace(" ", "").split("=") for line in lines)
    assert set(entries) == set(ROWS)
    for name, target in entries.items():
        module, _, function = target.partition(":")
        assert module == "flashmotion.zoo" and function == name.replace("-", "_")


def test_which_rows_lack_weights(stocked: Path) -> None:
    said = lacking()
    assert "toy-slow" not in said and "toy-few" not in said
    assert said["lcm-4step"] == "no weights yet of lcm-generator, lcm-adapter, codec: see `flashmotion train --help`"


def test_the_rows_are_told_without_torch() -> None:
    code = (
        "import sys, flashmotion.rows as r; r.lacking(); print([m for m in ('torch', 'diffusers') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_the_factories_make_their_row(monkeypatch: pytest.MonkeyPatch, suite: Suite) -> None:
    monkeypatch.setattr(zoo, "ZooModel", lambda name, suite: (name, suite))
    for name in ROWS:
        assert getattr(zoo, name.replace("-", "_"))(suite) == (name, suite)


def test_rows_are_those_of_the_paper() -> None:
    slow, slow4, plugged, ours = (ROWS[n] for n in ("slow-50step", "slow-4step", "plugged-4step", "flashmotion-4step"))
    assert (slow.generator, slow.adapter, slow.steps, slow.few, slow.guided) == (
        "slow-generator",
        "slow-adapter",
        50,
        False,
        True,
    )
    assert (slow4.generator, slow4.adapter, slow4.steps, slow4.few) == ("slow-generator", "slow-adapter", 4, False)
    assert (plugged.generator, plugged.adapter, plugged.few) == ("fast-generator", "slow-adapter", True)
    assert (ours.generator, ours.adapter, ours.few, ours.guided) == ("fast-generator", "fast-adapter", True, False)
    assert all(r.steps == len(r.times or NANO.few_steps) for r in ROWS.values() if r.few)


def test_rows_of_other_times_are_the_target_sampled_otherwise() -> None:
    target = ROWS["flashmotion-4step"]
    sampled = {n: r for n, r in ROWS.items() if r.times}
    assert {n: len(r.times) for n, r in sampled.items()} == {
        "flashmotion-1step": 1, "flashmotion-2step": 2, "flashmotion-8step": 8, "flashmotion-shifted-4step": 4,
    }  # fmt: skip
    for row in sampled.values():
        assert row.times[0] == 1 and list(row.times) == sorted(set(row.times), reverse=True) and row.times[-1] > 0
        assert (row.generator, row.adapter, row.few) == (target.generator, target.adapter, True)
    assert sampled["flashmotion-shifted-4step"].times == pytest.approx([5 * t / (1 + 4 * t) for t in NANO.few_steps])


def test_other_times_are_sampled(stocked: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ZooModel("toy-few", suite)
    monkeypatch.setitem(ROWS, "toy-two", dataclasses.replace(ROWS["toy-few"], steps=2, times=(1.0, 0.5)))
    other = ZooModel("toy-two", suite)
    assert list(other.pipeline.config.few_steps) == [1.0, 0.5] == other.info["few_steps"]
    assert other.fingerprint != plain.fingerprint


def test_every_row_comes_with_each_adapter() -> None:
    resnet = {n for n, r in ROWS.items() if r.kind == "resnet"}
    table = {n for n, r in ROWS.items() if not r.times}
    assert {n.replace("-resnet-", "-") for n in resnet} == table - resnet and len(resnet) == len(table) // 2
    for name in resnet:
        ours, other = ROWS[name], ROWS[name.replace("-resnet-", "-")]
        assert ours.adapter == f"{other.adapter}-resnet" and ours.generator.removesuffix("-resnet") == other.generator
        assert (ours.steps, ours.few, ours.guided, ours.says) == (other.steps, other.few, other.guided, other.says)


def test_an_unknown_factory() -> None:
    with pytest.raises(AttributeError, match="no_such_row"):
        _ = zoo.no_such_row


def test_the_pipeline_of_a_row(stocked: Path, toy: object) -> None:
    slow, few = load_pipeline("toy-slow"), load_pipeline("toy-few")
    assert (slow.config.steps, slow.config.few_steps, slow.config.guidance) == (3, None, NANO.guidance)
    assert slow.config.shift == NANO.sample_shift and slow.config.text_length == 6
    assert (few.config.few_steps, few.config.guidance) == ([1.0, 0.75, 0.5, 0.25], 1.0)
    assert not slow.generator.training and not slow.adapter.training


def test_a_model_answers_what_is_asked(stocked: Path, suite: Suite) -> None:
    for name in ("toy-slow", "toy-few"):
        model = ZooModel(name, suite)
        assert isinstance(model, VideoModel) and model.name == name
        for case_id in suite.case_ids[:2]:
            case = suite.load_case(case_id).asked()
            video = model.generate(case, 0)
            assert video.shape == (17, 32, 32, 3) and video.dtype == np.uint8
            assert np.array_equal(video[0], case.first_frame)


def test_noise_is_a_hash_of_case_and_seed(stocked: Path, suite: Suite) -> None:
    model, again = ZooModel("toy-few", suite), ZooModel("toy-few", suite)
    case = suite.load_case("1-0000").asked()
    video = model.generate(case, 0)
    model.generate(suite.load_case("2-0000").asked(), 0)
    assert np.array_equal(video, model.generate(case, 0)) and np.array_equal(video, again.generate(case, 0))
    assert not np.array_equal(video, model.generate(case, 1))


def test_the_fingerprint_is_of_weights_and_settings(
    stocked: Path, suite: Suite, make_generator: Callable[..., WanTransformer3DModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ZooModel("toy-few", suite).fingerprint
    assert len(before) == 64 and before == ZooModel("toy-few", suite).fingerprint
    assert before != ZooModel("toy-slow", suite).fingerprint
    monkeypatch.setitem(ROWS, "toy-few", Row("fast-generator", "slow-adapter", 9, False, False, "few", "toy"))
    assert ZooModel("toy-few", suite).fingerprint != before
    monkeypatch.setitem(ROWS, "toy-few", Row("fast-generator", "slow-adapter", 4, True, False, "few", "toy"))
    weights.export(make_generator(seed=9), "toy", "fast-generator", {"command": "again"}, torch.float32)
    assert ZooModel("toy-few", suite).fingerprint != before


def test_the_fingerprint_knows_the_times(stocked: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    from flashmotion import presets

    before = ZooModel("toy-few", suite).fingerprint
    warped = dataclasses.replace(presets.PRESETS["toy"], few_steps=(1.0, 0.9375, 0.8333, 0.625))
    monkeypatch.setitem(presets.PRESETS, "toy", warped)
    assert ZooModel("toy-few", suite).fingerprint != before


def test_info_is_json_and_tells_what_made_it(stocked: Path, suite: Suite) -> None:
    model = ZooModel("toy-few", suite)
    info = json.loads(json.dumps(model.info))
    assert info["licence"] == "Apache-2.0" and info["steps"] == 4 and info["preset"] == "toy"
    assert set(info["weights"]) == {"fast-generator", "slow-adapter", "codec"}
    assert all(w["sha256"] and w["command"].startswith("train ") for w in info["weights"].values())
    net = model.pipeline
    assert info["parameters"] == sum(p.numel() for n in (net.generator, net.adapter) for p in n.parameters())


def test_another_condition_than_that_of_the_training_is_said(stocked: Path, toy: Preset) -> None:
    notes = {}
    for condition in ("masks", "boxes"):
        info = ZooModel("toy-few", sprites_suite(1, 32, 17, condition=condition)).info  # type: ignore[arg-type]
        assert (info["trained_with"], info["asked_with"]) == (toy.condition, condition)
        notes[condition] = info.pop("note", None)
    assert notes[toy.condition] is None
    assert sorted(map(str, notes.values())) == ["None", "toy-few was trained with boxes, not with masks"]


def test_a_suite_of_boxes_alone_is_bad_input_and_no_failure(stocked: Path, suite: Suite, tmp_path: Path) -> None:
    """Not a case without an answer, which would count as worst."""
    naked = dataclasses.replace(
        suite,
        condition="boxes",
        load_case=lambda i: dataclasses.replace(
            suite.load_case(i),
            condition="boxes",
            objects=tuple(dataclasses.replace(o, masks=None) for o in suite.load_case(i).objects),
        ),
    )
    model = ZooModel("toy-few", naked)
    run = open_run(tmp_path / "run", describe(model, naked, "naked", len(naked), 0))
    with pytest.raises(InputError, match="case '1-0000': .* no mask on frame 0, which the model needs"):
        generate(run, model, naked, 0)
    assert not run.failure("1-0000").exists()


@pytest.mark.parametrize(("size", "frames"), [(48, 17), (32, 21), (32, 16)])
def test_what_it_cannot_make_is_refused_before_anything_is_loaded(
    stocked: Path, size: int, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo, "load_pipeline", lambda name: pytest.fail("loaded"))
    with pytest.raises(InputError, match=f"toy-few.*{frames} frames of {size}x{size} px.*32x32 px and 1 \\+ 4 k"):
        ZooModel("toy-few", sprites_suite(1, size, frames))


def test_shorter_suites_are_made(stocked: Path) -> None:
    suite = sprites_suite(1, 32, 9)
    assert ZooModel("toy-few", suite).generate(suite.load_case("1-0000").asked(), 0).shape == (9, 32, 32, 3)


def test_damaged_weights_are_one_line(stocked: Path, suite: Suite) -> None:
    path = stocked / "toy" / "slow-adapter" / weights.FILE
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError) as caught:
        ZooModel("toy-few", suite)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_the_registry_finds_the_rows(suite: Suite) -> None:
    """By entry point alone; the nano models cannot make this suite's size and say so."""
    with pytest.raises(InputError, match="flashmotion-4step.*cannot make 17 frames of 32x32 px"):
        create_model("flashmotion-4step", suite)
