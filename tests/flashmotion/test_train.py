"""From a stage's name to shipped weights: the four stages in turn, on toy networks."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanAttention, WanAttnProcessor
from torch import Tensor

from flashbench.errors import InputError
from flashbench.files.atomic import folder_lock
from flashmotion import device, weights
from flashmotion.networks.attention import RowsProcessor
from flashmotion.networks.codec import PatchCodec
from flashmotion.networks.residual import ResidualGenerator
from flashmotion.presets.schema import Preset, Schedule
from flashmotion.train import STAGES, Options, _warm, make_stage, train, with_schedule
from flashmotion.training import data, fit, trainer

CHAIN = {
    "base": "slow-generator", "slow-adapter": "slow-adapter", "fast-generator": "fast-generator",
    "fast-adapter": "fast-adapter",
}  # fmt: skip


@pytest.fixture
def tiny(toy: Preset, shelf: Path, codec: PatchCodec, monkeypatch: pytest.MonkeyPatch) -> Preset:
    """Two steps a stage, the codec on the shelf, random text states."""
    short = {
        k: dataclasses.replace(getattr(toy, k), steps=2)
        for k in ("base", "slow_adapter", "fast_generator", "fast_adapter")
    }

    def states(preset: Preset, cache: Path, split: str = "train", count: int | None = None) -> Tensor:
        n = preset.scenes if count is None else count
        return torch.randn(n + 1, preset.text_length, 384, generator=torch.Generator().manual_seed(n)).half()

    monkeypatch.setattr(data, "text_states", states)
    monkeypatch.setattr(trainer, "curve", lambda folder: None)
    weights.export(codec, "toy", "codec", {"command": "by hand"}, torch.float32)
    return dataclasses.replace(toy, **short)  # type: ignore[arg-type]


def options(folder: Path, **more: object) -> Options:
    return Options(folder, dtype="fp32", workers=0, **more)  # type: ignore[arg-type]


def manifest(part: str) -> dict[str, object]:
    return dict(json.loads((weights.folder("toy", part) / "manifest.json").read_text()))


def test_the_stages_in_turn(tiny: Preset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for stage, part in CHAIN.items():
        train(stage, tiny, options(tmp_path))
        made = manifest(part)
        assert made["command"] == f"flashmotion train {stage} --preset toy --seed 0 --steps 2 --dtype fp32"
        assert (made["steps"], made["of"], made["complete"], made["batch"]) == (2, 2, True, 2)
        assert made["precision"] == "torch.float32" and made["dtype"] == "bfloat16" and made["validation"]
        assert (tmp_path / "toy" / stage / "checkpoint.pt").exists()
        assert f"{stage}: float32 on 1 threads" in capsys.readouterr().err


@pytest.mark.parametrize("rows", [True, False])
def test_attention_of_every_network_is_the_faster_one(
    tiny: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: bool
) -> None:
    for stage in ("base", "slow-adapter"):
        train(stage, tiny, options(tmp_path))
    used = list[type]()

    def run(self: trainer.Trainer, batches: object, minutes: float | None) -> bool:
        nets = device.networks(vars(self.stage))
        used.extend(type(m.processor) for net in nets for m in net.modules() if isinstance(m, WanAttention))
        return True

    monkeypatch.setattr("flashmotion.train.suits", lambda dtype, where: rows)
    monkeypatch.setattr(trainer.Trainer, "run", run)
    monkeypatch.setattr(trainer.Trainer, "validate", lambda self: None)
    monkeypatch.setattr("flashmotion.train._last_validation", lambda folder: {})
    train("dmd", tiny, options(tmp_path))
    assert set(used) == {RowsProcessor if rows else WanAttnProcessor}
    assert len(used) > 6 * tiny.layers  # generators and adapters of the teacher, the student and the fake score


COMPARED = {
    "gan-only": {"gan-only-adapter"}, "fixed-lambda": {"fixed-lambda-adapter"}, "dmd": {"dmd-generator", "dmd-adapter"},
    "diffusion-only": {"diffusion-only-adapter"}, "slow-tuned": {"slow-tuned-adapter"},
    "lcm": {"lcm-generator", "lcm-adapter"},
}  # fmt: skip


@pytest.mark.parametrize("adapter", ["controlnet", "resnet"])
def test_what_the_stages_are_compared_with(
    tiny: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adapter: str
) -> None:
    """Each with as many adapter updates as stage 3, exported to a folder of its own."""
    preset = dataclasses.replace(tiny, adapter=adapter, heads_updates=2)
    for stage in CHAIN:
        train(stage, preset, options(tmp_path))
    end = "" if adapter == "controlnet" else "-resnet"
    assert set(CHAIN) | set(COMPARED) | {"codec"} == set(STAGES)
    monkeypatch.setenv(weights.ELSEWHERE, str(tmp_path / "elsewhere"))
    for stage, parts in COMPARED.items():
        train(stage, preset, options(tmp_path))
        updates = {"gan-only": 2, "fixed-lambda": 2, "dmd": 2}.get(stage, 1)  # of two steps, every second updates
        for part in parts:
            made = manifest(part + end)
            assert made["steps"] == made["of"] == updates
            steps = f" --steps {updates}" if STAGES[stage][2] else ""
            adapter = " --adapter resnet" if end else ""
            command = f"flashmotion train {stage} --preset toy --seed 0{adapter}{steps} --dtype fp32"
            assert made["command"] == command
            assert (tmp_path / "elsewhere" / "toy" / (part + end) / weights.FILE).exists()
            assert not (weights.ROOT / "toy" / (part + end)).exists()
        assert (tmp_path / "toy" / (stage + end) / "checkpoint.pt").exists()


def test_the_data_of_stage_3_and_of_what_it_is_compared_with_are_the_same(
    tiny: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in CHAIN:
        train(stage, tiny, options(tmp_path))
    seeds = {}
    scenes = data.Scenes

    def seen(preset: Preset, text: Tensor, batch: int, seed: int, *more: object) -> data.Scenes:
        seeds[len(seeds)] = seed
        return scenes(preset, text, batch, seed, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(data, "Scenes", seen)
    for stage in ("fast-adapter", *COMPARED):
        train(stage, tiny, options(tmp_path, run=f"again-{stage}"))
    assert len(set(seeds.values())) == 1 and len(seeds) == 7


def test_the_command_says_what_differs_from_the_preset(tiny: Preset, tmp_path: Path) -> None:
    train("base", dataclasses.replace(tiny, text_dropout=0.2, few_steps=(1.0, 0.5)), options(tmp_path, seed=3))
    command = "flashmotion train base --preset toy --seed 3 --set text_dropout=0.2 --set few_steps=[1.0,0.5]"
    assert manifest("slow-generator")["command"] == f"{command} --steps 2 --dtype fp32"


def test_a_stage_that_comes_too_early_names_what_is_missing(tiny: Preset, tmp_path: Path) -> None:
    for stage in ("slow-adapter", "fast-generator", "fast-adapter"):
        with pytest.raises(InputError, match="slow-generator: weights are missing"):
            train(stage, tiny, options(tmp_path))


def test_a_complete_stage_exports_the_same_again(tiny: Preset, tmp_path: Path) -> None:
    train("base", tiny, options(tmp_path))
    before = manifest("slow-generator")["sha256"]
    train("base", tiny, options(tmp_path))
    assert manifest("slow-generator")["sha256"] == before


def test_a_warm_start_goes_on_from_exported_weights(tiny: Preset, tmp_path: Path) -> None:
    """Bit for bit, its ancestors written down; without --warm the same seed starts anew."""
    train("base", tiny, options(tmp_path / "a"))
    first = manifest("slow-generator")
    parent = weights.load(ResidualGenerator, "toy", "slow-generator").state_dict()
    still = dataclasses.replace(tiny, base=dataclasses.replace(tiny.base, steps=1, lr=0.0, muon_lr=1e-12))
    train("base", still, options(tmp_path / "b", warm=True))
    made = manifest("slow-generator")
    assert made["command"] == "flashmotion train base --preset toy --seed 0 --steps 1 --dtype fp32 --warm"
    assert made["warm_from"] == {k: first[k] for k in ("sha256", "command", "steps")}
    for name, value in weights.load(ResidualGenerator, "toy", "slow-generator").state_dict().items():
        torch.testing.assert_close(value, parent[name], rtol=1e-2, atol=1e-6)
    train("base", still, options(tmp_path / "c", warm=True))
    assert manifest("slow-generator")["warm_from"] == {k: made[k] for k in ("sha256", "command", "steps", "warm_from")}
    train("base", still, options(tmp_path / "d"))
    anew = weights.load(ResidualGenerator, "toy", "slow-generator").state_dict()
    assert "warm_from" not in manifest("slow-generator")
    assert not torch.allclose(anew["patch_embedding.weight"], parent["patch_embedding.weight"], rtol=1e-2, atol=1e-3)


def test_a_warm_start_from_fewer_outputs_keeps_the_new_ones_as_made(tiny: Preset, tmp_path: Path) -> None:
    train("base", tiny, options(tmp_path / "a"))
    config = dict(weights.load(ResidualGenerator, "toy", "slow-generator").config)
    own = {k: v for k, v in config.items() if not k.startswith("_")}
    older = ResidualGenerator(**{**own, "out_channels": tiny.channels})
    with torch.no_grad():
        for value in older.parameters():
            value.fill_(0.5)
    weights.export(older, "toy", "slow-generator", {"command": "by hand", "steps": 1})
    stage = make_stage("base", tiny, weights.load(PatchCodec, "toy", "codec"), torch.float32, torch.zeros(5, 6, 384))
    _warm(stage, tiny)
    weight = stage.generator.proj_out.weight
    assert (weight[: tiny.channels] == 0.5).all() and not weight[tiny.channels :].any()


def test_stopped_by_time_it_goes_on_with_the_next_batch(
    tiny: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the result is the one of a run in one piece: data, noise, schedule."""
    train("base", tiny, options(tmp_path / "whole"))
    whole = manifest("slow-generator")
    train("base", tiny, options(tmp_path / "halves", minutes=0))
    assert (manifest("slow-generator")["steps"], manifest("slow-generator")["complete"]) == (1, False)
    train("base", tiny, options(tmp_path / "halves"))
    assert manifest("slow-generator")["sha256"] == whole["sha256"]


