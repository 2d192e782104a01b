"""What the stages of the diffusion networks have in common: making nets and optimizers, held-out clips, sheets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from flashbench.cases.scenes.world import render
from flashbench.files.png import write_png
from flashmotion.conditioning import colour_maps
from flashmotion.device import noise
from flashmotion.networks.codec import STRIDE, PatchCodec, to_latents
from flashmotion.networks.residual import ResidualGenerator
from flashmotion.presets.schema import Preset, Schedule
from flashmotion.training.data import scene
from flashmotion.training.muon import Muon

# What a step says of itself, by name. The trainer reads tensors off the device, many steps together.
Losses = dict[str, Tensor | float]


def residual_std(p: Preset, codec: PatchCodec, clips: int = 64) -> list[float]:
    """Standard deviation of latents against their first frame's, C numbers, over training scenes."""
    clips = min(clips, p.scenes)
    total = torch.zeros(p.channels, dtype=torch.float64)
    for i in range(clips):
        z = to_latents(codec, torch.from_numpy(render(scene(p, i), p.size).video)[None])
        total += (z[:, :, 1:] - z[:, :, :1]).double().square().mean((0, 2, 3, 4))
    # Five digits: the same number on every machine.
    return [round(float(v), 5) for v in (total / clips).sqrt()]


def new_generator(p: Preset, codec: PatchCodec) -> ResidualGenerator:
    """A generator whose output layer is zero: from pure noise it starts with the frozen first frame."""
    model = ResidualGenerator(
        residual_std=residual_std(p, codec),
        patch_size=(1, 1, 1),
        num_attention_heads=p.heads,
        attention_head_dim=p.head_dim,
        in_channels=2 * p.channels,
        out_channels=2 * p.channels,
        text_dim=384,
        freq_dim=p.freq_dim,
        ffn_dim=p.ffn,
        num_layers=p.layers,
        cross_attn_norm=True,
        rope_max_seq_len=256,
    )
    nn.init.zeros_(model.proj_out.weight)
    nn.init.zeros_(model.proj_out.bias)
    return model


def optimizers(nets: Iterable[nn.Module], schedule: Schedule, prefix: str = "") -> dict[str, torch.optim.Optimizer]:
    """Muon for the matrices inside blocks (where its rate is set), AdamW for everything else."""
    matrices, rest = [], []
    for net in nets:
        blocks = {id(q) for q in getattr(net, "blocks", nn.ModuleList()).parameters()}
        for q in net.parameters():
            if q.requires_grad:
                (matrices if schedule.muon_lr and q.ndim == 2 and id(q) in blocks else rest).append(q)
    made: dict[str, torch.optim.Optimizer] = {}
    if matrices:
        made[prefix + "muon"] = Muon(matrices, lr=schedule.muon_lr)
    made[prefix + "adamw"] = torch.optim.AdamW(rest, lr=schedule.lr, betas=schedule.betas, weight_decay=0.0, fused=True)
    return made


def latents_with_noise(z: Tensor, t: Tensor, rng: torch.Generator) -> Tensor:
    """x_t with the clean first latent in frame 0."""
    eps = noise(z[:, :, 1:].shape, rng, z.device)
    s = t.view(-1, 1, 1, 1, 1)
    return torch.cat([z[:, :, :1], (1 - s) * z[:, :, 1:] + s * eps], dim=2)


@dataclass(frozen=True)
class HeldOut:
    """Whole clips of test scenes.

    video and maps uint8 `[B, T, H, W, 3]`, latents and control `[B, C, F, h, w]`, text and empty `[B, L, D]`.
    """

    video: Tensor
    latents: Tensor
    control: Tensor
    maps: Tensor
    text: Tensor
    empty: Tensor
    masks: tuple[np.ndarray, ...]


def held_out(p: Preset, codec: PatchCodec, text: Tensor, condition: str, clips: int) -> HeldOut:
    """The first `clips` test scenes; `text` holds their token states and, last, the empty prompt's."""
    rendered = [render(scene(p, i, "test"), p.size) for i in range(clips)]
    video = torch.from_numpy(np.stack([r.video for r in rendered]))
    maps = torch.from_numpy(np.stack([colour_maps(r.masks, r.boxes, r.visible, condition) for r in rendered]))
    return HeldOut(
        video,
        to_latents(codec, video),
        to_latents(codec, maps),
        maps,
        text[:clips].float(),
        text[-1:].float().expand(clips, -1, -1),
        tuple(r.masks for r in rendered),
    )


def jump(video: Tensor, truth: Tensor) -> float:
    """Mean change from one latent frame to the next (frames 4 k to 4 k + 1) over the truth's: above 1 it judders.

    video and truth uint8 `[B, T, H, W, 3]`.
    """
    made, asked = (v.float().diff(dim=1)[:, STRIDE::STRIDE].abs().mean() for v in (video, truth))
    return float(made / asked)


def sheet(path: Path, rows: Iterable[Tensor], frames: int = 8) -> None:
    """A contact sheet: each row uint8 `[T, H, W, 3]`, `frames` of it side by side, doubled."""
    picked = [
        np.concatenate(list(r[np.linspace(0, len(r) - 1, frames).astype(int)].cpu().numpy()), axis=1) for r in rows
    ]
    write_png(path, np.concatenate(picked, axis=0).repeat(2, 0).repeat(2, 1))


def psnr(video: Tensor, target: Tensor) -> float:
    """PSNR (dB) of uint8 `[..., T, H, W, 3]`, frame 0 left out."""
    error = (video.float() - target.float())[..., 1:, :, :, :].square().mean()
    return float(10 * torch.log10(255.0**2 / error))


def sharpness(video: Tensor, masks: np.ndarray) -> float:
    """Mean |Laplacian| inside the given masks, of 255: what blur takes away."""
    x = video.float().mean(-1)
    lap = (4 * x[:, 1:-1, 1:-1] - x[:, :-2, 1:-1] - x[:, 2:, 1:-1] - x[:, 1:-1, :-2] - x[:, 1:-1, 2:]).abs()
    inside = torch.from_numpy(masks.any(0))[:, 1:-1, 1:-1].to(video.device)
    return float(lap[1:][inside[1:]].mean())


def update(
    loss: Tensor, optims: dict[str, torch.optim.Optimizer], nets: Iterable[nn.Module], clip: float, name: str = "loss"
) -> Losses:
    """Backward, clip, step. Returns the loss and the gradient norm before clipping, where they are."""
    parameters = [q for net in nets for q in net.parameters() if q.requires_grad]
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(parameters, clip)
    for o in optims.values():
        o.step()
        o.zero_grad(set_to_none=True)
    return {name: loss.detach(), f"{name}_gradient": norm}
