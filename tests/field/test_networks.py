"""The field's networks on tiny random weights of their own classes: protocols and preprocessing, not their numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from flashbench.cases.schema import Case
from flashbench.errors import InputError
from flashbench.field import clip, dino, frames, i3d_styleganv, inception, raft, videomae, vjepa2
from flashbench.metrics import plugin, registry
from flashbench.metrics.catalogue import METRICS, choose
from flashbench.metrics.protocol import Extractor
from flashbench.metrics.values import Sample, case_values
from flashbench.runs.extractors import sampled_frames, window_starts

T, H, W = 40, 48, 64
PLUGINS = [i3d_styleganv.PLUGIN, inception.PLUGIN, clip.VIT_B32, clip.VIT_L14, dino.PLUGIN, videomae.PLUGIN,
           vjepa2.PLUGIN, raft.PLUGIN]  # fmt: skip


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def video() -> np.ndarray:
    """Smooth moving noise, uint8 `[T, H, W, 3]`."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.random((1, 3, T // 4, 6, 8)).astype(np.float32))
    smooth = F.interpolate(coarse, (T, H, W), mode="trilinear")[0].permute(1, 2, 3, 0)
    return (smooth * 255).to(torch.uint8).numpy()


def pil(image: np.ndarray, size: tuple[int, int], resample: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize(size, resample), np.float32)


# --- frames ---------------------------------------------------------------------------------------------------------


def test_a_video_goes_to_the_device_once(video: np.ndarray) -> None:
    assert frames.uploaded(video) is frames.uploaded(video)
    assert torch.equal(frames.uploaded(video).permute(0, 2, 3, 1), torch.from_numpy(video))
    assert frames.windows(video).shape == (3, 16, 3, H, W) and len(frames.sampled(video)) == len(sampled_frames(T))
    starts, stride = window_starts(T)
    assert np.array_equal(frames.windows(video)[2, 5].permute(1, 2, 0).numpy(), video[starts[2] + 5 * stride])


@pytest.mark.parametrize("shape", [(48, 64), (64, 48), (50, 50), (31, 97)])
def test_shorter_side_is_pillows(shape: tuple[int, int]) -> None:
    """Pillow's own filters, which the published transforms are defined by: within one level, rounding apart."""
    h, w = shape
    rng = np.random.default_rng(1)
    image = np.stack([np.cumsum(np.cumsum(rng.normal(size=(h, w)), 0), 1) for _ in range(3)], axis=2)
    image = (255 * (image - image.min()) / np.ptp(image)).astype(np.uint8)
    x = torch.from_numpy(image).permute(2, 0, 1)[None]
    made = frames.shorter_side(x, 24, "bicubic", antialias=True)[0].permute(1, 2, 0).numpy()
    size = (int(24 * w / h), 24) if h <= w else (24, int(24 * h / w))
    assert np.abs(made - pil(image, size, 3)).max() <= 1 and made.shape[:2] == size[::-1]


def test_centre_is_the_middle() -> None:
    x = torch.arange(7 * 10).view(1, 1, 7, 10)
    assert torch.equal(frames.centre(x, 4), x[..., 2:6, 3:7])


def test_batches_do_not_change_the_result() -> None:
    x = torch.randn(7, 3)
    net = torch.nn.Linear(3, 2)
    for size in (1, 2, 7, 50):
        np.testing.assert_allclose(frames.in_batches(net, x, size), net(x).detach().numpy(), rtol=1e-5, atol=1e-6)


# --- CLIP -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def clip_folder(tmp_path: Path) -> Path:
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    letters = [*"abcdefghijklmnopqrstuvwxyz,."]
    words = [*letters, *(c + "</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    (tmp_path / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"), model_max_length=16).save_pretrained(
        tmp_path
    )
    tiny = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**tiny, "vocab_size": len(words), "max_position_embeddings": 16, "bos_token_id": len(words) - 2,
                     "eos_token_id": len(words) - 1},
        vision_config={**tiny, "image_size": 32, "patch_size": 8}, projection_dim=12,
    )  # fmt: skip
    CLIPModel(config).save_pretrained(tmp_path)
    return tmp_path


