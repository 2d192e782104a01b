"""What every stage that samples says of itself: metrics of held-out clips, and a sheet."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from torch import nn

from flashmotion import flow
from flashmotion.networks.codec import PatchCodec, to_video
from flashmotion.precision import autocast
from flashmotion.presets.schema import Preset
from flashmotion.sampling import denoiser, few_step, multi_step, start
from flashmotion.stages import common


@torch.no_grad()
def sample_report(
    p: Preset,
    codec: PatchCodec,
    dtype: torch.dtype,
    generator: WanTransformer3DModel,
    adapter: nn.Module | None,
    held: common.HeldOut,
    path: Path,
    clips: int = 3,
) -> dict[str, float]:
    """PSNR, sharpness of objects and jumps between latent frames of whole held-out clips in 1, 4 and 20 steps.

    The contact sheet shows truth, maps, 20 steps and 4 steps.
    """
    frames = torch.arange(held.latents.shape[2], device=held.latents.device)
    first, out, shown = held.latents[:clips, :, :1], {}, {}
    with autocast(dtype, held.latents.device):
        model = denoiser(
            generator, held.text[:clips], frames, adapter, held.control[:clips] if adapter is not None else None
        )
        for steps in (1, 4, 20):
            rng = torch.Generator().manual_seed(0)
            x = start(first, len(frames), rng)
            if steps == 20:
                z = multi_step(model, x, flow.sampling_times(20, p.sample_shift))
            else:
                z = few_step(model, x, p.few_steps[:steps], rng)
            video = to_video(codec, z)
            shown[steps] = video
            out[f"jump_{steps}step"] = common.jump(video, held.video[:clips])
            out[f"psnr_{steps}step"] = common.psnr(video, held.video[:clips])
            out[f"sharpness_{steps}step"] = (
                sum(common.sharpness(v, m) for v, m in zip(video, held.masks, strict=False)) / clips
            )
    out["sharpness_truth"] = (
        sum(common.sharpness(v, m) for v, m in zip(held.video[:clips], held.masks, strict=False)) / clips
    )
    rows = []
    for i in range(clips):
        rows += [held.video[i], held.maps[i], shown[20][i], shown[4][i]]
    common.sheet(path, rows)
    return out
