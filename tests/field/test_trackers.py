"""The field's trackers through our wrappers: on their own classes where they are installed, else on stand-ins of the
same call shape; the test's name says which."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flashbench.cases.schema import Case
from flashbench.errors import InputError
from flashbench.field import cotracker3, sam2, tapnext
from flashbench.metrics import plugin, registry
from flashbench.metrics.catalogue import METRICS, choose
from flashbench.metrics.values import Sample, case_values
from flashbench.runs.extractors import extractors

T, H, W = 40, 48, 64
REAL = {name: importlib.util.find_spec(name) is not None for name in ("cotracker", "tapnet")}


@pytest.fixture(scope="module")
def video() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (T, H, W, 3), dtype=np.uint8)


class StandInPredictor(nn.Module):
    """Call shape of cotracker.predictor.CoTrackerPredictor; every point stays, seen on even frames."""

    def __init__(self, checkpoint: str | None = "x", offline: bool = True, window_len: int = 60) -> None:
        super().__init__()
        assert checkpoint is None and offline
        self.model = nn.Linear(2, 2)

    def forward(self, video: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
        b, t, c, h, w = video.shape
        assert c == 3 and video.dtype == torch.float32 and float(video.max()) > 1 and not queries[..., 0].any()
        seen = (torch.arange(t) % 2 == 0).view(1, t, 1).expand(b, t, queries.shape[1])
        return queries[:, None, :, 1:].repeat(1, t, 1, 1), seen


class StandInTAPNext(nn.Module):
    """Call shape of tapnet.tapnext.tapnext_torch.TAPNext; every point stays, (y, x), corners at integers."""

    def __init__(self, image_size: tuple[int, int], **size: Any) -> None:
        super().__init__()
        self.lin_proj = nn.Linear(2, 2)

    def forward(self, video: Tensor, query_points: Tensor | None = None, state: Any = None) -> tuple[Any, ...]:
        assert video.shape[1:] == (1, 256, 256, 3) and float(video.abs().max()) <= 1
        held = query_points if state is None else state
        assert held is not None
        return held[:, None, :, 1:], None, torch.ones(1, 1, held.shape[1], 1), held


def stand_in(monkeypatch: pytest.MonkeyPatch, module: str, **members: Any) -> None:
    parts = module.split(".")
    for i in range(1, len(parts) + 1):
        made = types.ModuleType(".".join(parts[:i]))
        monkeypatch.setitem(sys.modules, made.__name__, made)
    for name, value in members.items():
        setattr(sys.modules[module], name, value)


def queries() -> np.ndarray:
    return np.array([[10, 20], [33.5, 7.25], [60, 40]], np.float32)


@pytest.mark.skipif(REAL["cotracker"], reason="cotracker is installed: see the test of the real class")
def test_cotracker3_on_a_stand_in(monkeypatch: pytest.MonkeyPatch, video: np.ndarray, tmp_path: Path) -> None:
    stand_in(monkeypatch, "cotracker.predictor", CoTrackerPredictor=StandInPredictor)
    path = tmp_path / "scaled_offline.pth"
    torch.save({"model": nn.Linear(2, 2).state_dict()}, path)
    found = cotracker3.CoTracker3(str(path)).track_points(video, queries())
    np.testing.assert_array_equal(found.points, np.repeat(queries()[:, None], T, axis=1))
    assert found.visible.shape == (3, T) and found.visible[0].tolist() == [t % 2 == 0 for t in range(T)]


@pytest.mark.skipif(not REAL["cotracker"], reason="cotracker is not installed (facebookresearch/co-tracker)")
def test_cotracker3_on_its_own_class(video: np.ndarray, tmp_path: Path) -> None:
    from cotracker.predictor import CoTrackerPredictor

    torch.manual_seed(0)
    net = CoTrackerPredictor(checkpoint=None, offline=True, window_len=60)
    path = tmp_path / "scaled_offline.pth"
    torch.save(net.model.state_dict(), path)
    found = cotracker3.CoTracker3(str(path)).track_points(video[:12], queries())
    assert found.points.shape == (3, 12, 2) and found.visible.shape == (3, 12) and np.isfinite(found.points).all()
    np.testing.assert_allclose(found.points[:, 0], queries(), atol=1e-3)
    x = torch.from_numpy(video[:12]).permute(0, 3, 1, 2)[None].float()
    at = torch.cat([torch.zeros(3, 1), torch.from_numpy(queries())], dim=1)[None]
    expected, _ = net(x, queries=at)
    np.testing.assert_allclose(found.points.swapaxes(0, 1), expected[0].numpy(), atol=1e-3)


@pytest.mark.skipif(REAL["tapnet"], reason="tapnet is installed: see the test of the real class")
def test_tapnext_on_a_stand_in(monkeypatch: pytest.MonkeyPatch, video: np.ndarray, tmp_path: Path) -> None:
    stand_in(monkeypatch, "tapnet.tapnext.tapnext_torch", TAPNext=StandInTAPNext)
    path = tmp_path / "tapnext.pt"
    torch.save({"state_dict": {f"tapnext.{k}": v for k, v in StandInTAPNext((256, 256)).state_dict().items()}}, path)
    found = tapnext.TAPNext(str(path)).track_points(video[:5], queries())
    np.testing.assert_allclose(found.points, np.repeat(queries()[:, None], 5, axis=1), atol=1e-4)
    assert found.visible.all()


@pytest.mark.skipif(not REAL["tapnet"], reason="tapnet is not installed (google-deepmind/tapnet)")
def test_tapnext_on_its_own_class(video: np.ndarray, tmp_path: Path) -> None:
    from tapnet.tapnext.tapnext_torch import TAPNext

    torch.manual_seed(0)
    size = {"width": 48, "num_heads": 4, "lru_width": 48, "depth": 2}
    path = tmp_path / "tapnext.pt"
    net = TAPNext(image_size=(256, 256), **size)
    for parameter in net.parameters():  # some of its own are made without values
        nn.init.normal_(parameter, std=0.05)
    torch.save(net.state_dict(), path)
    found = tapnext.TAPNext(str(path), **size).track_points(video[:4], queries())
    assert found.points.shape == (3, 4, 2) and found.visible.shape == (3, 4) and np.isfinite(found.points).all()
    np.testing.assert_array_equal(found.points[:, 0], queries())


def test_all_trajectory_metrics_under_the_trackers_name(
    monkeypatch: pytest.MonkeyPatch, video: np.ndarray, case: Case, tmp_path: Path
) -> None:
    stand_in(monkeypatch, "cotracker.predictor", CoTrackerPredictor=StandInPredictor)
    path = tmp_path / "scaled_offline.pth"
    torch.save(nn.Linear(2, 2).state_dict(), path)
    wanted = choose(["epe_cotracker3", "epe_cotracker3_excess", "miou_cotracker3", "biou_cotracker3", "oa_cotracker3"])
    made = extractors({"cotracker3"}, {"cotracker3": str(path)})["cotracker3"]
    sample = Sample(case, {"cotracker3": made.measure(video, case, video)})
    values, floors = case_values(sample, sample, wanted)
    # The object is asked to stay and stays; on odd frames its points are not seen: it is lost there.
    assert values["epe_cotracker3"] == pytest.approx(METRICS["epe_cotracker3"].worst / 2, rel=0.05)
    assert values["epe_cotracker3_excess"] == 0 and values["oa_cotracker3"] == pytest.approx(0.5, abs=0.05)
    assert values["biou_cotracker3"] > 0.85 and floors["biou_cotracker3"] == values["biou_cotracker3"]
    lk = {m.name for m in METRICS.values() if m.embedded and m.needs == ("lk",)}
    mine = {m.name for m in METRICS.values() if m.needs == ("cotracker3",)}
    assert {name.replace("_cotracker3", "_lk") for name in mine} == lk
    assert not any("_lk" in METRICS[name].formula + METRICS[name].blind for name in mine)


def test_what_is_missing_is_said(video: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cotracker.predictor", None)
    path = tmp_path / "scaled_offline.pth"
    torch.save(nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(InputError, match="package cotracker is not installed; pip install git"):
        cotracker3.CoTracker3(str(path)).track_points(video, queries())
    stand_in(monkeypatch, "cotracker.predictor", CoTrackerPredictor=StandInPredictor)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match="is not a checkpoint of tensors"):
        cotracker3.CoTracker3(str(path)).track_points(video, queries())


def test_a_checkpoint_with_code_in_it_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return (eval, ("open('/tmp/flashbench-evil', 'w')",))

    path = tmp_path / "evil.pth"
    torch.save({"model": Evil()}, path)
    from flashbench.field.weights import state_dict

    with pytest.raises(InputError, match="is not a checkpoint of tensors"):
        state_dict("cotracker3", path)
    assert not Path("/tmp/flashbench-evil").exists()


def test_licences_are_said_aloud() -> None:
    registry.install()
    assert "NC" in plugin.PLUGINS["cotracker3"].licence and plugin.PLUGINS["tapnext"].licence == "Apache-2.0"
    assert plugin.PLUGINS["cotracker3"].requires == ("cotracker",)


def sam2_folder(folder: Path, side: int = 64) -> Path:
    """A tiny random SAM 2 with its processor."""
    from transformers import (
        Sam2ImageProcessor,
        Sam2VideoConfig,
        Sam2VideoModel,
        Sam2VideoProcessor,
        Sam2VideoVideoProcessor,
    )

    torch.manual_seed(0)
    backbone = {
        "model_type": "sam2_hiera_det_model", "hidden_size": 16, "num_attention_heads": 1, "image_size": [side, side],
        "blocks_per_stage": [1, 1, 1, 1], "embed_dim_per_stage": [16, 32, 64, 128], "global_attention_blocks": [],
        "num_attention_heads_per_stage": [1, 1, 2, 2], "window_size_per_stage": [4, 2, 2, 2],
        "window_positional_embedding_background_size": [4, 4],
    }  # fmt: skip
    vision = {
        "model_type": "sam2_vision_model", "backbone_config": backbone, "backbone_channel_list": [128, 64, 32, 16],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]], "fpn_hidden_size": 128,
    }  # fmt: skip
    decoder = {"hidden_size": 128, "mlp_dim": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 128, "image_size": side, "patch_size": 16, "mask_input_channels": 4},
        mask_decoder_config={**decoder, "iou_head_hidden_dim": 16}, image_size=side, memory_attention_hidden_size=128,
        memory_attention_num_layers=1, memory_attention_feed_forward_hidden_size=32, memory_encoder_hidden_size=128,
        memory_encoder_output_channels=64, mask_downsampler_embed_dim=128, memory_fuser_num_layers=1,
        memory_fuser_embed_dim=128, memory_fuser_intermediate_dim=32, memory_attention_rope_feat_sizes=[4, 4],
    )  # fmt: skip
    Sam2VideoModel(config).save_pretrained(folder)
    size = {"height": side, "width": side}
    images = Sam2ImageProcessor(size=size, mask_size={"height": side // 4, "width": side // 4})
    videos = Sam2VideoVideoProcessor(size=size)
    Sam2VideoProcessor(image_processor=images, video_processor=videos, target_size=side).save_pretrained(folder)
    return folder


def test_sam2_on_its_own_class(video: np.ndarray, tmp_path: Path) -> None:
    """Random weights: shapes, who is who, and that what is empty stays empty; its accuracy is its authors' matter."""
    tracker = sam2.SAM2(str(sam2_folder(tmp_path)))
    masks = np.zeros((3, H, W), np.bool_)
    masks[0, 10:30, 10:30], masks[2, 20:40, 30:60] = True, True
    found = tracker.track_regions(video[:5], masks).masks
    assert found.shape == (3, 5, H, W) and found.dtype == np.bool_ and not found[1].any()
    assert found[[0, 2]].any()
    alone = tracker.track_regions(video[:5], masks[:1]).masks
    assert (alone[0] == found[0]).mean() > 0.98
    assert not tracker.track_regions(video[:5], np.zeros((2, H, W), np.bool_)).masks.any()
