"""The patch codec, and that the real AutoencoderKLWan fits in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from flashmotion import weights
from flashmotion.networks import constants
from flashmotion.networks.codec import PatchCodec, to_latents, to_pixels, to_video
from flashmotion.training.data import Batch

Make = Callable[[int, int], PatchCodec]


@pytest.fixture
def video() -> Tensor:
    return torch.randint(0, 256, (2, 13, 16, 24, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_shapes(make_codec: Make, video: Tensor) -> None:
    codec = make_codec(12, 8)
    z = to_latents(codec, video)
    assert z.shape == (2, 12, 4, 2, 3) and z.dtype == torch.float32
    assert to_pixels(codec, z).shape == (2, 3, 13, 16, 24)
    assert to_video(codec, z).shape == video.shape and to_video(codec, z).dtype == torch.uint8
    assert (codec.spatial_compression_ratio, codec.temporal_compression_ratio) == (8, 4)


def test_a_whole_basis_gives_every_pixel_back(make_codec: Make, video: Tensor) -> None:
    """Patches of 2 x 2: all 48 components."""
    codec = make_codec(48, 2)
    assert torch.equal(to_video(codec, to_latents(codec, video)), video)


def test_latents_of_a_decoded_video_are_the_same_latents(make_codec: Make, video: Tensor) -> None:
    """Decoding and encoding is a projection: done twice it changes nothing, behind frame 0."""
    codec = make_codec(12, 8)
    z = to_latents(codec, video)
    pixels = to_pixels(codec, z)
    again = codec.encode(pixels).latent_dist.mode()
    mean, std = (torch.tensor(v).view(1, -1, 1, 1, 1) for v in (codec.config.latents_mean, codec.config.latents_std))
    torch.testing.assert_close(((again - mean) / std)[:, :, 1:], z[:, :, 1:], atol=1e-4, rtol=1e-4)


def test_distances_are_kept_by_an_orthonormal_basis(make_codec: Make, video: Tensor) -> None:
    codec = make_codec(12, 8)
    torch.testing.assert_close(codec.basis.T @ codec.basis, torch.eye(12), atol=1e-5, rtol=0)
    z = torch.randn(1, 12, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    assert codec.decode(z).sample[:, :, 1:].square().sum() == pytest.approx(float(z[:, :, 1:].square().sum()), rel=1e-5)


def test_the_first_frame_is_coded_alone(make_codec: Make, video: Tensor) -> None:
    codec = make_codec(12, 8)
    z, alone = to_latents(codec, video), to_latents(codec, video[:, :1])
    assert alone.shape == (2, 12, 1, 2, 3)
    torch.testing.assert_close(alone, z[:, :, :1])
    assert to_pixels(codec, alone).shape == (2, 3, 1, 16, 24)
    later = video.clone()
    later[:, 1:] = 255 - later[:, 1:]
    torch.testing.assert_close(to_latents(codec, later)[:, :, :1], z[:, :, :1])


def test_a_latent_frame_is_four_frames_of_its_place(make_codec: Make, video: Tensor) -> None:
    codec = make_codec(48, 2)
    changed = video.clone()
    changed[1, 5:9, 6:8, 10:12] ^= 255
    where = (to_latents(codec, changed) - to_latents(codec, video)).abs().amax(1).nonzero().tolist()
    assert where == [[1, 2, 3, 5]]


def test_mode_and_sample_are_the_same(make_codec: Make) -> None:
    d = make_codec(12, 8).encode(torch.zeros(1, 3, 5, 8, 8)).latent_dist
    assert torch.equal(d.mode(), d.sample()) and torch.equal(d.mode(), d.sample(torch.Generator()))


def test_the_toy_codec_shows_the_picture(codec: PatchCodec, batch: Batch) -> None:
    """What the tests of the stages learn on is a picture, and not noise."""
    video = batch.video
    error = (to_video(codec, to_latents(codec, video)).float() - video.float()).square().mean()
    assert error < 0.6 * (video.float() - video.float().mean((1, 2, 3), keepdim=True)).square().mean()


def test_saved_and_loaded(make_codec: Make, video: Tensor, tmp_path: Path) -> None:
    codec = make_codec(12, 8)
    codec.save_pretrained(tmp_path)
    again = PatchCodec.from_pretrained(tmp_path, local_files_only=True)
    assert torch.equal(to_latents(codec, video), to_latents(again, video))
    assert again.config.latents_std == codec.config.latents_std
    assert not any(p.requires_grad for p in again.parameters())


def test_the_shipped_codec(video: Tensor) -> None:
    """Orthonormal to float32, with unit power over all, and good on scenes that it was not fitted on."""
    from flashmotion.presets.nano import NANO
    from flashmotion.stages.codec import reconstruction_psnr

    codec = weights.load(PatchCodec, "nano", "codec")
    assert (codec.config.z_dim, codec.config.patch) == (NANO.channels, NANO.patch)
    torch.testing.assert_close(codec.basis.T @ codec.basis, torch.eye(NANO.channels), atol=1e-5, rtol=0)
    assert reconstruction_psnr(codec, NANO, clips=4) > 30


def test_autoencoder_kl_wan_has_the_same_interface() -> None:
    """The real backbone's class, tiny and random: the same functions bring videos in and out."""
    torch.manual_seed(0)
    numbers = {"latents_mean": [0.1, -0.2, 0.3, 0.0], "latents_std": [1.5, 2.0, 0.5, 1.0]}
    vae = AutoencoderKLWan(base_dim=8, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, **numbers).eval()
    video = torch.randint(0, 256, (1, 5, 16, 24, 3), dtype=torch.uint8)
    with torch.no_grad():
        z = to_latents(vae, video)
        assert z.shape == (1, 4, 2, 2, 3)
        raw = vae.encode(video.permute(0, 4, 1, 2, 3).float() / 127.5 - 1).latent_dist.mode()
        mean, std = (torch.tensor(numbers[k]).view(1, -1, 1, 1, 1) for k in ("latents_mean", "latents_std"))
        torch.testing.assert_close(z * std + mean, raw)
        assert to_pixels(vae, z).shape == (1, 3, 5, 16, 24)
        assert to_video(vae, z).shape == video.shape
        assert to_latents(vae, video[:, :1]).shape == (1, 4, 1, 2, 3)


def test_what_is_kept_between_calls_can_be_trained_with(make_codec: Make, video: Tensor) -> None:
    """Also where the first call was made in inference mode: the scales that it leaves behind are ordinary tensors."""
    codec = make_codec(12, 8)
    constants._made.cache_clear()
    with torch.inference_mode():
        z = to_latents(codec, video)
        assert z.is_inference() and torch.equal(z, to_latents(codec, video))
        to_pixels(codec, z)
    z = torch.zeros(1, 12, 2, 2, 2, requires_grad=True)
    to_pixels(codec, z).square().mean().backward()
    assert z.grad is not None and z.grad.any()


def test_scales_are_made_once_a_device_and_dtype(make_codec: Make) -> None:
    like = torch.zeros(1)
    assert constants.channels([1.0, 2.0], like) is constants.channels([1.0, 2.0], like)
    assert constants.channels([1.0, 2.0], like.double()).dtype == torch.float64
    assert constants.channels([1.0, 2.0], like.to("meta")).device.type == "meta"
    assert constants.channels([1.0, 3.0], like).flatten().tolist() == [1, 3]