def test_clip_is_what_transformers_makes_of_processed_frames(video: np.ndarray, case: Case, clip_folder: Path) -> None:
    from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

    found = clip.Extractor("clip_vit_b32", str(clip_folder)).measure(video, case, video)
    net = CLIPModel.from_pretrained(clip_folder).eval()
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    chosen = [torch.from_numpy(f).permute(2, 0, 1) for f in video[sampled_frames(T)]]
    pixels = processor(chosen, return_tensors="pt")["pixel_values"]
    mine = clip.prepared(torch.stack(chosen), 32)
    assert (mine - pixels).abs().max() < 1.01 / 255 / min(frames.CLIP[1])  # one level
    with torch.no_grad():
        images = net.visual_projection(net.vision_model(mine).pooler_output)
        tokens = AutoTokenizer.from_pretrained(clip_folder)([case.prompt], truncation=True, return_tensors="pt")
        text = net.text_projection(net.text_model(**tokens).pooler_output)
    np.testing.assert_allclose(found["frames"], images, atol=1e-4)
    np.testing.assert_allclose(found["text"], text[0], atol=1e-4)


def test_clip_metrics(video: np.ndarray, case: Case, clip_folder: Path) -> None:
    still = np.repeat(video[:1], T, axis=0)
    extractor = clip.Extractor("clip_vit_b32", str(clip_folder))
    samples = [Sample(case, {"clip_vit_b32": extractor.measure(v, case, video)}) for v in (still, video)]
    metrics = choose(["text_clip_vit_b32", "background_clip_vit_b32"])
    assert choose([m.name for m in metrics], "photographs") == metrics  # it reads both
    values, floors = case_values(samples[0], samples[1], metrics)
    assert values["background_clip_vit_b32"] == pytest.approx(1, abs=1e-5)
    assert floors["background_clip_vit_b32"] < 1 - 1e-4
    assert -1 <= values["text_clip_vit_b32"] <= 1


# --- DINO, VideoMAE, V-JEPA 2 ---------------------------------------------------------------------------------------

