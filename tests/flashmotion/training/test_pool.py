"""Rendered once: the same batches as rendered for each."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from flashbench.errors import InputError
from flashbench.files.atomic import folder_lock
from flashmotion.presets.schema import Preset
from flashmotion.training import pool
from flashmotion.training.data import Batch, Scenes, choose
from flashmotion.training.pool import Pool, Pooled, on_device, rendered


@pytest.fixture
def full(toy: Preset, tmp_path: Path) -> Pool:
    return rendered(toy, tmp_path, 1)


def test_the_pool_makes_the_same_batches(toy: Preset, text: Tensor, full: Pool) -> None:
    """Masks before step 4, boxes from it on; mirrored or not, with other colours or not, with and without a prompt."""
    pooled, scenes = Pooled(full, toy, text, 3, 0, 4), Scenes(toy, text, 3, 0, 4)
    drawn = [choose(toy, 3, len(text) - 1, 0, step) for step in range(8)]
    assert {bool(m) for c in drawn for m in c.mirrored} == {True, False}
    assert len({tuple(row) for c in drawn for row in c.colours}) > 2
    for step in range(8):
        a, b = pooled[step], scenes[step]
        for field in dataclasses.fields(Batch):
            x, y = getattr(a, field.name), getattr(b, field.name)
            assert x.dtype == y.dtype and torch.equal(x, y), (step, field.name)


def test_it_goes_on_where_it_stopped(toy: Preset, text: Tensor, full: Pool) -> None:
    whole, rest = Pooled(full, toy, text, 2, 0), Pooled(full, toy, text, 2, 0, 0, 3, 7)
    assert torch.equal(whole[4].video, rest[1].video) and len(rest) == 4


def test_a_batch_stays_on_the_device_of_the_pool(toy: Preset, text: Tensor, full: Pool) -> None:
    meta = torch.device("meta")
    batch = Pooled(on_device(full, meta), toy, text, 2, 0)[0]
    assert {getattr(batch, f.name).device for f in dataclasses.fields(Batch)} == {meta}


def test_processes_render_the_same(toy: Preset, tmp_path: Path, full: Pool) -> None:
    other = rendered(toy, tmp_path / "other", 3)
    assert torch.equal(other.video, full.video) and torch.equal(other.maps, full.maps)
    assert full.video.shape == (8, 17, 32, 32, 3) and full.maps.shape == (8, 17, 32, 32)


def test_rendered_once(toy: Preset, tmp_path: Path, full: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(pool, "_render", never)
    assert torch.equal(rendered(toy, tmp_path, 1).video, full.video)
    with pytest.raises(AssertionError):
        rendered(dataclasses.replace(toy, frames=21), tmp_path, 1)


def test_a_world_that_looks_different_is_rendered_anew(
    toy: Preset, tmp_path: Path, full: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = pool.render
    monkeypatch.setattr(pool, "render", lambda *a: original(*a)._replace(video=255 - original(*a).video))
    assert torch.equal(rendered(toy, tmp_path, 1).video, 255 - full.video)


def test_what_was_not_finished_is_made_again(toy: Preset, tmp_path: Path, full: Pool) -> None:
    (folder,) = tmp_path.glob("pool-toy-*")
    assert json.loads((folder / "done.json").read_text())["scenes"] == 8
    (folder / "done.json").unlink()
    expected = full.video.clone()
    np.load(folder / "video.npy", mmap_mode="r+")[:] = 0
    with folder_lock(folder), pytest.raises(InputError, match="in use by another process"):
        rendered(toy, tmp_path, 1)
    assert torch.equal(rendered(toy, tmp_path, 1).video, expected)


def test_a_disk_that_is_too_small(toy: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr(pool.shutil, "disk_usage", lambda folder: Usage)
    with pytest.raises(InputError, match=r"needs 0.0 GB, 0.0 GB are free; leave --pool out"):
        rendered(toy, tmp_path, 1)


def test_a_process_that_dies(toy: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_fill", lambda *args: exit(9))
    with pytest.raises(InputError, match="a process that renders scenes has died"):
        rendered(toy, tmp_path, 2)
    assert not list(tmp_path.glob("*/done.json"))


def test_a_card_that_is_too_small(full: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 2000))
    with pytest.raises(InputError, match=r"--pool: needs .* GB of the GPU, 0.0 GB are free; leave it out"):
        on_device(full, torch.device("cuda"))
