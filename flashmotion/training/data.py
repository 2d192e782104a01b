"""Training batches out of the procedural world, a pure function of (seed, step): exact resume needs no state.

A sample is frame 0 and `groups` groups of four frames at their true positions, in most batches consecutive, in the
others anywhere in the clip, so that a short sample teaches the whole length.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from flashbench.cases.scenes.sprites import case_rng
from flashbench.cases.scenes.world import Scene, render, sample_scene
from flashbench.files.atomic import replacing, sha256_json
from flashmotion.conditioning import colour_maps
from flashmotion.presets.schema import Preset

# Objects a training scene holds: fewer more often, since large objects teach identity faster.
OBJECT_ODDS = (0.3, 0.22, 0.17, 0.12, 0.1, 0.05, 0.03, 0.01)


@dataclass(frozen=True)
class Batch:
    """video, maps uint8 `[B, F, H, W, 3]`; weight `[B, groups + 1, h, w]`; text `[B, L, D]`; frames `[groups + 1]`."""

    video: Tensor
    maps: Tensor
    weight: Tensor
    text: Tensor
    frames: Tensor


def scene(preset: Preset, index: int, split: str = "train") -> Scene:
    """Training scene number `index`."""
    rng = case_rng(f"nano-{split}", str(index), 0)
    objects = 1 + int(np.searchsorted(np.cumsum(OBJECT_ODDS)[:-1], rng.random()))
    return sample_scene(rng, objects, split, preset.frames)


def text_states(preset: Preset, cache: Path, split: str = "train", count: int | None = None) -> Tensor:
    """MiniLM token states of all training prompts and, last, of the empty prompt: float16 `[scenes + 1, L, 384]`."""
    from safetensors.torch import load_file, save_file

    count = preset.scenes if count is None else count
    prompts = [scene(preset, i, split).prompt for i in range(count)] + [""]
    path = cache / f"text-{preset.name}-{split}-{sha256_json([prompts, preset.text_length])[:16]}.safetensors"
    if not path.exists():
        from flashbench.backbones.minilm import MiniLM

        model = MiniLM.load()
        parts = [model.tokens(prompts[i : i + 64], preset.text_length)[0].half() for i in range(0, len(prompts), 64)]
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            save_file({"states": torch.cat(parts)}, temporary)
    return load_file(path)["states"]


def object_weight(masks: npt.NDArray[np.bool_], patch: int, background: float) -> npt.NDArray[np.float32]:
    """Loss weight by latent position: 1 where an object is at that time or on frame 0 (dilated), else `background`.

    masks bool `[N, F, H, W]`, F = 1 + 4 k; returns float32 `[1 + k, H / patch, W / patch]`.
    """
    m = masks.any(0)
    h, w = m.shape[1] // patch, m.shape[2] // patch
    cells = m.reshape(len(m), h, patch, w, patch).any(axis=(2, 4))
    groups = np.concatenate([cells[:1], cells[1:].reshape(-1, 4, h, w).any(1)])
    groups |= groups[:1]
    wide = np.pad(groups, ((0, 0), (1, 1), (1, 1)))
    near = wide[:, :-2, 1:-1] | wide[:, 2:, 1:-1] | wide[:, 1:-1, :-2] | wide[:, 1:-1, 2:] | groups
    return np.where(near, 1.0, background).astype(np.float32)


def frame_groups(preset: Preset, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Latent frame positions of a sample: 0, then `groups` positions out of 1..(T - 1) / 4."""
    last = (preset.frames - 1) // 4
    if rng.random() < preset.consecutive:
        start = int(rng.integers(1, last - preset.groups + 2))
        chosen = np.arange(start, start + preset.groups)
    else:
        chosen = np.sort(rng.choice(np.arange(1, last + 1), preset.groups, replace=False))
    return np.concatenate([[0], chosen]).astype(np.int64)


class Scenes(Dataset[Batch]):
    """Batches by step. `condition(step)` says whether masks or boxes are drawn."""

    def __init__(
        self,
        preset: Preset,
        text: Tensor,
        batch: int,
        seed: int,
        boxes_from: int = 0,
        first: int = 0,
        steps: int = 1 << 30,
        split: str = "train",
    ) -> None:
        self.preset, self.text, self.batch, self.seed, self.boxes_from = preset, text, batch, seed, boxes_from
        self.first, self.steps, self.split = first, steps, split

    def __len__(self) -> int:
        return self.steps - self.first

    def __getitem__(self, index: int) -> Batch:
        step = self.first + index
        p, rng = self.preset, np.random.default_rng([self.seed, step])
        frames = frame_groups(p, rng)
        at = np.concatenate([[0], *(np.arange(4 * g - 3, 4 * g + 1) for g in frames[1:])])
        condition = "boxes" if step >= self.boxes_from else "masks"
        videos, maps, weights, texts = [], [], [], []
        for _ in range(self.batch):
            number = int(rng.integers(len(self.text) - 1))
            r = render(scene(p, number, self.split), p.size, at)
            video, drawn = r.video, colour_maps(r.masks, r.boxes, r.visible, condition)
            weight = object_weight(r.masks, p.patch, p.background_weight)
            if rng.random() < 0.5:
                video, drawn, weight = video[:, :, ::-1], drawn[:, :, ::-1], weight[:, :, ::-1]
            if rng.random() < 0.5:
                video = video[..., rng.permutation(3)]
            empty = rng.random() < p.text_dropout
            videos.append(np.ascontiguousarray(video))
            maps.append(np.ascontiguousarray(drawn))
            weights.append(np.ascontiguousarray(weight))
            texts.append(self.text[-1 if empty else number])
        stack = torch.from_numpy
        return Batch(
            stack(np.stack(videos)),
            stack(np.stack(maps)),
            stack(np.stack(weights)),
            torch.stack(texts),
            torch.from_numpy(frames),
        )


def loader(scenes: Scenes, workers: int = 1) -> DataLoader[Batch]:
    """Batches in order of their step, made ahead in a process of its own."""
    return DataLoader(
        scenes, batch_size=None, shuffle=False, num_workers=workers, prefetch_factor=4 if workers else None
    )
