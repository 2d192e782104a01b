"""Scenes: what the truth says is what the pixels show; any frames, any size, the same scene."""

from __future__ import annotations

import dataclasses
import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest

from flashbench.cases.scenes import weather, world
from flashbench.cases.scenes.atlas import load_atlas
from flashbench.cases.scenes.raster import ONE, Placement, alpha
from flashbench.cases.scenes.world import Actor, Scene, follow, render, sample_scene

SIZE, FRAMES = 64, 121
SOME = (0, 1, 17, 60, 61, 119, 120)


def scene(seed: int, objects: int = 3, split: str = "test", frames: int = FRAMES) -> Scene:
    return sample_scene(np.random.default_rng(seed), objects, split, frames)


def bare(*actors: Actor, frames: int = 9) -> Scene:
    """A clear, still scene with the given actors."""
    base = scene(0, 1, frames=frames)
    return dataclasses.replace(base, pan=(0, 0), blur=0, weather="clear", clouds=(), actors=actors)


def actor(at: tuple[float, float], side: float = 0.4, sprite: int = 0, frames: int = 9, step: float = 0.0) -> Actor:
    """A sprite that stands, or goes right by `step` frame sides a frame."""
    x = np.array([at[0] + step * k for k in range(frames)])
    path = np.rint(np.stack([x, np.full(frames, at[1])], axis=1) * ONE).astype(np.int64)
    still, scale = (0, 0, 0), np.full(frames, ONE, np.int64)
    sprites = load_atlas().sprites("test")
    return Actor(sprites[sprite], "line", round(side * ONE), path, scale, still, still, False)


@pytest.mark.parametrize("seed", range(6))
def test_any_frames_are_those_of_the_whole(seed: int) -> None:
    s = scene(seed, 1 + seed)
    whole, part = render(s, SIZE), render(s, SIZE, SOME)
    for name in ("video", "masks", "boxes", "centres", "visible"):
        axis = 0 if name == "video" else 1
        a, b = getattr(whole, name), getattr(part, name)
        assert np.array_equal(np.take(a, SOME, axis), b), name


def test_frames_are_drawn_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    s = next(x for x in (scene(i, 3) for i in range(50)) if x.pan != (0, 0) and x.clouds)
    monkeypatch.setattr(world, "AT_ONCE", FRAMES * SIZE**2)
    together = render(s, SIZE)
    monkeypatch.setattr(world, "AT_ONCE", 7 * SIZE**2)
    apart = render(s, SIZE)
    for name in ("video", "masks", "boxes", "centres", "visible"):
        a, b = getattr(together, name), getattr(apart, name)
        assert np.array_equal(a, b) and a.dtype == b.dtype, name
    for first, second in zip(together.place, apart.place, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_memory_does_not_grow_with_the_frames() -> None:
    peaks = []
    for frames in (61, 481):
        s = next(x for x in (scene(i, 3, frames=frames) for i in range(50)) if x.pan != (0, 0) and x.clouds)
        render(s, 64, [0])  # its textures are kept
        tracemalloc.start()
        made = render(s, 64)
        peaks.append(tracemalloc.get_traced_memory()[1] - 2 * made.video.nbytes - 2 * made.masks.nbytes)
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]


def test_prepared_textures_are_all_that_a_scene_takes() -> None:
    world._sprite_texture.cache_clear()
    world.prepare("test", textures=False)
    assert world._sprite_texture.cache_info().currsize == 0
    world.prepare("test", textures=True)
    made = world._sprite_texture.cache_info().misses
    assert made == 2 * len(load_atlas().sprites("test")) == world._sprite_texture.cache_info().currsize
    for seed in range(6):
        render(scene(seed, 1 + seed), SIZE, (0,))
    assert world._sprite_texture.cache_info().misses == made


def test_samples_cover_every_weather_and_both_cameras() -> None:
    scenes = [scene(i, 1 + i % 8) for i in range(120)]
    assert {s.weather for s in scenes} == {"clear", *weather.KINDS}
    assert {s.pan == (0, 0) for s in scenes} == {True, False} and {s.blur > 0 for s in scenes} == {True, False}
    share = np.mean([len(s.named) < len(s.actors) for s in scenes])
    assert 0.05 < share < 0.35  # small movers that nobody asked for


@pytest.mark.parametrize("objects", range(1, 9))
def test_a_scene_holds_the_asked_number_of_different_objects(objects: int) -> None:
    for split in ("train", "test"):
        s = scene(objects, objects, split)
        assert len(s.named) == objects == len({a.sprite.name for a in s.named})
        assert {a.sprite.split for a in s.actors} == {split} == {s.background.split}
        assert all(f"{a.sprite.article} {a.sprite.name}" in s.prompt.lower() + s.prompt for a in s.named)
        assert s.weather == "clear" or weather.KINDS[s.weather].phrase in s.prompt


