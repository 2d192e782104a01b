"""Stage 1: the adapter learns, the generator stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from flashmotion.networks.adapters.hint import Hint
from flashmotion.networks.codec import PatchCodec
from flashmotion.presets.schema import Preset
from flashmotion.stages.slow_adapter import SlowAdapter, sample_report
from flashmotion.training.data import Batch

Hash = Callable[[nn.Module], str]


def rng(step: int) -> torch.Generator:
    return torch.Generator().manual_seed(step)


def a_hint(toy: Preset) -> Hint:
    hint = Hint(toy.channels, toy.heads * toy.head_dim)
    nn.init.normal_(hint.embedding.weight)
    return hint


@pytest.fixture
def stage(toy: Preset, codec: PatchCodec, text: Tensor, generator: WanTransformer3DModel) -> SlowAdapter:
    return SlowAdapter(toy, codec, torch.float32, text[-4:], clips=3, parts=(generator, a_hint(toy)))


def test_it_starts_from_the_hint(stage: SlowAdapter, toy: Preset) -> None:
    torch.manual_seed(0)
    hint = a_hint(toy)
    assert stage.adapter.control_embedding.weight.shape == hint.embedding.weight.shape
    assert float(stage.adapter.control_embedding.weight.std()) > 0.5  # far from a convolution's own start


def test_losses_by_name(stage: SlowAdapter, batch: Batch) -> None:
    losses = stage.step(0, batch, rng(0))
    assert set(losses) == {"loss", "loss_gradient"} and all(v > 0 for v in losses.values())


def test_the_generator_is_frozen(stage: SlowAdapter, batch: Batch, hash_of: Hash) -> None:
    frozen = [hash_of(n) for n in (stage.generator, stage.codec)]
    adapter = hash_of(stage.adapter)
    for step in range(3):
        stage.step(step, batch, rng(step))
        assert all(p.grad is None and not p.requires_grad for p in stage.generator.parameters())
    assert [hash_of(n) for n in (stage.generator, stage.codec)] == frozen and hash_of(stage.adapter) != adapter
    assert stage.nets == {"adapter": stage.adapter} and not stage.generator.training
    owned = {id(p) for o in stage.optimizers.values() for g in o.param_groups for p in g["params"]}
    assert owned == {id(p) for p in stage.adapter.parameters()}


def test_the_first_step_moves_the_zero_outputs_alone(stage: SlowAdapter, batch: Batch) -> None:
    """Behind zero outputs nothing else has a gradient yet."""
    before = {k: v.clone() for k, v in stage.adapter.state_dict().items()}
    stage.step(0, batch, rng(0))
    moved = {k for k, v in stage.adapter.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {k for k in before if k.startswith("outputs")}


def test_loss_falls_on_one_batch(stage: SlowAdapter, batch: Batch) -> None:
    losses = [stage.step(0, batch, rng(0))["loss"] for _ in range(30)]
    assert losses[-1] < 0.8 * losses[0]


def test_masks_first_then_boxes(stage: SlowAdapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Validation shows what training shows at that step."""
    seen = []
    monkeypatch.setattr(
        "flashmotion.stages.slow_adapter.sample_report", lambda p, c, d, g, a, held, path: seen.append(held) or {}
    )
    assert stage.boxes_from == int(stage.preset.slow_adapter.steps * stage.preset.mask_share) == 2
    for step in (2, 3):
        stage.validate({"adapter": stage.adapter}, tmp_path, step)
    assert seen == [stage.held["masks"], stage.held["boxes"]]
    a, b = (stage.held[c] for c in ("masks", "boxes"))
    assert torch.equal(a.video, b.video) and torch.equal(a.maps[:, 0], b.maps[:, 0])
    assert not torch.equal(a.maps[:, 1:], b.maps[:, 1:])


def test_the_report(stage: SlowAdapter, tmp_path: Path, hash_of: Hash) -> None:
    before = hash_of(stage.adapter)
    values = stage.validate({"adapter": stage.adapter}, tmp_path, 12)
    kinds = [f"{k}_{n}step" for k in ("psnr", "sharpness", "jump") for n in (1, 4, 20)]
    assert set(values) == {*kinds, "sharpness_truth"} and values["sharpness_truth"] > 0
    assert (tmp_path / "sheet-000012.png").exists() and hash_of(stage.adapter) == before


def test_the_report_of_a_generator_without_adapter(
    stage: SlowAdapter, toy: Preset, codec: PatchCodec, tmp_path: Path
) -> None:
    held = stage.held["boxes"]
    values = sample_report(toy, codec, torch.float32, stage.generator, None, held, tmp_path / "s.png")
    with_new_adapter = stage.validate({"adapter": stage.adapter}, tmp_path, 99)
    assert values == with_new_adapter  # zero outputs change nothing


def test_the_product(stage: SlowAdapter) -> None:
    assert set(stage.products({"adapter": stage.adapter})) == {"slow-adapter"}
