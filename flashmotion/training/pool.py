"""All training scenes rendered once and kept on the device, where batches are gathered without any CPU work.

`Pooled` makes the same batches as `data.Scenes`, bit for bit. Nano's 8,192 scenes are 16 GB; they are rendered in 15
CPU minutes, by as many processes as are given, into files that later runs map.
"""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flashbench.cases.scenes.world import render
from flashbench.errors import InputError
from flashbench.files.atomic import folder_lock, sha256_arrays, sha256_json, write_json
from flashbench.workers import spread
from flashmotion.conditioning import COLOURS, index_maps
from flashmotion.device import moved, placed
from flashmotion.presets.schema import Preset
from flashmotion.training.data import Batch, Choice, Scenes, object_weight, prompts_of, scene

PROBES = 8  # scenes that are rendered to see whether files show the world as it is


@dataclass(frozen=True)
class Pool:
    """video uint8 `[S, T, H, W, 3]`; maps uint8 `[S, T, H, W]`: colour numbers of masks + 16 x those of boxes."""

    video: Tensor
    maps: Tensor


def _clip(preset: Preset, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Video uint8 `[T, H, W, 3]` and maps uint8 `[T, H, W]` of a training scene."""
    r = render(scene(preset, number), preset.size)
    masks, boxes = (index_maps(r.masks, r.boxes, r.visible, c) for c in ("masks", "boxes"))
    return r.video, masks | boxes << 4


def _fill(preset: Preset, folder: Path, number: str) -> None:
    """Renders a scene into the files."""
    video, maps = (np.load(folder / name, mmap_mode="r+") for name in ("video.npy", "maps.npy"))
    video[int(number)], maps[int(number)] = _clip(preset, int(number))


def _render(preset: Preset, folder: Path, workers: int) -> None:
    shape = (preset.scenes, preset.frames, preset.size, preset.size)
    need, free = 4 * int(np.prod(shape)), shutil.disk_usage(folder).free
    if need > free:
        raise InputError(folder, f"needs {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free", "leave --pool out")
    np.lib.format.open_memmap(folder / "video.npy", "w+", np.uint8, (*shape, 3))
    np.lib.format.open_memmap(folder / "maps.npy", "w+", np.uint8, shape)
    numbers = [str(i) for i in range(preset.scenes)]
    try:
        with closing(spread(partial(_fill, preset, folder), numbers, workers)) as done:
            for _ in done:
                pass
    except RuntimeError as error:
        what = "a process that renders scenes has died"
        raise InputError(folder, what, "give it more memory, or fewer --workers") from error


def rendered(preset: Preset, cache: Path, workers: int) -> Pool:
    """The pool, out of files in `cache` that are made where they are missing.

    Raises:
        InputError: the disk is too small, a process died, or another one is rendering the same scenes.
    """
    probes = np.linspace(0, preset.scenes - 1, min(PROBES, preset.scenes)).astype(int)
    looks = sha256_arrays(*(array for i in probes for array in _clip(preset, int(i))))
    name = sha256_json([prompts_of(preset, "train", preset.scenes), preset.size, preset.frames, looks])
    folder = cache / f"pool-{preset.name}-{name[:16]}"
    if not (folder / "done.json").exists():
        with folder_lock(folder):
            started = time.monotonic()
            _render(preset, folder, workers)
            write_json(folder / "done.json", {"scenes": preset.scenes, "seconds": round(time.monotonic() - started)})
        took = time.monotonic() - started
        print(f"{preset.scenes} scenes rendered in {took:.0f} s: {folder}", file=sys.stderr, flush=True)
    # Mapped copy-on-write: torch takes no arrays that cannot be written to.
    video, maps = (torch.from_numpy(np.load(folder / n, mmap_mode="c")) for n in ("video.npy", "maps.npy"))
    return Pool(video, maps)


def on_device(pool: Pool, device: torch.device) -> Pool:
    """The pool on a device.

    Raises:
        InputError: it does not fit.
    """
    if device.type == "cuda":
        need, free = pool.video.nbytes + pool.maps.nbytes, torch.cuda.mem_get_info(device)[0]
        if need > 0.9 * free:
            what = f"needs {need / 1e9:.1f} GB of the GPU, {free / 1e9:.1f} GB are free"
            raise InputError("--pool", what, "leave it out")
    return placed(pool, device)


class Pooled(Scenes):
    """`Scenes` out of a pool, on its device."""

    def __init__(self, pool: Pool, preset: Preset, text: Tensor, batch: int, seed: int, *more: int) -> None:
        self.pool, self.device = pool, pool.video.device
        super().__init__(preset, moved(text, self.device), batch, seed, *more)
        self.colours = moved(torch.from_numpy(COLOURS), self.device)

    def made(self, choice: Choice, condition: str) -> Batch:
        rows = choice.scenes[:, None] * self.preset.frames + choice.frames  # (B, F)
        names = ("groups", "mirrored", "colours", "prompts")
        rows, groups, mirrored, colours, prompts = (
            moved(torch.from_numpy(x), self.device) for x in (rows, *(getattr(choice, n) for n in names))
        )
        video, maps = self.pool.video.flatten(0, 1)[rows], self.pool.maps.flatten(0, 1)[rows]
        turned = mirrored.view(-1, 1, 1, 1)
        maps = torch.where(turned, maps.flip(3), maps)
        video = torch.where(turned[..., None], video.flip(3), video)
        video = video.gather(4, colours.view(-1, 1, 1, 1, 3).expand_as(video))
        masks = maps & 15
        drawn = masks if condition == "masks" else maps >> 4
        weight = object_weight(masks > 0, self.preset.patch, self.preset.background_weight)
        return Batch(video, self.colours[drawn.int()], weight, self.text[prompts], groups)