@pytest.mark.parametrize("seed", range(12))
def test_the_background_fills_every_frame(seed: int) -> None:
    canvas = world._background(scene(seed), SIZE, np.arange(FRAMES)[::12])
    assert (alpha(canvas) == 255).all()


def test_a_moving_camera_moves_and_a_still_one_does_not() -> None:
    for seed in range(12):
        s = dataclasses.replace(scene(seed), actors=scene(seed).actors[:1], clouds=(), weather="clear")
        ground = world._background(s, SIZE, np.array([0, 120]))
        assert np.array_equal(ground[0], ground[1]) == (s.pan == (0, 0))


def test_masks_are_modal_and_nobody_owns_a_pixel_twice() -> None:
    for seed in range(6):
        r = render(scene(seed, 5), SIZE, range(0, FRAMES, 5))
        assert r.masks.sum(0).max() == 1
        assert np.array_equal(r.visible, r.masks.any((2, 3)))


def test_the_nearer_object_hides_the_farther_one() -> None:
    a, b = actor((0.45, 0.5), sprite=0), actor((0.55, 0.5), sprite=1)
    alone = [render(bare(x), SIZE) for x in (a, b)]
    both, swapped = render(bare(a, b), SIZE), render(bare(b, a), SIZE)
    whole_a, whole_b = alone[0].masks[0], alone[1].masks[0]
    assert (whole_a & whole_b).sum() > 9 * 50
    assert np.array_equal(both.masks[1], whole_b) and np.array_equal(both.masks[0], whole_a & ~whole_b)
    assert np.array_equal(swapped.masks[1], whole_a) and np.array_equal(swapped.masks[0], whole_b & ~whole_a)
    assert np.array_equal(both.boxes[0], alone[0].boxes[0])  # boxes are of the whole object
    solid = alone[1].masks[0, 0]
    solid = solid & np.roll(solid, 2, 0) & np.roll(solid, -2, 0) & np.roll(solid, 2, 1) & np.roll(solid, -2, 1)
    assert np.abs(both.video[0][solid].astype(int) - alone[1].video[0][solid]).max() < 60


def test_an_unnamed_mover_hides_but_is_not_told() -> None:
    a = actor((0.5, 0.5), sprite=0)
    mover = dataclasses.replace(actor((0.5, 0.5), side=0.1, sprite=1), named=False)
    r, alone = render(bare(a, mover), SIZE), render(bare(a), SIZE)
    assert len(r.masks) == len(r.boxes) == len(r.place) == 1
    hidden = alone.masks[0] & ~r.masks[0]
    assert 0 < hidden[0].sum() < 60 and (r.video != alone.video).any()
    assert bare(a, mover).prompt == bare(a).prompt


def test_boxes_are_tight_round_what_is_seen_of_an_unhidden_object() -> None:
    count = 0
    for seed in range(8):
        r = render(scene(seed, 1), SIZE, range(0, FRAMES, 8))
        s = scene(seed, 1)
        if len(s.actors) > 1:
            continue
        for mask, box in zip(r.masks[0], r.boxes[0], strict=True):
            if (box[:2] < -0.5).any() or (box[2:] > SIZE - 0.5).any():
                continue
            ys, xs = np.nonzero(mask)
            assert box.tolist() == [xs.min() - 0.5, ys.min() - 0.5, xs.max() + 0.5, ys.max() + 0.5]
            count += 1
    assert count > 50


def test_boxes_go_on_beyond_the_frame() -> None:
    """An object that leaves keeps its size, and its box says where the unseen part is."""
    r = render(bare(actor((0.8, 0.5), step=0.05)), SIZE)
    size = r.boxes[0, :, 2:] - r.boxes[0, :, :2]
    assert np.abs(size - size[0]).max() <= 1
    assert r.boxes[0, -1, 2] > SIZE + 10 and r.visible[0, 0]
    assert np.abs(np.diff(r.boxes[0, :, 0]) - 0.05 * SIZE).max() <= 1


def test_half_a_pixel_is_seen_and_changes_little() -> None:
    at = [0.5 + k / (16 * SIZE) for k in range(17)]
    videos = [render(bare(actor((x, 0.5))), SIZE, [0]).video[0].astype(int) for x in at]
    steps = [np.abs(b - a).max() for a, b in zip(videos, videos[1:], strict=False)]
    whole = np.abs(videos[16] - videos[0]).max()
    assert np.median(steps) > 0 and max(steps) < 0.3 * whole
    assert np.abs(videos[8] - (videos[0] + videos[16]) / 2).mean() < 1.0