TINY = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def test_dino(video: np.ndarray, case: Case, tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTModel

    ViTModel(ViTConfig(**TINY, image_size=32, patch_size=8)).save_pretrained(tmp_path)
    found = dino.Extractor(str(tmp_path)).measure(video, case, video)["frames"]
    net = ViTModel.from_pretrained(tmp_path, add_pooling_layer=False).eval()
    x = F.interpolate(torch.from_numpy(video[:1]).permute(0, 3, 1, 2).float(), (32, 42), mode="bilinear").round()
    x = (x / 255 - torch.tensor(frames.IMAGENET[0]).view(3, 1, 1)) / torch.tensor(frames.IMAGENET[1]).view(3, 1, 1)
    with torch.no_grad():
        expected = net(x, interpolate_pos_encoding=True).last_hidden_state[:, 0]
    np.testing.assert_allclose(found[:1], expected, atol=1e-4)
    assert found.shape == (len(sampled_frames(T)), 16)


def test_videomae(video: np.ndarray, case: Case, tmp_path: Path) -> None:
    from transformers import VideoMAEConfig, VideoMAEModel

    VideoMAEModel(VideoMAEConfig(**TINY, image_size=32, patch_size=8, num_frames=16)).save_pretrained(tmp_path)
    found = videomae.Extractor(str(tmp_path)).measure(video, case, video)["features"]
    net = VideoMAEModel.from_pretrained(tmp_path).eval()
    starts, stride = window_starts(T)
    clip_ = torch.from_numpy(video[starts[1] : starts[1] + 16 * stride : stride]).permute(0, 3, 1, 2).float()
    x = F.interpolate(clip_, (32, 32), mode="bilinear", antialias=True) / 255
    with torch.no_grad():
        expected = net(x[None]).last_hidden_state.mean(1)
    np.testing.assert_allclose(found[1:2], expected, atol=1e-4)


def test_vjepa2(video: np.ndarray, case: Case, tmp_path: Path) -> None:
    from transformers import VJEPA2Config, VJEPA2ForVideoClassification

    config = VJEPA2Config(crop_size=32, patch_size=8, frames_per_clip=16, hidden_size=24, num_attention_heads=2,
                          num_hidden_layers=1, mlp_ratio=2, pred_hidden_size=24, pred_num_attention_heads=2,
                          pred_num_hidden_layers=1, num_pooler_layers=1, num_labels=3)  # fmt: skip
    VJEPA2ForVideoClassification(config).save_pretrained(tmp_path)
    found = vjepa2.Extractor(str(tmp_path)).measure(video, case, video)["features"]
    net = VJEPA2ForVideoClassification.from_pretrained(tmp_path).eval()
    starts, stride = window_starts(T)
    clip_ = torch.from_numpy(video[starts[0] : starts[0] + 16 * stride : stride]).permute(0, 3, 1, 2).float()
    x = F.interpolate(clip_, (32, 32), mode="bilinear", antialias=True)
    with torch.no_grad():
        logits = net(frames.normalised(x, *frames.IMAGENET)[None]).logits
        mine = net.classifier(torch.from_numpy(found[:1]))
    np.testing.assert_allclose(mine, logits, atol=1e-4)


# --- detectors in TorchScript, RAFT ---------------------------------------------------------------------------------


class Detector(torch.nn.Module):
    """Call shape of StyleGAN-V's I3D: uint8 in, `[B, C, T, H, W]`."""

    def forward(self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False) -> Tensor:
        assert rescale and resize and return_features
        return x.float().mean([3, 4]).flatten(1)[:, :40].repeat(1, 10)


class Inception(torch.nn.Module):
    def forward(self, x: Tensor, return_features: bool = False) -> Tensor:
        assert return_features
        return x.float().mean([2, 3]).repeat(1, 3)


def test_i3d_styleganv(video: np.ndarray, case: Case, tmp_path: Path) -> None:
    path = tmp_path / "i3d_torchscript.pt"
    torch.jit.script(Detector()).save(str(path))
    extractor = i3d_styleganv.Extractor(str(path), checked=False)
    found = extractor.measure(video, case, video)["features"]
    starts, _ = window_starts(T)
    assert found.shape == (3, 400) and found[1, 0] == pytest.approx(video[starts[1], ..., 0].mean(), rel=1e-5)
    with pytest.raises(InputError, match="published for i3d_styleganv is bec6519f66ea"):
        _ = i3d_styleganv.Extractor(str(path)).fingerprint


def test_inception(video: np.ndarray, case: Case, tmp_path: Path) -> None:
    path = tmp_path / "inception-2015-12-05.pt"
    torch.jit.script(Inception()).save(str(path))
    found = inception.Extractor(str(tmp_path), checked=False).measure(video, case, video)["features"]
    at = sampled_frames(T)[1:]
    np.testing.assert_allclose(found[:, :3], video[at].mean((1, 2)), rtol=1e-5)
    with pytest.raises(InputError, match="published for inception is f58cb9b6ec32"):
        _ = inception.Extractor(str(path)).fingerprint


def test_raft(video: np.ndarray, case: Case, tmp_path: Path) -> None:
    from torchvision.models.optical_flow import raft_small

    net = raft_small(weights=None).eval()
    torch.save(net.state_dict(), tmp_path / "raft_small.pth")
    found = raft.Extractor(str(tmp_path / "raft_small.pth"), large=False).measure(video[:10], case, video)["speed"]
    a, b = (torch.from_numpy(video[k : k + 1]).permute(0, 3, 1, 2).float() for k in (1, 2))
    a, b = (F.interpolate(x, (256, 344), mode="bilinear", antialias=True) / 127.5 - 1 for x in (a, b))
    with torch.no_grad():
        flow = net(a, b)[-1].norm(dim=1).flatten().numpy()
    top = np.sort(flow)[-(len(flow) // 20) :]
    assert found[0] == pytest.approx(top.mean(), rel=1e-3) and found.shape == (8,)
    torch.save({"other": torch.zeros(1)}, tmp_path / "raft_other.pth")
    with pytest.raises(InputError, match="is not a state of torchvision's RAFT"):
        raft.Extractor(str(tmp_path / "raft_other.pth")).measure(video, case, video)


# --- all ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", PLUGINS, ids=lambda p: p.extractor)
def test_each_is_offered_and_says_what_it_needs(one: Any) -> None:
    registry.install()
    assert plugin.PLUGINS[one.extractor] == one and not registry.BROKEN
    made = one.make(None)
    assert isinstance(made.name, str) and made.name == one.extractor and one.licence and one.brings
    for metric in one.metrics:
        assert METRICS[metric.name] is metric and not metric.embedded and metric.needs == (one.extractor,)
        assert one.extractor.split("_")[0] in metric.name and metric.formula and metric.blind


def test_protocol() -> None:
    made: Extractor = dino.Extractor(None)
    assert made.name == "dino"
