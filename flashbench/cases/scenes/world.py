"""The procedural world of `sprites-v1`: named objects on asked paths, over photographs, in weather nobody controls.

A Scene holds only integers and references into the atlas; `render` draws any of its frames at any size. What is open
to a model: the gait of objects (wobble, squash), the weather's particles, and in one scene of six a small mover.
Paths span the whole video, whatever its length.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flashbench.cases.boxes import tight
from flashbench.cases.scenes import motion, prompts, weather
from flashbench.cases.scenes.atlas import Background, Sprite, load_atlas
from flashbench.cases.scenes.raster import (
    ONE,
    Landing,
    Patch,
    Placement,
    Texture,
    alpha,
    box_blur,
    land,
    over,
    resample,
    sample,
    unpack,
)
from flashbench.cases.scenes.weather import Cloud

I64 = npt.NDArray[np.int64]
FPS = 24

# Object size by number of objects: longer side in thousandths of the frame side.
# fmt: off
SIZES = {
    1: (340, 460), 2: (290, 390), 3: (260, 340), 4: (230, 300), 5: (200, 270), 6: (185, 240), 7: (175, 215),
    8: (165, 200),
}
# fmt: on


@dataclass(frozen=True)
class Actor:
    """One sprite on its path. Lengths in 1/65536 of the frame side, angles in 1/65536 turn, gait in thousandths.

    opacity: `[T]`, 256 = solid; None: solid throughout.
    """

    sprite: Sprite
    family: str
    side: int
    path: I64  # [T, 2]
    scale: I64  # [T], 65536 = own size
    wobble: tuple[int, int, int]  # amplitude (1/65536 turn), rate (millihertz), phase (thousandths)
    squash: tuple[int, int, int]  # amplitude (thousandths), rate, phase
    mirror: bool
    named: bool = True  # False: a mover that nobody asked for
    opacity: I64 | None = None


@dataclass(frozen=True)
class Scene:
    """Everything that decides the pixels. `actors` are in drawing order, farthest first."""

    background: Background
    view: tuple[int, int, int]  # left, top, side of the view in thousandths of the photograph's shorter side
    pan: tuple[int, int]  # movement of the view over the video, same unit
    blur: int  # defocus, thousandths of the view
    actors: tuple[Actor, ...]
    weather: str
    clouds: tuple[Cloud, ...]
    frames: int

    @property
    def named(self) -> tuple[Actor, ...]:
        return tuple(a for a in self.actors if a.named)

    @property
    def prompt(self) -> str:
        names = [f"{a.sprite.article} {a.sprite.name}".strip() for a in self.named]
        clause = weather.KINDS[self.weather].phrase if self.weather != "clear" else None
        place = "the " + self.background.name.partition(", part")[0]
        return prompts.prompt(names, [a.family for a in self.named], place, clause)


AT_ONCE = 2**16  # pixels of all frames that are drawn together


class Rendered(NamedTuple):
    """F frames of a scene, N named objects.

    video uint8 [F, S, S, 3]; masks bool [N, F, S, S] modal; boxes float32 [N, F, 4] px, of the whole object;
    centres float32 [N, F, 2] px; visible bool [N, F]; place: per object the Placement it was drawn with.
    """

    video: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.bool_]
    boxes: npt.NDArray[np.float32]
    centres: npt.NDArray[np.float32]
    visible: npt.NDArray[np.bool_]
    place: tuple[Placement, ...]


def _gait(rng: np.random.Generator) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    wobble = (int(rng.integers(0, 2900)), int(rng.integers(400, 1300)), int(rng.integers(0, 1000)))
    squash = (int(rng.integers(0, 90)), int(rng.integers(500, 1600)), int(rng.integers(0, 1000)))
    kind = rng.random()
    still = (0, 0, 0)
    return (
        (wobble, squash)
        if kind < 0.4
        else (wobble, still)
        if kind < 0.7
        else (still, squash)
        if kind < 0.9
        else (still, still)
    )


def _hop(rng: np.random.Generator, m: motion.Motion, t: npt.NDArray[np.float64], side: int) -> motion.Motion:
    """Some objects hop along: part of the asked path, since boxes show it."""
    if rng.random() > 0.2:
        return m
    hops, height = int(rng.integers(3, 8)), side * int(rng.integers(60, 160)) // 1000
    lift = np.rint(np.abs(np.sin(np.pi * hops * t)) * height).astype(np.int64)
    return motion.Motion(m.path - np.stack([np.zeros_like(lift), lift], axis=1), m.scale)


def _actor(rng: np.random.Generator, sprite: Sprite, n: int, frames: int, taken: list[Actor]) -> Actor:
    lo, hi = SIZES[n]
    side = int(rng.integers(lo, hi + 1)) * ONE // 1000
    t = np.arange(frames) / max(frames - 1, 1)
    names = list(motion.FAMILIES)
    family = names[int(rng.integers(len(names)))] if n < 2 or rng.random() > 0.25 else "crossing"
    margin = 0.5 * side / ONE * 1.06
    best: motion.Motion | None = None
    best_gap = -1e9
    for _ in range(40):
        start = margin + (1 - 2 * margin) * rng.random(2)
        here = start * ONE
        gap = min((float(np.abs(a.path[0] - here).max()) / (0.5 * (a.side + side)) for a in taken), default=2.0)
        if gap > best_gap:
            best, best_gap = motion.FAMILIES[family](rng, t, start, margin), gap
        if gap >= 1.05:
            break
    assert best is not None
    wobble, squash = _gait(rng)
    best = _hop(rng, best, t, side)
    return Actor(sprite, family, side, best.path, best.scale, wobble, squash, bool(rng.random() < 0.5))


def _mover(rng: np.random.Generator, sprite: Sprite, frames: int) -> Actor:
    side = int(rng.integers(70, 95)) * ONE // 1000
    t = np.arange(frames) / max(frames - 1, 1)
    m = motion.line(rng, t, motion._inside(rng, 0.06), 0.06)
    return Actor(sprite, "line", side, m.path, m.scale, (0, 0, 0), (0, 0, 0), False, named=False)


def sample_scene(rng: np.random.Generator, objects: int, split: str, frames: int = 121) -> Scene:
    """Draws a scene with `objects` (1..8) named objects from the given split (`train` or `test`) of the atlas."""
    atlas = load_atlas()
    sprites, grounds = atlas.sprites(split), atlas.backgrounds(split)
    ground = grounds[int(rng.integers(len(grounds)))]
    h, w = ground.rgb.shape[:2]
    short = min(h, w)
    side = int(rng.integers(600, 880)) // 40 * 40  # few distinct sizes and blurs: their pictures are kept
    moving = rng.random() < 0.35
    pan = (int(rng.integers(-120, 121)), int(rng.integers(-60, 61))) if moving else (0, 0)

    def corner(extent: int, shift: int) -> int:
        lo, hi = max(0, -shift), 1000 * extent // short - side - max(0, shift)
        return int(rng.integers(lo, hi + 1)) if hi > lo else lo

    view = (corner(w, pan[0]), corner(h, pan[1]), side)
    # Mostly out of focus, always where the camera moves: fine grain that slides would outweigh all else in FVD.
    blur = int(rng.integers(16, 48)) // 8 * 8 if moving or rng.random() < 0.8 else 0
    chosen = rng.choice(len(sprites), objects + 1, replace=False)
    actors: list[Actor] = []
    for i in range(objects):
        actors.append(_actor(rng, sprites[int(chosen[i])], objects, frames, actors))
    order = [int(i) for i in rng.permutation(objects)]
    cast = [actors[i] for i in order]
    if rng.random() < 1 / 6:
        cast.insert(0, _mover(rng, sprites[int(chosen[-1])], frames))
    kinds = list(weather.KINDS)
    kind = kinds[int(rng.integers(len(kinds)))] if rng.random() < 0.75 else "clear"
    clouds = weather.sample_clouds(rng, kind) if kind != "clear" else ()
    return Scene(ground, view, pan, blur, tuple(cast), kind, clouds, frames)


def prepare(split: str, textures: bool) -> None:
    """Loads the atlas, and makes the textures of all sprites of a split, if asked: half a second and 27 MB."""
    sprites = load_atlas().sprites(split)
    for sprite in sprites if textures else ():
        for mirror in (False, True):
            _sprite_texture(sprite.code, split, mirror)


@lru_cache(maxsize=512)
def _sprite_texture(code: str, split: str, mirror: bool) -> tuple[Texture, Texture]:
    """The sprite and its soft shadow."""
    sprite = next(s for s in load_atlas().sprites(split) if s.code == code)
    rgba = sprite.rgba[:, ::-1] if mirror else sprite.rgba
    dark = np.zeros_like(rgba)
    dark[..., 3] = box_blur(np.pad(rgba[..., 3:], ((12, 12), (12, 12), (0, 0))), 5)[12:-12, 12:-12, 0]
    return Texture.build(np.ascontiguousarray(rgba)), Texture.build(dark, largest=48)


@lru_cache(maxsize=16)  # a quarter of a megabyte each; more save little, since hardly two scenes need the same
def _ground_texture(name: str, split: str, blur: int, texels: int) -> Texture:
    """Background with its shorter side at about `texels`, defocused by `blur` thousandths of that."""
    ground = next(b for b in load_atlas().backgrounds(split) if b.name == name)
    h, w = ground.rgb.shape[:2]
    short = min(h, w)
    scale = min(texels, short)
    rgb = resample(ground.rgb, round(h * scale / short), round(w * scale / short))
    rgb = box_blur(rgb, blur * scale // 1000)
    rgba = np.concatenate([rgb, np.full((*rgb.shape[:2], 1), 255, np.uint8)], axis=-1)
    return Texture.build(rgba, largest=max(rgb.shape[:2]))


def _background(scene: Scene, size: int, at: I64) -> npt.NDArray[np.uint64]:
    h, w = scene.background.rgb.shape[:2]
    short = min(h, w)
    left, top, side = scene.view
    texels = -(-size * 1000 // side)
    texture = _ground_texture(scene.background.name, scene.background.split, scene.blur, texels)
    still = scene.pan == (0, 0)
    when = at[:1] if still else at
    last = max(scene.frames - 1, 1)
    # Size on the frame of the whole photograph, and where its centre lies.
    full_w, full_h = size * ONE * 1000 * w // (side * short), size * ONE * 1000 * h // (side * short)
    shift_x = left * last + scene.pan[0] * when
    shift_y = top * last + scene.pan[1] * when
    x = full_w // 2 - shift_x * size * ONE // (side * last) - ONE // 2
    y = full_h // 2 - shift_y * size * ONE // (side * last) - ONE // 2
    n = len(when)
    canvas = np.zeros((n, size, size), np.uint64)
    place = Placement(x, y, np.full(n, full_w), np.full(n, full_h), np.zeros(n, np.int64), np.full(n, 256))
    over(canvas, land(sample(texture, place, window=(size, size)), (size, size)))
    return np.repeat(canvas, len(at), axis=0) if still else canvas


def _placement(actor: Actor, size: int, at: I64, frames: int) -> Placement:
    time = at * 1000 // FPS  # ms

    def wave(rate: int, phase: int) -> npt.NDArray[np.float64]:
        return np.sin(2 * np.pi * ((time * rate // 1000 + phase) % 1000) / 1000)

    angle = np.rint(wave(*actor.wobble[1:]) * actor.wobble[0]).astype(np.int64)
    squash = np.rint(wave(*actor.squash[1:]) * actor.squash[0]).astype(np.int64)
    side = actor.side * actor.scale[at] // ONE * size
    path = actor.path[at] * size - ONE // 2
    return Placement(
        path[:, 0],
        path[:, 1],
        side * (1000 + squash) // 1000,
        side * (1000 - squash) // 1000,
        angle,
        np.full(len(at), 256) if actor.opacity is None else actor.opacity[at],
    )


def _shadow(place: Placement) -> Placement:
    return place._replace(
        x=place.x + place.width * 6 // 100, y=place.y + place.height * 9 // 100, opacity=place.opacity * 110 // 256
    )


def _tight(lanes: npt.NDArray[np.uint64], left: I64, top: I64) -> npt.NDArray[np.float32]:
    """Boxes `[F, 4]` of the pixels that are at least half covered; where none is, the most covered one."""
    cover = alpha(lanes)
    solid = cover >= np.minimum(np.uint64(128), np.maximum(cover.max(axis=(1, 2), keepdims=True), np.uint64(1)))
    return np.asarray(tight(solid) + np.stack([left, top, left, top], axis=1), np.float32)


def _draw_clouds(canvas: npt.NDArray[np.uint64], scene: Scene, size: int, at: I64, front: bool) -> None:
    for cloud in scene.clouds:
        # A third of the particles passes in front of the objects; light plays behind them only.
        pick = np.arange(len(cloud.rows)) % 3 == 0
        rows = cloud.rows[pick == front] if cloud.kind != "ripples" else cloud.rows[: 0 if front else None]
        if not len(rows):
            continue
        place = Cloud(cloud.kind, cloud.shape, rows).placement(size, at * 1000 // FPS)
        patch = sample(weather.texture(cloud.shape), place)
        frame = np.tile(np.arange(len(at)), len(rows))
        if cloud.kind == "ripples":  # they overlap: one at a time
            for i in range(len(rows)):
                s = slice(i * len(at), (i + 1) * len(at))
                over(canvas, land(Patch(patch.lanes[s], patch.left[s], patch.top[s]), (size, size)))
        else:
            over(canvas, land(patch, (size, size), frame))


def render(scene: Scene, size: int, at: npt.ArrayLike | None = None) -> Rendered:
    """Draws the frames with indices `at` (all by default) of a scene on `size` x `size` pixels."""
    when = np.arange(scene.frames) if at is None else np.asarray(at, np.int64)
    step = max(1, AT_ONCE // size**2)  # frames know nothing of each other, and drawing takes many times their memory
    parts = [_render(scene, size, when[k : k + step]) for k in range(0, len(when), step)]
    if len(parts) == 1:
        return parts[0]

    def joined(name: str, axis: int = 1) -> npt.NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts], axis=axis)

    places = zip(*(part.place for part in parts), strict=True)
    place = tuple(Placement(*map(np.concatenate, zip(*of, strict=True))) for of in places)
    masks, boxes = joined("masks"), joined("boxes")
    return Rendered(joined("video", axis=0), masks, boxes, joined("centres"), joined("visible"), place)


def _render(scene: Scene, size: int, when: I64) -> Rendered:
    canvas = _background(scene, size, when)
    _draw_clouds(canvas, scene, size, when, front=False)
    owner = np.full(canvas.shape, -1, np.int8)
    boxes: list[npt.NDArray[np.float32]] = []
    places: list[Placement] = []
    for actor in scene.actors:
        sprite, shadow = _sprite_texture(actor.sprite.code, actor.sprite.split, actor.mirror)
        place = _placement(actor, size, when, scene.frames)
        over(canvas, land(sample(shadow, _shadow(place)), (size, size)))
        patch = sample(sprite, place)
        landing: Landing = land(patch, (size, size))
        over(canvas, landing)
        # An unnamed mover hides what lies under it too, and owns its pixels under no name.
        owner.reshape(-1)[landing.where[landing.alpha >= 128]] = len(places) if actor.named else -1
        if actor.named:
            boxes.append(_tight(patch.lanes, patch.left, patch.top))
            places.append(place)
    _draw_clouds(canvas, scene, size, when, front=True)
    masks = owner[None] == np.arange(len(places), dtype=np.int8)[:, None, None, None]
    centres = np.stack([np.stack([p.x, p.y], axis=1) / ONE for p in places]).astype(np.float32)
    return Rendered(unpack(canvas), masks, np.stack(boxes), centres, masks.any(axis=(2, 3)), tuple(places))


def follow(points: npt.NDArray[np.float64], place: Placement) -> npt.NDArray[np.float32]:
    """Carries points that lie on an object in its first frame through all frames.

    Args:
        points: `[P, 2]` px, (x, y), at the first entry of `place`.
        place: the object's placement on F frames.

    Returns:
        float32 `[P, F, 2]` px.
    """
    turn = place.angle * (2 * np.pi / ONE)
    cos, sin = np.cos(turn), np.sin(turn)
    centre = np.stack([place.x, place.y], axis=1) / ONE
    d = points - centre[0]
    u = (d[:, 0] * cos[0] + d[:, 1] * sin[0]) / place.width[0]
    v = (-d[:, 0] * sin[0] + d[:, 1] * cos[0]) / place.height[0]
    px, py = u[:, None] * place.width, v[:, None] * place.height
    moved = np.stack([px * cos - py * sin, px * sin + py * cos], axis=-1) + centre
    return np.asarray(np.rint(moved * 256) / 256, np.float32)