def test_the_same_scene_at_twice_the_size() -> None:
    for seed in range(4):
        s = scene(seed, 3)
        small, large = (render(s, n, SOME) for n in (96, 192))
        assert np.abs((small.centres + 0.5) * 2 - 0.5 - large.centres).max() < 1e-3
        assert np.abs((small.boxes + 0.5) * 2 - 0.5 - large.boxes).max() <= 3
        down = large.video.reshape(len(SOME), 96, 2, 96, 2, 3).mean((2, 4))
        assert np.abs(down - small.video).mean() < 5
        assert small.masks.sum() * 4 == pytest.approx(large.masks.sum(), rel=0.05)


def test_exit_and_return_really_leaves() -> None:
    seen = 0
    for seed in range(60):
        s = scene(seed, 1)
        if s.actors[-1].family == "exit-and-return":
            visible = render(s, 32).visible[0]
            runs = np.flatnonzero(np.diff(visible.astype(int)))
            assert visible[0] and visible[-1] and len(runs) == 2 and (~visible).sum() >= 8
            seen += 1
    assert seen >= 3


def test_every_object_starts_in_sight() -> None:
    """A decent part of each object is seen on frame 0, in scenes of any number of objects and both splits."""
    for split in ("train", "test"):
        for seed in range(24):
            s = scene(1000 + seed, 1 + seed % 8, split)
            r = render(s, SIZE, [0])
            box = r.boxes[:, 0]
            share = r.masks[:, 0].sum((1, 2)) / ((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]))
            assert r.masks[:, 0].sum((1, 2)).min() >= 16 and share.min() > 0.1
            assert box[:, :2].min() >= -4 and box[:, 2:].max() <= SIZE + 3


def _place(**values: npt.ArrayLike) -> Placement:
    n = 3
    base = {"x": 32, "y": 30, "width": 20, "height": 16, "angle": 0, "opacity": 256}
    scaled = {k: np.broadcast_to(np.asarray(values.get(k, v), float), n) for k, v in base.items()}
    exact = {k: v if k == "opacity" else v * ONE for k, v in scaled.items()}
    return Placement(**{k: np.rint(v).astype(np.int64) for k, v in exact.items()})


def test_follow_carries_points_with_the_object() -> None:
    points = np.array([[32.0, 30.0], [40.0, 30.0], [30.0, 33.5]])
    moved = follow(points, _place(x=[32, 35, 10], y=[30, 29.5, 60]))
    assert moved.dtype == np.float32 and moved.shape == (3, 3, 2)
    assert np.allclose(moved, points[:, None] + np.array([[0, 0], [3, -0.5], [-22, 30]]), atol=1 / 256)
    grown = follow(points, _place(width=[20, 40, 20], height=[16, 32, 8]))
    assert np.allclose(grown[:, 1], (points - (32, 30)) * 2 + (32, 30), atol=1 / 256)
    assert np.allclose(grown[:, 2], (points - (32, 30)) * (1, 0.5) + (32, 30), atol=1 / 256)
    turned = follow(points, _place(angle=[0, 0.25, 0.5]))
    assert np.allclose(turned[1], [[40, 30], [32, 38], [24, 30]], atol=1 / 256)  # x turns toward y


def test_points_stay_on_the_same_part_of_the_drawn_object() -> None:
    """Truth against pixels: what is drawn at a followed point keeps its colour, though the object wobbles."""
    sprites = load_atlas().sprites("test")
    base = actor((0.5, 0.5), side=0.7, sprite=0, frames=FRAMES)
    turning = dataclasses.replace(base, wobble=(2500, 700, 100), squash=(80, 900, 300), sprite=sprites[3])
    r = render(bare(turning, frames=FRAMES), 128, range(0, FRAMES, 6))
    ys, xs = np.nonzero(r.masks[0, 0])
    pick = np.random.default_rng(0).choice(len(xs), 60, replace=False)
    tracks = follow(np.stack([xs[pick], ys[pick]], axis=1).astype(float), r.place[0])
    cells = np.rint(tracks).astype(int)
    colours = np.stack([r.video[k][cells[:, k, 1], cells[:, k, 0]] for k in range(len(r.video))], axis=1).astype(float)
    frozen = np.stack([r.video[k][ys[pick], xs[pick]] for k in range(len(r.video))], axis=1).astype(float)
    drift, control = (np.abs(c - c[:, :1]).mean() for c in (colours, frozen))
    assert drift < 9 and control > 1.5 * drift


@pytest.mark.parametrize("size", [33, 64, 100])
def test_any_size(size: int) -> None:
    r = render(scene(4, 2), size, [0, 60])
    assert r.video.shape == (2, size, size, 3) and r.video.dtype == np.uint8 and r.masks.shape == (2, 2, size, size)
    assert r.boxes.dtype == r.centres.dtype == np.float32