def test_the_base_sees_masks_and_the_slow_adapter_masks_before_boxes(
    tiny: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}
    original = data.Scenes

    def watch(*args: object) -> data.Scenes:
        seen[len(seen)] = args
        return original(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(data, "Scenes", watch)
    longer = dataclasses.replace(tiny, slow_adapter=dataclasses.replace(tiny.slow_adapter, steps=4))
    train("base", longer, options(tmp_path))
    train("slow-adapter", longer, options(tmp_path))
    (_, _, batch, seed, boxes_from, first), (_, _, _, other_seed, adapter_boxes_from, _) = seen.values()
    assert (batch, boxes_from, first) == (2, tiny.base.steps, 0)
    assert adapter_boxes_from == int(4 * tiny.mask_share) == 1
    assert seed != other_seed  # stages see other scenes in other order


def quick(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Measuring takes three steps, and says that the time is enough for `steps`."""
    monkeypatch.setattr(fit, "WARM", 1)
    monkeypatch.setattr(fit, "TIMED", 2)
    monkeypatch.setattr(fit, "steps", lambda speed, seconds: steps)


def lengthened(preset: Preset, stage: str, steps: int) -> Preset:
    return with_schedule(preset, stage, steps=steps)


def test_a_fitted_run_is_one_of_that_many_steps(tiny: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit: measuring leaves no trace. Masks and boxes follow the real length."""
    quick(monkeypatch, 5)
    seen, original = [], data.Scenes
    monkeypatch.setattr(data, "Scenes", lambda *args: seen.append(args[4]) or original(*args))
    for stage, part in (("base", "slow-generator"), ("slow-adapter", "slow-adapter")):
        train(stage, lengthened(tiny, stage, 5), options(tmp_path / "steps"))
        expected = manifest(part)
        train(stage, tiny, options(tmp_path / "fit", fit=1.0))
        made = manifest(part)
        assert made["sha256"] == expected["sha256"] and (made["steps"], made["of"]) == (5, 5)
        assert made["command"] == f"flashmotion train {stage} --preset toy --seed 0 --steps 5 --dtype fp32"
        assert made["validation"]["step"] == 5  # type: ignore[index]
        config = json.loads((tmp_path / "fit" / "toy" / stage / "config.json").read_text())
        assert config["fit"] == {"minutes": 1.0, "steps": 5}
        assert config["preset"][stage.replace("-", "_")]["steps"] == 5
    assert seen == [5, tiny.base.steps, 5, 2, 0, 2] and int(5 * tiny.mask_share) == 2


def test_a_fitted_run_keeps_its_length(tiny: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch, 5)
    train("base", tiny, options(tmp_path / "whole", fit=1.0))
    whole = manifest("slow-generator")
    train("base", tiny, options(tmp_path, fit=1.0, minutes=0))
    assert (manifest("slow-generator")["steps"], manifest("slow-generator")["of"]) == (1, 5)
    quick(monkeypatch, 99)  # a faster machine
    train("base", tiny, options(tmp_path, fit=1.0))
    assert manifest("slow-generator")["sha256"] == whole["sha256"] and manifest("slow-generator")["of"] == 5
    with pytest.raises(InputError, match="was begun with --fit; give it again"):
        train("base", tiny, options(tmp_path))
    train("base", tiny, options(tmp_path, run="other"))
    with pytest.raises(InputError, match="was begun without --fit; leave --fit out"):
        train("base", tiny, options(tmp_path, run="other", fit=1.0))


def test_too_little_time(tiny: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "WARM", 1)
    monkeypatch.setattr(fit, "TIMED", 2)
    with pytest.raises(InputError, match="--fit: leaves time for 0 steps of .* s; give more minutes"):
        train("base", tiny, options(tmp_path, fit=1e-6))
    assert not (tmp_path / "toy" / "base" / "checkpoint.pt").exists()


def test_out_of_a_pool_it_is_the_same(tiny: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where noise may be drawn on the device, which is the CPU here; and in pieces."""
    for stage, part in (("base", "slow-generator"), ("slow-adapter", "slow-adapter")):
        train(stage, tiny, options(tmp_path / "rendered"))
        expected = manifest(part)["sha256"]
        train(stage, tiny, options(tmp_path / "pool", pool=True, noise="device", minutes=0))
        assert manifest(part)["steps"] == 1
        train(stage, tiny, options(tmp_path / "pool", pool=True, noise="device"))
        assert manifest(part)["sha256"] == expected and manifest(part)["steps"] == 2
        assert str(manifest(part)["command"]).endswith(" --noise device")


def test_without_cuda(tiny: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="--device: CUDA is not available"):
        train("base", tiny, options(tmp_path, device="cuda", pool=True))
    assert not list(tmp_path.glob("**/pool-*"))
    train("base", tiny, options(tmp_path, device="auto"))
    assert "device" not in manifest("slow-generator")


def test_another_batch_is_written_down(tiny: Preset, tmp_path: Path) -> None:
    train("base", with_schedule(tiny, "base", batch=3), options(tmp_path))
    made = manifest("slow-generator")
    command = "flashmotion train base --preset toy --seed 0 --steps 2 --batch 3 --dtype fp32"
    assert made["batch"] == 3 and made["command"] == command


def test_two_trainers_on_one_folder(tiny: Preset, tmp_path: Path) -> None:
    with folder_lock(tmp_path / "toy" / "base"), pytest.raises(InputError, match="in use by another process"):
        train("base", tiny, options(tmp_path))
    assert not (tmp_path / "toy" / "base" / "checkpoint.pt").exists()


def test_a_checkpoint_of_another_preset(tiny: Preset, tmp_path: Path) -> None:
    train("base", tiny, options(tmp_path))
    path = tmp_path / "toy" / "base" / "checkpoint.pt"
    before = path.read_bytes()
    with pytest.raises(InputError, match="checkpoint.pt: belongs to another preset or stage"):
        train("base", dataclasses.replace(tiny, ffn=48), options(tmp_path))
    assert path.read_bytes() == before


def test_seeds_differ(tiny: Preset, tmp_path: Path) -> None:
    hashes = set()
    for seed in (0, 1):
        train("base", tiny, options(tmp_path / str(seed), seed=seed))
        hashes.add(manifest("slow-generator")["sha256"])
    assert len(hashes) == 2


def test_the_codec_is_fitted_and_measured(tiny: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flashmotion.stages import codec as stage

    fit, psnr = stage.fit, stage.reconstruction_psnr
    small = dataclasses.replace(tiny, patch=4, frames=33)
    monkeypatch.setattr(stage, "fit", lambda p: fit(p, 3))
    monkeypatch.setattr(stage, "reconstruction_psnr", lambda c, p, n: psnr(c, p, 2))
    train("codec", small, options(tmp_path))
    made = manifest("codec")
    assert made["dtype"] == "float32" and made["command"] == "flashmotion train codec --preset toy"
    assert made["validation"]["psnr_test"] > 15  # type: ignore[index]
    assert weights.load(PatchCodec, "toy", "codec").config.patch == 4


def test_unknown_stage(tiny: Preset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown stage 'gan'; choose one of codec, base"):
        train("gan", tiny, options(tmp_path))


def test_schedules_of_the_preset_are_sane() -> None:
    from flashmotion.presets.nano import NANO

    for stage in CHAIN:
        s = getattr(NANO, stage.replace("-", "_"))
        assert isinstance(s, Schedule) and s.steps > 0 and s.batch > 0 and 0 < s.lr < 1e-2 and 0 < s.hold < 1
        assert s.warmup < s.hold * s.steps
    assert NANO.heads * NANO.head_dim % 2 == 0 and NANO.size % NANO.patch == 0 and NANO.frames % 4 == 1
    assert NANO.few_steps[0] == 1 and list(NANO.few_steps) == sorted(NANO.few_steps, reverse=True)
