"""Training batches out of the procedural world, a pure function of (seed, step): exact resume needs no state.

A sample is frame 0 and `groups` groups of four frames at their true positions, in most batches consecutive, in the
others anywhere in the clip, so that a short sample teaches the whole length.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
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


@lru_cache(maxsize=4)
def prompts_of(preset: Preset, split: str, count: int) -> tuple[str, ...]:
    """The prompts of the first `count` scenes."""
    return tuple(scene(preset, i, split).prompt for i in range(count))


def text_states(preset: Preset, cache: Path, split: str = "train", count: int | None = None) -> Tensor:
    """MiniLM token states of all training prompts and, last, of the empty prompt: float16 `[scenes + 1, L, 384]`."""
    from safetensors.torch import load_file, save_file

    count = preset.scenes if count is None else count
    prompts = [*prompts_of(preset, split, count), ""]
    path = cache / f"text-{preset.name}-{split}-{sha256_json([prompts, preset.text_length])[:16]}.safetensors"
    if not path.exists():
        from flashbench.backbones.minilm import MiniLM

        model = MiniLM.load()
        parts = [model.tokens(prompts[i : i + 64], preset.text_length)[0].half() for i in range(0, len(prompts), 64)]
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            save_file({"states": torch.cat(parts)}, temporary)
    return load_file(path)["states"]


def object_weight(objects: Tensor, patch: int, background: float) -> Tensor:
    """Loss weight by latent position: 1 where an object is at that time or on frame 0 (dilated), else `background`.

    objects bool `[..., F, H, W]`, F = 1 + 4 k: where any is; returns float32 `[..., 1 + k, H / patch, W / patch]`.
    """
    h, w = objects.shape[-2] // patch, objects.shape[-1] // patch
    cells = objects.unflatten(-1, (w, patch)).any(-1).unflatten(-2, (h, patch)).any(-2)
    groups = torch.cat([cells[..., :1, :, :], cells[..., 1:, :, :].unflatten(-3, (-1, 4)).any(-3)], dim=-3)
    groups |= groups[..., :1, :, :].clone()
    near = groups.clone()
    near[..., 1:, :] |= groups[..., :-1, :]
    near[..., :-1, :] |= groups[..., 1:, :]
    near[..., 1:] |= groups[..., :-1]
    near[..., :-1] |= groups[..., 1:]
    return torch.full_like(near, background, dtype=torch.float32).masked_fill_(near, 1.0)


def frame_groups(preset: Preset, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Latent frame positions of a sample: 0, then `groups` positions out of 1..(T - 1) / 4."""
    last = (preset.frames - 1) // 4
    if rng.random() < preset.consecutive:
        start = int(rng.integers(1, last - preset.groups + 2))
        chosen = np.arange(start, start + preset.groups)
    else:
        chosen = np.sort(rng.choice(np.arange(1, last + 1), preset.groups, replace=False))
    return np.concatenate([[0], chosen]).astype(np.int64)


@dataclass(frozen=True)
class Choice:
    """What is drawn for a batch of B samples, before anything is rendered.

    groups `[groups + 1]`: latent frame positions, and frames `[1 + 4 groups]` of the video; scenes `[B]`: numbers;
    mirrored bool `[B]`; colours `[B, 3]`: which channels of the video become the three; prompts `[B]`:
    rows of the text states.
    """

    groups: npt.NDArray[np.int64]
    frames: npt.NDArray[np.int64]
    scenes: npt.NDArray[np.int64]
    mirrored: npt.NDArray[np.bool_]
    colours: npt.NDArray[np.int64]
    prompts: npt.NDArray[np.int64]


def choose(preset: Preset, batch: int, scenes: int, seed: int, step: int) -> Choice:
    """Draws from `scenes` scenes; the text states have the empty prompt behind theirs."""
    rng = np.random.default_rng([seed, step])
    groups = frame_groups(preset, rng)
    rows = []
    for _ in range(batch):
        number = int(rng.integers(scenes))
        mirrored = rng.random() < 0.5
        colours = rng.permutation(3) if rng.random() < 0.5 else np.arange(3)
        rows.append((number, mirrored, colours, scenes if rng.random() < preset.text_dropout else number))
    frames = np.concatenate([[0], *(np.arange(4 * g - 3, 4 * g + 1) for g in groups[1:])])
    return Choice(groups, frames, *(np.stack(column) for column in zip(*rows, strict=True)))


class Scenes(Dataset[Batch]):
    """Batches by step, which are rendered. From step `boxes_from` on they show boxes, before it masks."""

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
        choice = choose(self.preset, self.batch, len(self.text) - 1, self.seed, step)
        return self.made(choice, "boxes" if step >= self.boxes_from else "masks")

    def made(self, choice: Choice, condition: str) -> Batch:
        """The batch that was chosen."""
        p = self.preset
        videos, maps, weights = [], [], []
        for number, mirrored, colours in zip(choice.scenes, choice.mirrored, choice.colours, strict=True):
            r = render(scene(p, int(number), self.split), p.size, choice.frames)
            video, drawn = r.video[..., colours], colour_maps(r.masks, r.boxes, r.visible, condition)
            weight = object_weight(torch.from_numpy(r.masks.any(0)), p.patch, p.background_weight)
            if mirrored:
                video, drawn, weight = video[:, :, ::-1], drawn[:, :, ::-1], weight.flip(2)
            videos.append(np.ascontiguousarray(video))
            maps.append(np.ascontiguousarray(drawn))
            weights.append(weight)
        text = self.text[torch.from_numpy(choice.prompts)]
        stack = torch.from_numpy
        return Batch(stack(np.stack(videos)), stack(np.stack(maps)), torch.stack(weights), text, stack(choice.groups))


def loader(scenes: Scenes, workers: int = 1) -> DataLoader[Batch]:
    """Batches in order of their step, made ahead in a process of its own."""
    return DataLoader(
        scenes, batch_size=None, shuffle=False, num_workers=workers, prefetch_factor=4 if workers else None
    )
