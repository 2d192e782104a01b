"""Batches: a pure function of seed and step, whoever makes them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from flashbench.cases.scenes.world import render
from flashmotion.conditioning import PALETTE, colour_maps
from flashmotion.presets.nano import NANO
from flashmotion.presets.schema import Preset
from flashmotion.training import data
from flashmotion.training.data import OBJECT_ODDS, Batch, Scenes, frame_groups, loader, object_weight, scene


def same(a: Batch, b: Batch) -> bool:
    return all(torch.equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(Batch))


def test_shapes(batch: Batch, toy: Preset) -> None:
    assert batch.video.shape == batch.maps.shape == (2, 9, 32, 32, 3)
    assert batch.video.dtype == batch.maps.dtype == torch.uint8
    assert batch.weight.shape == (2, 3, 4, 4) and batch.text.shape == (2, 6, 384) and batch.frames.shape == (3,)
    assert all(getattr(batch, f.name).is_contiguous() for f in dataclasses.fields(Batch))


def test_a_batch_is_a_function_of_seed_and_step(toy: Preset, text: Tensor) -> None:
    a, b = Scenes(toy, text, 2, 0), Scenes(toy, text, 2, 0)
    first = a[3]
    a[0], a[5]
    assert same(first, b[3]) and same(first, a[3])
    assert not same(first, a[4]) and not same(first, Scenes(toy, text, 2, 1)[3])


def test_a_resumed_loader_goes_on_where_the_first_stopped(toy: Preset, text: Tensor) -> None:
    whole, rest = Scenes(toy, text, 2, 0, boxes_from=3), Scenes(toy, text, 2, 0, boxes_from=3, first=2)
    assert all(same(whole[2 + i], rest[i]) for i in range(3))
    assert len(Scenes(toy, text, 2, 0, first=2, steps=7)) == 5


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_do_not_depend_on_the_workers(workers: int, toy: Preset, text: Tensor, batches: Scenes) -> None:
    few = Scenes(toy, text, 2, 0, steps=4)
    made = list(loader(few, workers))
    assert len(made) == 4 and all(same(b, batches[i]) for i, b in enumerate(made))


def test_masks_then_boxes(toy: Preset, text: Tensor) -> None:
    masks, boxes = (Scenes(toy, text, 2, 0, boxes_from=n)[4].maps for n in (5, 4))
    assert torch.equal(masks[:, 0], boxes[:, 0]) and not torch.equal(masks[:, 1:], boxes[:, 1:])
    assert (boxes[:, 1:].any(-1)).sum() < (masks[:, 1:].any(-1)).sum()
    assert {tuple(c) for c in boxes.reshape(-1, 3).tolist()} <= {(0, 0, 0), *map(tuple, PALETTE.tolist())}


def test_a_sample_is_a_scene_mirrored_or_not(toy: Preset, text: Tensor) -> None:
    """Frame 0 and whole groups at their true positions, of the scene whose prompt is given; all mirrored together."""
    fine = dataclasses.replace(toy, text_dropout=0.0, patch=4)
    mirrored = []
    for step in range(8):
        batch = Scenes(fine, text, 1, 0)[step]
        number = next(i for i in range(toy.scenes) if torch.equal(text[i], batch.text[0]))
        at = [0, *(4 * g - 3 + k for g in batch.frames[1:].tolist() for k in range(4))]
        r = render(scene(toy, number), toy.size, at)
        weight = object_weight(torch.from_numpy(r.masks.any(0)), 4, toy.background_weight).numpy()
        expected = (r.video, colour_maps(r.masks, r.boxes, r.visible, "boxes"), weight)
        found = (batch.video[0].numpy(), batch.maps[0].numpy(), batch.weight[0].numpy())
        found = (np.sort(found[0], axis=-1), *found[1:])  # colours of the video may be exchanged
        expected = (np.sort(expected[0], axis=-1), *expected[1:])
        mirrored.append(not np.array_equal(found[0], expected[0]))
        for a, b in zip(found, expected, strict=True):
            assert np.array_equal(a, b[:, :, ::-1] if mirrored[-1] else b)
    assert {True, False} == set(mirrored)


def test_some_prompts_are_dropped(toy: Preset, text: Tensor) -> None:
    def share(dropout: float) -> float:
        scenes = Scenes(dataclasses.replace(toy, text_dropout=dropout), text, 2, 0)
        return float(np.mean([torch.equal(t, text[-1]) for i in range(6) for t in scenes[i].text]))

    assert share(0.0) == 0 and share(1.0) == 1 and 0.1 < share(0.5) < 0.9


def test_object_weight_is_one_on_and_beside_objects_now_or_at_first() -> None:
    masks = np.zeros((2, 9, 24, 24), np.bool_)
    masks[0, 0, 9, 9] = True  # position (2, 2) of patches of 4 on frame 0
    masks[1, 7, 20, 0] = True  # position (5, 0), in the second group (frames 5..8)
    weight = object_weight(torch.from_numpy(masks.any(0)), 4, 0.25)
    assert weight.shape == (3, 6, 6) and weight.dtype == torch.float32
    many = object_weight(torch.from_numpy(np.stack([masks.any(0), masks[1]])), 4, 0.25)
    assert torch.equal(many[0], weight) and not torch.equal(many[1], weight)
    weight = weight.numpy()

    def near(*cells: tuple[int, int]) -> np.ndarray:
        out = np.full((6, 6), 0.25, np.float32)
        for y, x in cells:
            for dy, dx in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
                if 0 <= y + dy < 6 and 0 <= x + dx < 6:
                    out[y + dy, x + dx] = 1
        return out

    assert np.array_equal(weight[0], near((2, 2))) and np.array_equal(weight[1], near((2, 2)))
    assert np.array_equal(weight[2], near((2, 2), (5, 0)))


def test_positions_are_frame_0_and_rising_ones_of_the_whole_clip() -> None:
    drawn = [frame_groups(NANO, np.random.default_rng(i)) for i in range(300)]
    assert all(len(f) == NANO.groups + 1 and f[0] == 0 and (np.diff(f) > 0).all() for f in drawn)
    later = np.concatenate([f[1:] for f in drawn])
    assert later.min() == 1 and later.max() == 30 and len(set(later.tolist())) == 30
    consecutive = np.mean([(np.diff(f[1:]) == 1).all() for f in drawn])
    assert abs(consecutive - NANO.consecutive) < 0.1


def test_scenes_are_numbered_and_splits_apart(toy: Preset) -> None:
    assert scene(toy, 3).prompt == scene(toy, 3).prompt != scene(toy, 4).prompt
    assert {a.sprite.split for a in scene(toy, 3).actors} == {"train"}
    assert {a.sprite.split for a in scene(toy, 3, "test").actors} == {"test"}
    counts = np.bincount([len(scene(toy, i).named) for i in range(150)], minlength=9)[1:] / 150
    assert sum(OBJECT_ODDS) == pytest.approx(1) and np.abs(counts - OBJECT_ODDS).max() < 0.12


class FakeMiniLM:
    calls: list[str] = []

    @classmethod
    def load(cls) -> FakeMiniLM:
        return cls()

    def tokens(self, texts: list[str], length: int) -> tuple[Tensor, Any]:
        self.calls.extend(texts)
        return torch.stack([torch.full((length, 384), float(len(t))) for t in texts]), None


def test_prompts_are_encoded_once_the_empty_one_last(
    toy: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flashbench.backbones.minilm.MiniLM", FakeMiniLM)
    monkeypatch.setattr(FakeMiniLM, "calls", [])
    states = data.text_states(toy, tmp_path)
    prompts = [scene(toy, i).prompt for i in range(8)]
    assert FakeMiniLM.calls == [*prompts, ""]
    assert states.shape == (9, 6, 384) and states.dtype == torch.float16
    assert states[:, 0, 0].tolist() == [*map(len, prompts), 0]
    again = data.text_states(toy, tmp_path)
    assert torch.equal(again, states) and len(FakeMiniLM.calls) == 9
    test = data.text_states(toy, tmp_path, "test", 3)
    assert test.shape[0] == 4 and test[0, 0, 0] == len(scene(toy, 0, "test").prompt)
