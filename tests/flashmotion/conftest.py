"""Toy networks of the real classes: 32 px, 17 frames, 5 latent frames of 4 x 4 positions, 24 wide, two blocks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from flashbench.files.atomic import sha256_arrays
from flashmotion import presets, weights
from flashmotion.networks.adapters.controlnet import ControlNetAdapter
from flashmotion.networks.codec import PatchCodec
from flashmotion.networks.residual import ResidualGenerator
from flashmotion.presets.nano import NANO
from flashmotion.presets.schema import Preset, Schedule
from flashmotion.training.data import Batch, Scenes


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Toy networks gain nothing from threads, and a forked trainer needs to have none."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def toy() -> Preset:
    short = Schedule(steps=6, batch=2, lr=3e-3, muon_lr=3e-3, warmup=1, ema=0.9)
    gan = Schedule(steps=6, batch=2, lr=1e-3, betas=(0.0, 0.999), warmup=1, ema=0.9)
    return dataclasses.replace(
        NANO, name="toy", size=32, frames=17, scenes=8, groups=2, text_length=6, channels=12, heads=2, head_dim=12,
        layers=2, ffn=32, freq_dim=16, slow_steps=3, critic_updates=2, heads_updates=2, mask_share=0.46,
        base=short, slow_adapter=short, fast_generator=gan, fast_adapter=gan,
    )  # fmt: skip


def _codec(channels: int, patch: int) -> PatchCodec:
    """Orthonormal, its first components the mean and slow waves over a patch: pictures survive it, blurred."""
    n = 4 * patch * patch * 3
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(3, 4, patch, patch, channels, generator=rng)
    for axis in (2, 3):  # smooth
        x = (x + x.roll(1, axis) + x.roll(-1, axis)) / 3
    x = x + 0.5 * x.mean((1, 2, 3), keepdim=True)
    x[..., :3] = torch.eye(3)[:, None, None, None]
    basis = torch.linalg.qr(x.reshape(n, channels).double())[0].float()
    codec = PatchCodec(channels, patch, [0.1] * channels, [8.0] * 3 + [2.0] * (channels - 3))
    codec.basis.data.copy_(basis)
    return codec


@pytest.fixture(scope="session")
def make_codec() -> Callable[[int, int], PatchCodec]:
    """`make_codec(channels, patch)`."""
    return _codec


@pytest.fixture
def codec(toy: Preset) -> PatchCodec:
    return _codec(toy.channels, toy.patch)


@pytest.fixture(scope="session")
def make_generator(toy: Preset) -> Callable[..., WanTransformer3DModel]:
    """`make_generator(repeated=True, **config)`: a random generator, its output layer too (False: a stock one)."""

    def make(repeated: bool = True, seed: int = 0, **config: object) -> WanTransformer3DModel:
        torch.manual_seed(seed)
        settings = {
            "patch_size": (1, 1, 1), "num_attention_heads": toy.heads, "attention_head_dim": toy.head_dim,
            "in_channels": toy.channels * (2 if repeated else 1), "out_channels": toy.channels, "text_dim": 384,
            "freq_dim": toy.freq_dim, "ffn_dim": toy.ffn, "num_layers": toy.layers, "cross_attn_norm": True,
            "rope_max_seq_len": 64,
        }  # fmt: skip
        if not repeated:
            return WanTransformer3DModel(**{**settings, **config}).eval()
        std = [2.0, 0.5] * (int(config.get("in_channels", 2 * toy.channels)) // 4)  # type: ignore[call-overload]
        settings["out_channels"] = 2 * toy.channels
        return ResidualGenerator(**{**settings, "residual_std": std, **config}).eval()  # type: ignore[arg-type]

    return make


@pytest.fixture
def generator(make_generator: Callable[..., WanTransformer3DModel]) -> WanTransformer3DModel:
    return make_generator()


@pytest.fixture
def adapter(generator: WanTransformer3DModel, toy: Preset) -> ControlNetAdapter:
    """An adapter whose outputs are no longer zero."""
    made = ControlNetAdapter.of(generator, toy.channels)
    torch.manual_seed(3)
    for layer in made.outputs:
        nn.init.normal_(layer.weight, std=0.2)
    return made.eval()


@pytest.fixture(scope="session")
def text(toy: Preset) -> Tensor:
    """Token states in place of MiniLM's: float16 `[scenes + 1, L, 384]`, the empty prompt's last."""
    return torch.randn(toy.scenes + 1, toy.text_length, 384, generator=torch.Generator().manual_seed(5)).half()


@pytest.fixture
def batches(toy: Preset, text: Tensor) -> Scenes:
    return Scenes(toy, text, 2, 0)


@pytest.fixture
def batch(batches: Scenes) -> Batch:
    return batches[0]


@pytest.fixture(scope="session")
def hash_of() -> Callable[[nn.Module], str]:
    """Hash over all parameters and buffers of a network."""
    return lambda net: sha256_arrays(*(v.float().numpy() for v in net.state_dict().values()))


@pytest.fixture
def shelf(tmp_path: Path, toy: Preset, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for shipped weights, and the preset `toy` beside `nano`."""
    monkeypatch.setattr(weights, "ROOT", tmp_path / "weights")
    monkeypatch.setitem(presets.PRESETS, "toy", toy)
    return tmp_path / "weights"
